"""How arrivals follow one another, on a clock on which one is expected per unit of time.

`burstiness` is the shape of a gamma distribution of gaps, as in vLLM's and SGLang's benchmarks: 1 is Poisson, below 1
is burstier, above 1 more even, and the gaps' coefficient of variation is 1 / sqrt(burstiness). (inference-perf and
some papers state that CV instead: a CV of 2 is a burstiness of 0.25.)
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from loadtests.declared import Process

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
_SPARE = 5.0
"""So many standard deviations more gaps are drawn at first than are expected to be needed."""


def unit_instants(process: Process, burstiness: float, expected: float, random: np.random.Generator) -> Array:
    """Ascending instants below `expected`, one expected per unit.

    Constant: 0, 1, 2, and so on. Poisson: exponential gaps. Gamma: the first gap is what is left of a gap that began
    before the plan, so that as many are expected in its first second as in any other.
    """
    if process == "constant":
        return np.arange(np.ceil(expected))
    if process == "poisson":
        return _sums(random.standard_exponential(), random.standard_exponential, expected, 1.0)
    # A gap that covers a given instant is drawn in proportion to its length: the gamma of one more; what is left of it
    # is any part.
    first = random.random() * random.standard_gamma(burstiness + 1) / burstiness
    return _sums(
        first, lambda size: random.standard_gamma(burstiness, size) / burstiness, expected, 1 / burstiness
    )


def _sums(first: float, gaps: Callable[[int], Array], expected: float, variance: float) -> Array:
    """`first` and its sums with gaps, as long as they are below `expected`."""
    drawn, reached = [np.array([first])], first
    while reached < expected:
        missing = expected - reached
        fresh = gaps(int(missing + _SPARE * np.sqrt(missing * variance)) + 16)
        drawn.append(fresh)
        reached += float(fresh.sum())
    instants = np.cumsum(np.concatenate(drawn))
    return instants[: np.searchsorted(instants, expected)]
