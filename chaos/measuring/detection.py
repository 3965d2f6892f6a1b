"""Detection: when the cluster itself knew of a fault, by any sign of its own that one of the victims is not well.

Signs are lost readiness, a failed liveness probe, a process that is gone, an ejection by the gateway. What the injector
says is none of them; a deletion is, for it goes through the cluster. Defined in docs/measurement.md.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from chaos.measuring.recovery_time import NOTHING_INJECTED
from chaos.measuring.timeline import FaultWindow, Timeline

UNNOTICED = "no victim lost its readiness, ended or was ejected"
_UNSEEN = "the target does not show its replicas"


@dataclass(frozen=True, slots=True)
class Detection:
    """The first sign of one fault."""

    after_s: float
    """Since the start of the fault."""
    sign: str
    """Which replica, and what was seen of it."""


def detection(timeline: Timeline, fault: FaultWindow) -> Detection | None:
    """The first sign that the cluster knew of a fault; None where there was none before its end, or the run's."""
    until_s = timeline.plan_end_s if fault.ended_s is None else fault.ended_s
    return next(
        (
            Detection(max(0.0, at_s - fault.started_s), sign)
            for at_s, sign in _signs(timeline, fault)
            if at_s <= until_s
        ),
        None,
    )


def slowest(timeline: Timeline) -> tuple[float | None, str]:
    """Seconds until the fault that took longest was known, +inf where one never was; or None, with the reason."""
    if not timeline.faults:
        return None, NOTHING_INJECTED
    if not timeline.wanted_replicas:
        return None, _UNSEEN
    found = [detection(timeline, fault) for fault in timeline.faults]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return math.inf, UNNOTICED
    last = max(known, key=lambda one: one.after_s)
    return last.after_s, last.sign


def _signs(timeline: Timeline, fault: FaultWindow) -> Iterator[tuple[float, str]]:
    """Every sign about a victim from the start of the fault on, in the order of their instants."""
    for event in sorted(timeline.events, key=lambda event: event.at_s):
        if event.at_s < fault.started_s or event.replica not in fault.targets:
            continue
        why = str(event.detail.get("why") or event.detail.get("reason") or event.detail.get("how") or "")
        by_fault = why in ("", fault.id, fault.name)
        match event.kind:
            case "replica_unready":
                said = "it was deleted" if why and by_fault else f"no longer ready: {why}".removesuffix(": ")
            case "replica_killed" if not by_fault:
                said = f"killed: {why}"
            case "replica_gone":
                said = f"its process was gone: {why}"
            case "replica_ejected":
                said = f"ejected: {why}"
            case _:
                continue
        yield event.at_s, f"{event.replica}: {said}"
