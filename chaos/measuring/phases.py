"""The phases of a run: where its baseline ends, how long the disturbance lasts, and what lies around them."""

import math
from dataclasses import replace

from chaos.measuring.capacity_recovery import capacity_recovery
from chaos.measuring.evidence import Evidence, baseline_end_s
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import FaultWindow, Phase, Timeline


def phases(timeline: Timeline, found: Evidence, criteria: Criteria) -> tuple[Phase, ...]:
    """Baseline, fault, the window of each occurrence, and recovery; only a baseline when nothing was injected.

    That is all of an observation, and then its name. The baseline ends with the oldest request that was in flight when
    the first fault struck: that one is the fault's, and of those after it only the short answers had ended.
    """
    start_s = timeline.fault_start_s
    if start_s is None:
        name = "observation" if timeline.observes else "baseline"
        # A run that was cut short may not have come to the end of its warm-up.
        return (Phase(name, timeline.warmup_s, max(timeline.warmup_s, timeline.plan_end_s)),)
    end_s = fault_end_s(timeline, criteria)
    return (
        Phase("baseline", timeline.warmup_s, max(timeline.warmup_s, baseline_end_s(found, start_s))),
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
