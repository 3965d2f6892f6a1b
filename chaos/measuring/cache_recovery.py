"""When the prefix caches of the cluster found as much again as before the fault: from its own series, not from records.

A sample is the share of looked-up tokens that were found in the window before it. Defined in docs/measurement.md.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from chaos.measuring.recovery_time import NOTHING_INJECTED, Criteria, RecoveryTime, Status, never, unknown
from chaos.measuring.timeline import Phase, Timeline

WINDOW_S = 5.0
"""How far each sample looks back."""
_LONGEST_GAP_S = 5.0
"""Longer than this without a sample, it is not known."""

Points = Sequence[tuple[float, float | None]]


def cache_recovery(
    timeline: Timeline, baseline: Phase | None, points: Points | None, criteria: Criteria
) -> RecoveryTime:
    """From the start of the first fault to where the hit ratio is, for a full hold, what it must be.

    That is a share of the baseline's mean, or the baseline's own lowest sample where noise alone reaches lower.

    Args:
        timeline: of the run.
        baseline: what it is compared with; None where the run has none.
        points: samples on the run clock, in order; None where the run kept none.
        criteria: when it has recovered.
    """
    start_s = timeline.fault_start_s
    if start_s is None or baseline is None:
        return unknown(NOTHING_INJECTED)
    if points is None:
        return unknown(
            "the run kept no hit ratio of prefix caches: its engine exports none, or nobody scraped it"
        )
    known = [(at_s, value) for at_s, value in points if value is not None and not math.isnan(value)]
    usual = [value for at_s, value in known if baseline.start_s + WINDOW_S <= at_s <= baseline.end_s]
    if not usual or not (mean := sum(usual) / len(usual)):
        return unknown("the prefix caches found nothing in the baseline: there is no warmth to come back to")
    wanted = min(criteria.cache * mean, *usual)
    after = [(at_s, value) for at_s, value in known if start_s < at_s <= timeline.plan_end_s]
    edges_s = [start_s, *(at_s for at_s, _ in after), timeline.plan_end_s]
    if (gap := _widest(edges_s))[1] - gap[0] > _LONGEST_GAP_S:
        return unknown(f"no sample of the hit ratio from {gap[0]:.1f} to {gap[1]:.1f} s")
    return _back(after, wanted, start_s, timeline, criteria)


def _back(
    after: list[tuple[float, float]], wanted: float, start_s: float, timeline: Timeline, criteria: Criteria
) -> RecoveryTime:
    """The end of the last stretch of samples below what is wanted that a full hold follows."""
    horizon_s = min(criteria.within_s, timeline.plan_end_s - start_s)
    cold_s = [at_s for at_s, value in after if value < wanted]
    if not cold_s:
        return RecoveryTime(Status.NO_IMPACT, 0.0, (0.0, min(WINDOW_S, horizon_s)), first_touch_s=0.0)
    for last_s, next_s in pairwise([*cold_s, math.inf]):
        warm_s = next((at_s for at_s, _ in after if at_s > last_s), math.inf)
        if warm_s == math.inf or min(next_s, timeline.plan_end_s) - warm_s < criteria.hold_s:
            continue
        if warm_s - start_s > horizon_s:
            return never(horizon_s, f"the hit ratio was back only after {warm_s - start_s:.1f} s")
        earliest_s = max(0.0, last_s - WINDOW_S - start_s)
        return RecoveryTime(Status.RECOVERED, warm_s - start_s, (earliest_s, warm_s - start_s), WINDOW_S)
    if cold_s[-1] == after[-1][0]:
        return never(horizon_s, f"the hit ratio was below {wanted:.1%} when the plan ended")
    return unknown(f"the hit ratio was back, but the plan ended before a hold of {criteria.hold_s:g} s")


def _widest(edges_s: Sequence[float]) -> tuple[float, float]:
    return max(pairwise(edges_s), key=lambda edge: edge[1] - edge[0])
