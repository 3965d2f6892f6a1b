"""Capacity recovery: when the wanted number of replicas was ready again and the new ones had served.

Told in seconds from the start of the first fault. Defined in docs/measurement.md.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from chaos.measuring.recovery_time import NOTHING_INJECTED, Criteria, RecoveryTime, Status, never, unknown
from chaos.measuring.timeline import ReadyStep, Timeline, created_between, ready_at, ready_steps


def capacity_recovery(timeline: Timeline, criteria: Criteria) -> RecoveryTime:
    """When all wanted replicas were ready for a full hold, and each new one had completed a request."""
    start_s = timeline.fault_start_s
    if start_s is None or not timeline.wanted_replicas:
        return unknown(NOTHING_INJECTED if start_s is None else "the target does not show its replicas")
    horizon_s = min(criteria.within_s, timeline.plan_end_s - start_s)
    steps = ready_steps(timeline)
    if not steps:
        return unknown("no event tells which replicas were ready")
    short = _short_of(steps, timeline, start_s)
    if not short:
        return RecoveryTime(Status.NO_IMPACT, 0.0, (0.0, 0.0), first_touch_s=0.0)
    next_short_s = [*(begin_s for begin_s, _ in short[1:]), timeline.plan_end_s]
    for (_, back_s), until_s in zip(short, next_short_s, strict=True):
        if until_s - back_s >= criteria.hold_s:
            return _serving_again(timeline, ready_at(steps, back_s), back_s, horizon_s)
    last_s, back_s = short[-1]
    if back_s < timeline.plan_end_s:
        reason = f"ready again, but the plan ended before a hold of {criteria.hold_s:g} s"
        return unknown(reason, back_s - start_s)
    ready = len(ready_at(steps, last_s))
    return never(horizon_s, f"{ready} of {timeline.wanted_replicas} replicas ready when the plan ended")


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
    served_s = _served_s(timeline, created)
    idle = sorted(created.keys() - served_s.keys())
    first_touch_s = back_s - start_s
    if idle and not timeline.rows.replicas:
        return unknown("no row names the replica that answered", first_touch_s, first_touch_s)
    if idle:
        return never(horizon_s, f"ready, but completed no request: {', '.join(idle)}", first_touch_s)
    value_s = max([back_s, *served_s.values()]) - start_s
    if value_s > horizon_s:
        return never(horizon_s, f"recovered only after {value_s:.3f} s", first_touch_s)
    return RecoveryTime(Status.RECOVERED, value_s, (value_s, value_s), first_touch_s=first_touch_s)


def _served_s(timeline: Timeline, created: Mapping[str, float]) -> dict[str, float]:
    """When each new replica completed its first request; without those that completed none."""
    rows = timeline.rows
    served_s = {}
    for place, name in enumerate(rows.replicas):
        if name in created:
            ended_s = rows.ended_s[rows.ok & (rows.replica == place)]
            ended_s = ended_s[ended_s >= created[name]]
            if len(ended_s):
                served_s[name] = float(np.min(ended_s))
    return served_s
