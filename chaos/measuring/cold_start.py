"""Cold starts: how long each replica that came into being after a fault took, step by step, to serve.

Read off lifecycle events, whatever the target; the first token is the records'. Defined in docs/measurement.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chaos.events import EventKind
from chaos.measuring.recovery_time import NOTHING_INJECTED
from chaos.measuring.timeline import Timeline, created_between

_STEPS: Mapping[str, str] = {
    EventKind.REPLICA_SCHEDULED: "scheduled_s",
    EventKind.REPLICA_PULLED: "pulled_s",
    EventKind.REPLICA_RUNNING: "running_s",
    EventKind.REPLICA_RESTARTED: "running_s",
    EventKind.REPLICA_READY: "ready_s",
}


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Of one replica; all but its beginning in seconds since that, None where nobody told."""

    replica: str
    created_s: float
    """On the run clock."""
    ready_s: float
    """+inf where it never was."""
    scheduled_s: float | None = None
    pulled_s: float | None = None
    running_s: float | None = None
    first_token_s: float | None = None
    """Of the first request that it answered completely."""


def cold_starts(timeline: Timeline) -> tuple[ColdStart, ...] | str:
    """One for each such replica, the earliest first, at least one; or why there is none, in a clause."""
    start_s = timeline.fault_start_s
    if start_s is None:
        return NOTHING_INJECTED
    born_s = created_between(timeline, start_s, math.inf)
    if not born_s:
        return "no replica came into being after the fault"
    steps: dict[str, dict[str, float]] = {name: {} for name in born_s}
    for event in timeline.events:
        name, key = event.replica, _STEPS.get(event.kind)
        if key is not None and name is not None and event.at_s >= born_s.get(name, math.inf):
            steps[name].setdefault(key, event.at_s - born_s[name])
    return tuple(
        ColdStart(
            name,
            at_s,
            **{"ready_s": math.inf, **steps[name]},
            first_token_s=_first_token_s(timeline, name, at_s),
        )
        for name, at_s in sorted(born_s.items(), key=lambda each: (each[1], each[0]))
    )


def _first_token_s(timeline: Timeline, replica: str, since_s: float) -> float | None:
    rows = timeline.rows
    if replica not in rows.replicas:
        return None
    its = rows.ok & (rows.replica == rows.replicas.index(replica)) & (rows.first_token_s >= since_s)
    return float(np.min(rows.first_token_s[its])) - since_s if np.any(its) else None
