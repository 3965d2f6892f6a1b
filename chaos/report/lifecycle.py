"""The life of every replica, read off the events: the lanes of the report, and what became of each victim."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from chaos.events import Event
from chaos.measuring.timeline import FaultWindow, Timeline

_STATES = {
    "replica_created": "starting",
    "replica_restarted": "starting",
    "replica_ready": "ready",
    "replica_unready": "unready",
    "replica_ejected": "ejected",
    "replica_admitted": "ready",
    "replica_killed": "dying",
    "replica_gone": "gone",
}
_COMES_INTO_BEING = ("replica_created", "replica_restarted")
MOST_LANES = 40


@dataclass(frozen=True, slots=True)
class Span:
    """A replica was in one state."""

    state: str
    """starting, ready, unready, ejected or dying."""
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One replica's line of the drawing."""

    replica: str
    spans: tuple[Span, ...]
    signalled_s: tuple[float, ...]
    """When it was told, or forced, to end."""
    served_s: float | None
    """First request completed, for a replica that came into being after the fault."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A replica that a fault hit, and, if it is gone since, the one that came in its turn afterwards."""

    replica: str
    occurrence: str
    """Of the fault."""
    hit_s: float
    evidence: str | None
    gone: bool
    replacement: str | None
    ready_after_s: float | None
    """From the hit until the replacement was ready."""
    served_after_s: float | None
    """From the hit until the replacement completed its first request."""


def lanes(timeline: Timeline, end_s: float) -> tuple[Lane, ...]:
    """One lane per replica that lived in [0, end_s], in order of creation.

    Of more than `MOST_LANES`, those to which something happened come first.
    """
    lives: dict[str, list[Event]] = {}
    for event in timeline.events:
        if event.replica is not None and event.kind in _STATES and event.at_s <= end_s:
            lives.setdefault(event.replica, []).append(event)
    found = [_lane(timeline, replica, life, end_s) for replica, life in lives.items()]
    living = [lane for lane in found if lane.spans]
    if len(living) <= MOST_LANES:
        return tuple(living)
    chosen = sorted(living, key=lambda lane: len(lane.spans) == 1)[:MOST_LANES]
    return tuple(lane for lane in living if lane in chosen)


def short_names(names: Sequence[str]) -> tuple[str, list[str]]:
    """What all names begin with, dashes included, and what is left of each."""
    parts = [name.split("-") for name in names]
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))))
    shared = min([shared, *(len(part) - 1 for part in parts)])
    prefix = "".join(f"{part}-" for part in parts[0][:shared]) if len(names) > 1 else ""
    return prefix, [name.removeprefix(prefix) for name in names]


def victims(timeline: Timeline) -> tuple[Victim, ...]:
    """Everyone whom a fault hit, in order; who is gone is paired with what came into being afterwards, in order.

    A Deployment does not say which new replica takes the place of which old one.
    """
    found: list[Victim] = []
    for fault in timeline.faults:
        ends = {
            event.replica: event
            for event in reversed(timeline.events)
            if event.kind == "replica_killed"
            and event.replica in fault.targets
            and event.at_s >= fault.started_s
        }
        hit = sorted(fault.targets, key=lambda name: ends[name].at_s if name in ends else fault.started_s)
        since_s = min((end.at_s for end in ends.values()), default=math.inf)
        new = [e for e in timeline.events if e.kind in _COMES_INTO_BEING and e.at_s >= since_s]
        born = iter(new[: len(ends)])
        found += [
            _victim(timeline, fault, name, ends.get(name), next(born, None) if name in ends else None)
            for name in hit
        ]
    return tuple(found)


def _victim(
    timeline: Timeline, fault: FaultWindow, name: str, end: Event | None, born: Event | None
) -> Victim:
    hit_s = fault.started_s if end is None else end.at_s
    mine = [said.removeprefix(f"{name}: ") for said in fault.evidence if said.startswith(f"{name}: ")]
    ready_s = served_s = None
    if born is not None:
        ready_s = min(
            (
                event.at_s
                for event in timeline.events
                if event.kind == "replica_ready" and event.replica == born.replica and event.at_s >= born.at_s
            ),
            default=None,
        )
        served_s = _first_served_s(timeline, born)
    return Victim(
        replica=name,
        occurrence=fault.id,
        hit_s=hit_s,
        evidence=mine[0] if mine else None,
        gone=end is not None,
        replacement=born.replica if born else None,
        ready_after_s=None if ready_s is None else ready_s - hit_s,
        served_after_s=None if served_s is None else served_s - hit_s,
    )


def _lane(timeline: Timeline, replica: str, life: Sequence[Event], end_s: float) -> Lane:
    following = [*(event.at_s for event in life[1:]), end_s]
    spans = tuple(
        Span(_STATES[event.kind], max(event.at_s, 0.0), until_s)
        for event, until_s in zip(life, following, strict=True)
        if event.kind != "replica_gone" and until_s > max(event.at_s, 0.0)
    )
    signalled_s = tuple(e.at_s for e in life if e.kind == "replica_killed" and e.at_s >= 0)
    born = [event for event in life if event.kind in _COMES_INTO_BEING]
    fault_s = timeline.fault_start_s
    new = born[-1] if born and fault_s is not None and born[-1].at_s >= fault_s else None
    return Lane(replica, spans, signalled_s, _first_served_s(timeline, new) if new else None)


def _first_served_s(timeline: Timeline, born: Event) -> float | None:
    """When the incarnation that came into being with `born` completed its first request."""
    rows = timeline.rows
    if born.replica not in rows.replicas:
        return None
    ends_s = rows.ended_s[rows.ok & (rows.replica == rows.replicas.index(born.replica))]
    return min(ends_s[ends_s >= born.at_s].tolist(), default=None)
