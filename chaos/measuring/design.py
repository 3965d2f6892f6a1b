"""What a design can show, before it costs anybody an outage: a rate, a baseline and a tolerance, and what follows.

The same arithmetic that judges the run, on what is expected of it: a baseline without a bad request. Defined in
docs/measurement.md.
"""

import math
from dataclasses import dataclass

from chaos.measuring import scan
from chaos.measuring.quantiles import needed_for_interval
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.scan import Noise

WINDOW_REQUESTS = 100
"""A window of so many requests is long enough to speak of a share of them."""
SHORTEST_WINDOW_S = 2.0
_DEVIATIONS = 3.0
"""How far the number of random arrivals may fall behind what is expected: one run in a thousand falls further."""


@dataclass(frozen=True, slots=True)
class Design:
    """What a run of this rate and these lengths can tell, where nothing is bad without a fault."""

    rate_per_s: float
    baseline: int
    """Requests that are expected in it, before the oldest that is in flight when the fault strikes."""
    observed: int
    """Requests that are expected from the fault on."""
    outage_s: float | None
    """The shortest total outage that is no noise; None where the baseline is too short to tell any."""
    partial_loss: float | None
    """The smallest loss of goodput over one window that is no noise, 0..1; None where no loss is."""
    proof_s: float
    """How long after its end a recovery is proved, at the best: good requests in a row that contradict a bad share."""


def design(
    rate_per_s: float, baseline_s: float, observe_s: float, in_flight_s: float, criteria: Criteria
) -> Design:
    """What can be shown.

    Args:
        rate_per_s: of the plan.
        baseline_s: its length.
        observe_s: from the fault on.
        in_flight_s: how old the oldest request in flight is at most when the fault strikes.
        criteria: what recovery is held to.
    """
    baseline = _expected(rate_per_s, max(0.0, baseline_s - in_flight_s))
    observed = _expected(rate_per_s, observe_s)
    tolerated = 1 - criteria.goodput
    strictest = min(tolerated, criteria.error_ratio)
    least = scan.threshold(Noise(0, baseline), tolerated, observed) if tolerated else None
    in_window = rate_per_s * criteria.window_s
    partial = None if least is None or not in_window else tolerated + least / in_window
    return Design(
        rate_per_s=rate_per_s,
        baseline=baseline,
        observed=observed,
        outage_s=None if least is None else math.ceil(least / (1 - tolerated)) / rate_per_s,
        partial_loss=None if partial is None or partial > 1 else partial,
        proof_s=scan.good_ones_that_prove(strictest) / rate_per_s if strictest else math.inf,
    )


def window_s(rate_per_s: float) -> float:
    """A window that holds enough requests, 2 s at the least."""
    return max(SHORTEST_WINDOW_S, WINDOW_REQUESTS / rate_per_s)


def requests_s(requests: int, rate_per_s: float) -> float:
    """Whole seconds in which so many random arrivals come, but for one run in a thousand."""
    return math.ceil((requests + _DEVIATIONS * math.sqrt(requests)) / rate_per_s) if requests else 0.0


def claims(requests: int) -> str | None:
    """The highest quantile that so many requests bound from above: `P99`; None where they bound no usual one."""
    held = [name for name in (99.9, 99, 95, 90, 50) if requests >= needed_for_interval(name)]
    return f"P{held[0]:g}" if held else None


def _expected(rate_per_s: float, length_s: float) -> int:
    return int(rate_per_s * length_s)
