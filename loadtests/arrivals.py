"""At which instants requests leave: pure functions of process, rate, duration and seed.

The rate is the same throughout, or rises: a ramp, to find out what a server can carry. The same values give the
same instants, bit for bit, on every platform and Python version: the uniform numbers come from
`random.Random(seed).random()`, which the standard library promises never to change, and the logarithm is `decimal`'s,
which is correctly rounded, where the C library's may differ in its last bit. Processes that came later
(`loadtests.traffic`) are drawn by NumPy, some hundred times faster.
"""

import random
from collections.abc import Iterator
from decimal import Context, Decimal
from itertools import accumulate, chain, count, repeat, takewhile
from math import inf

from loadtests.declared import Process

_CONTEXT = Context(prec=20)


def instants(
    process: Process, rate_per_s: float, duration_s: float, seed: int, from_per_s: float = 0.0
) -> tuple[float, ...]:
    """Seconds after the first instant, ascending, all in [0, duration).

    Constant: the i-th arrival is at i / rate, rounded once, so that no error adds up.
    Poisson: the gaps are exponential with mean 1 / rate, by inversion: -ln(1 - u) / rate.
    A ramp: the same processes at rate 1, each instant moved to where as many arrivals are expected by then.

    Args:
        process: how the gaps are drawn.
        rate_per_s: arrivals per second, or what a ramp rises to.
        duration_s: how long they go on.
        seed: of the draw.
        from_per_s: where a ramp begins, to grow by the same factor each second; 0 for the same rate throughout. By a
            factor and not by a step: whatever a server can carry, it is then approached equally gently.

    Raises:
        ValueError: a rate or duration is not positive and finite, a ramp does not rise, or the process is another.
    """
    if process not in ("poisson", "constant"):
        raise ValueError(f"process must be poisson or constant, not {process}")
    for name, value in (("rate_per_s", rate_per_s), ("duration_s", duration_s)):
        if not 0 < value < inf:
            raise ValueError(f"{name} must be positive and finite, not {value!r}")
    if from_per_s and not 0 < from_per_s < rate_per_s:
        raise ValueError(f"from_per_s must be positive and below rate_per_s, not {from_per_s!r}")
    if from_per_s:
        endless = _ramp(process, rate_per_s, duration_s, seed, from_per_s)
    elif process == "poisson":
        endless = _poisson(rate_per_s, seed)
    else:
        endless = (index / rate_per_s for index in count())
    return tuple(takewhile(lambda at_s: at_s < duration_s, endless))


def _poisson(rate_per_s: float, seed: int) -> Iterator[float]:
    rate, offset = Decimal(rate_per_s), Decimal(0)
    for gap in _unit_gaps(seed):
        offset = _CONTEXT.add(offset, _CONTEXT.divide(gap, rate))
        yield float(offset)


def _ramp(
    process: Process, rate_per_s: float, duration_s: float, seed: int, from_per_s: float
) -> Iterator[float]:
    """Where from (e^(g t) - 1) / g = n: t = ln(1 + g n / from) / g, with g = ln(to / from) / duration."""
    start, end, lasts = (Decimal(value) for value in (from_per_s, rate_per_s, duration_s))
    growth = _CONTEXT.divide(_CONTEXT.ln(_CONTEXT.divide(end, start)), lasts)
    gaps = _unit_gaps(seed) if process == "poisson" else chain((Decimal(0),), repeat(Decimal(1)))
    for expected in accumulate(gaps, _CONTEXT.add):
        grown = _CONTEXT.divide(_CONTEXT.multiply(growth, expected), start)
        yield float(_CONTEXT.divide(_CONTEXT.ln(_CONTEXT.add(grown, 1)), growth))


def _unit_gaps(seed: int) -> Iterator[Decimal]:
    uniform = random.Random(seed).random  # noqa: S311 - a repeatable plan, not a secret
    while True:
        yield -_CONTEXT.ln(Decimal(1 - uniform()))
