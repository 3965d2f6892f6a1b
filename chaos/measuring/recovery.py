"""Recovery, two of them: when the service was good again and held, and when the wanted capacity served again.

Both are told in seconds from the start of the first fault. Defined in docs/measurement.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import pairwise

from chaos.measuring.slis import Objectives, good_count, observed_until_s
from chaos.measuring.timeline import (
    FaultWindow,
    Phase,
    ReadyStep,
    Timeline,
    created_between,
    ready_at,
    ready_steps,
)
from chaos.measuring.windows import (
    MICROSECONDS,
    Hold,
    Tolerance,
    Traffic,
    first_hold,
    gap_around_us,
    has_empty_window,
    microseconds,
    traffic,
)

NOTHING_INJECTED = "nothing was injected"
_FINEST_US = 1_000
"""No recovery is told more finely than a millisecond."""


class Status(StrEnum):
    """What kind of answer a recovery time is."""

    RECOVERED = "recovered"
    NO_IMPACT = "no impact"
    NOT_RECOVERED = "not recovered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Criteria:
    """When a service counts as recovered."""

    goodput: float = 0.95
    """Share of the baseline's goodput that a window must reach."""
    error_ratio: float = 0.02
    """Failures per planned arrival that a window may have."""
    window_s: float = 2.0
    hold_s: float = 5.0
    """How long every window must pass."""
    within_s: float = 30.0
    """Later than this is not recovered."""

    def __post_init__(self) -> None:
        if not 0 < self.goodput <= 1 or not 0 <= self.error_ratio <= 1:
            raise ValueError(f"goodput and error_ratio are ratios, not {self.goodput} and {self.error_ratio}")
        if not 0 < self.window_s <= self.hold_s:
            raise ValueError(
                f"hold must be at least one window of {self.window_s:g} s, not {self.hold_s:g} s"
            )
        if self.within_s <= 0:
            raise ValueError(f"within must be above 0 s, not {self.within_s:g} s")


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """One recovery, in seconds from where it is counted."""

    status: Status
    value_s: float | None
    """0.0 without impact, +inf when not recovered, None when unknown."""
    at_least_s: float
    """What the observation proves: recovery took at least so long; longer, when not recovered."""
    resolution_s: float | None = None
    """Largest gap between the arrivals around the instant: it is known no finer."""
    first_touch_s: float | None = None
    """When a window first passed again; earlier than the value when the service flapped."""
    relapse_s: float | None = None
    """Start of the first window that failed after the full hold; None when none did."""
    reason: str | None = None
    """Why the value is missing or infinite."""


def phases(timeline: Timeline, objectives: Objectives, criteria: Criteria) -> tuple[Phase, ...]:
    """Baseline, fault, the window of each occurrence, and recovery; only a baseline when nothing was injected.

    That is all of an observation, and then its name.

    The baseline ends one end-to-end bound before the fault, which would strike later arrivals in flight.
    """
    start_s = timeline.fault_start_s
    if start_s is None:
        name = "observation" if timeline.observes else "baseline"
        # A run that was cut short may not have come to the end of its warm-up.
        return (Phase(name, timeline.warmup_s, max(timeline.warmup_s, timeline.plan_end_s)),)
    end_s = fault_end_s(timeline, criteria)
    return (
        Phase("baseline", timeline.warmup_s, max(timeline.warmup_s, start_s - objectives.e2e_s)),
        Phase("fault", start_s, end_s),
        *(
            Phase.occurrence(fault, fault_end_s(replace(timeline, faults=(fault,)), criteria))
            for fault in timeline.faults
        ),
        Phase("recovery", end_s, timeline.plan_end_s),
    )


def fault_end_s(timeline: Timeline, criteria: Criteria) -> float:
    """When the disturbance was over; a one-shot fault lasts until capacity has recovered."""
    capacity_s = capacity_recovery(timeline, criteria).value_s
    start_s = timeline.fault_start_s
    restored_s = math.inf if start_s is None or capacity_s is None else start_s + capacity_s
    ends_s = (_ended_s(fault, restored_s) for fault in timeline.faults)
    return min(timeline.plan_end_s, max(ends_s, default=math.inf))


def _ended_s(fault: FaultWindow, restored_s: float) -> float:
    if fault.ended_s is not None:
        return fault.ended_s
    return math.inf if fault.lasts else restored_s


def capacity_recovery(timeline: Timeline, criteria: Criteria) -> RecoveryTime:
    """When all wanted replicas were ready for a full hold, and each new one had completed a request."""
    start_s = timeline.fault_start_s
    if start_s is None or not timeline.wanted_replicas:
        return _unknown(NOTHING_INJECTED if start_s is None else "the target does not show its replicas")
    horizon_s = min(criteria.within_s, timeline.plan_end_s - start_s)
    steps = ready_steps(timeline)
    if not steps:
        return _unknown("no event tells which replicas were ready")
    short = _short_of(steps, timeline, start_s)
    if not short:
        return RecoveryTime(Status.NO_IMPACT, 0.0, 0.0, first_touch_s=0.0)
    next_short_s = [*(begin_s for begin_s, _ in short[1:]), timeline.plan_end_s]
    for (_, back_s), until_s in zip(short, next_short_s, strict=True):
        if until_s - back_s >= criteria.hold_s:
            return _serving_again(timeline, ready_at(steps, back_s), back_s, horizon_s)
    last_s, back_s = short[-1]
    if back_s < timeline.plan_end_s:
        reason = f"ready again, but the plan ended before a hold of {criteria.hold_s:g} s"
        return _unknown(reason, back_s - start_s)
    ready = len(ready_at(steps, last_s))
    return _never(horizon_s, f"{ready} of {timeline.wanted_replicas} replicas ready when the plan ended")


def service_recovery(timeline: Timeline, objectives: Objectives, criteria: Criteria) -> RecoveryTime:
    """When the good arrival came from which every window of a full hold passes, since the first fault."""
    start_s = timeline.fault_start_s
    if start_s is None:
        return _unknown(NOTHING_INJECTED)
    return _service_recovery_from(start_s, timeline, objectives, criteria)


def service_recovery_after_end(
    timeline: Timeline, objectives: Objectives, criteria: Criteria
) -> RecoveryTime | None:
    """The same since the last fault ended; None unless every fault lasts: a one-shot fault has no end."""
    ends_s = [fault.ended_s for fault in timeline.faults if fault.ended_s is not None]
    if not ends_s or len(ends_s) < len(timeline.faults):
        return None
    return _service_recovery_from(max(ends_s), timeline, objectives, criteria)


def _short_of(steps: Sequence[ReadyStep], timeline: Timeline, start_s: float) -> list[tuple[float, float]]:
    """Stretches of [start_s, plan end) with fewer replicas ready than wanted."""
    edges_s = [start_s, *(step.at_s for step in steps if start_s < step.at_s < timeline.plan_end_s)]
    short: list[tuple[float, float]] = []
    for begin_s, end_s in pairwise([*edges_s, timeline.plan_end_s]):
        if len(ready_at(steps, begin_s)) >= timeline.wanted_replicas:
            continue
        if short and short[-1][1] == begin_s:
            short[-1] = (short[-1][0], end_s)
        else:
            short.append((begin_s, end_s))
    return short


def _serving_again(
    timeline: Timeline, ready: frozenset[str], back_s: float, horizon_s: float
) -> RecoveryTime:
    """Capacity recovery once enough replicas are ready: when the last new one has completed a request."""
    start_s = timeline.fault_start_s or 0.0
    created = created_between(timeline, start_s, back_s)
    created = {name: at_s for name, at_s in created.items() if name in ready}
    served_s: dict[str, float] = {}
    for row in timeline.rows:
        name = row.replica
        if name in created and row.ok and row.ended_s is not None and row.ended_s >= created[name]:
            served_s[name] = min(row.ended_s, served_s.get(name, math.inf))
    idle = sorted(created.keys() - served_s.keys())
    first_touch_s = back_s - start_s
    if idle and not any(row.replica for row in timeline.rows):
        return _unknown("no row names the replica that answered", first_touch_s, first_touch_s)
    if idle:
        return _never(horizon_s, f"ready, but completed no request: {', '.join(idle)}", first_touch_s)
    value_s = max([back_s, *served_s.values()]) - start_s
    if value_s > horizon_s:
        return _never(horizon_s, f"recovered only after {value_s:.3f} s", first_touch_s)
    return RecoveryTime(Status.RECOVERED, value_s, value_s, first_touch_s=first_touch_s)


def _service_recovery_from(
    start_s: float, timeline: Timeline, objectives: Objectives, criteria: Criteria
) -> RecoveryTime:
    end_s = observed_until_s(timeline, objectives)
    if end_s - start_s < criteria.hold_s:
        return _unknown(f"observed for {end_s - start_s:.3f} s, less than a hold of {criteria.hold_s:g} s")
    seen = traffic(timeline, objectives, start_s, end_s)
    if has_empty_window(seen, microseconds(criteria.window_s)):
        return _unknown(f"a window of {criteria.window_s:g} s has no planned arrival: widen it")
    baseline = timeline.within(phases(timeline, objectives, criteria)[0])
    good = good_count(baseline, objectives)
    if not good:
        return _unknown("the baseline has no good arrival to compare with")
    tolerance = Tolerance(
        microseconds(criteria.window_s), criteria.goodput * good / len(baseline), criteria.error_ratio
    )
    disturbed_us = microseconds(max(start_s, fault_end_s(timeline, criteria)))
    return _told(seen, first_hold(seen, tolerance, microseconds(criteria.hold_s), disturbed_us), criteria)


def _told(seen: Traffic, hold: Hold, criteria: Criteria) -> RecoveryTime:
    """A search of the windows, in seconds from where the traffic starts."""
    since_start_s = partial(_seconds_between, seen.start_us)
    first_touch_s = math.inf if hold.touched_us is None else since_start_s(hold.touched_us)
    observed_s = min(criteria.within_s, since_start_s(seen.end_us))
    if hold.begins_us is None:
        if hold.cut_short_us is None or since_start_s(hold.cut_short_us) > criteria.within_s:
            return _never(observed_s, f"not within the {observed_s:g} s observed", first_touch_s)
        good_s = since_start_s(hold.cut_short_us)
        reason = f"good again after {good_s:.3f} s, but the plan ended before a hold of {criteria.hold_s:g} s"
        return _unknown(reason, good_s, first_touch_s)
    value_s = 0.0 if hold.untouched else since_start_s(hold.begins_us)
    if value_s > criteria.within_s:
        return _never(criteria.within_s, f"recovered only after {value_s:.3f} s", first_touch_s)
    return RecoveryTime(
        status=Status.NO_IMPACT if hold.untouched else Status.RECOVERED,
        value_s=value_s,
        at_least_s=value_s,
        resolution_s=max(gap_around_us(seen, hold.begins_us), _FINEST_US) / MICROSECONDS,
        first_touch_s=0.0 if hold.untouched else first_touch_s,
        relapse_s=None if hold.relapsed_us is None else since_start_s(hold.relapsed_us),
    )


def _seconds_between(start_us: int, at_us: int) -> float:
    return (at_us - start_us) / MICROSECONDS


def _never(at_least_s: float, reason: str, first_touch_s: float | None = None) -> RecoveryTime:
    return RecoveryTime(
        Status.NOT_RECOVERED, math.inf, at_least_s, first_touch_s=first_touch_s, reason=reason
    )


def _unknown(reason: str, at_least_s: float = 0.0, first_touch_s: float | None = None) -> RecoveryTime:
    return RecoveryTime(Status.UNKNOWN, None, at_least_s, first_touch_s=first_touch_s, reason=reason)
