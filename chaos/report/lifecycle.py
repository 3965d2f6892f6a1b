"""The life of every replica, read off the events: the lanes of the report, and what became of each victim."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from chaos.events import Event
from chaos.measuring.timeline import Timeline

_STATES = {
    "replica_created": "starting",
    "replica_restarted": "starting",
    "replica_ready": "ready",
    "replica_unready": "unready",
    "replica_killed": "dying",
    "replica_gone": "gone",
}
_COMES_INTO_BEING = ("replica_created", "replica_restarted")
MOST_LANES = 40


@dataclass(frozen=True, slots=True)
class Span:
    """A replica was in one state."""

    state: str
    """starting, ready, unready or dying."""
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One replica's line of the drawing."""

    replica: str
    spans: tuple[Span, ...]
    killed_s: tuple[float, ...]
    served_s: float | None
    """First request completed, for a replica that came into being after the fault."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A replica that a fault killed, and the one that came in its turn afterwards."""

    replica: str
    killed_s: float
    evidence: str | None
    replacement: str | None
    ready_after_s: float | None
    """From the kill until the replacement was ready."""
    served_after_s: float | None
    """From the kill until the replacement completed its first request."""


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
    """Every kill of a fault in order, paired with what came into being after the first of them, in order.

    A Deployment does not say which new replica takes the place of which old one.
    """
    targets = {replica for fault in timeline.faults for replica in fault.targets}
    kills = [e for e in timeline.events if e.kind == "replica_killed" and e.replica in targets]
    new = [e for e in timeline.events if kills and e.kind in _COMES_INTO_BEING and e.at_s >= kills[0].at_s]
    return tuple(_victim(timeline, kill, born) for kill, born in zip_longest(kills, new[: len(kills)]))


def _victim(timeline: Timeline, kill: Event, born: Event | None) -> Victim:
    told = (said for fault in timeline.faults for said in fault.evidence)
    mine = [said.removeprefix(f"{kill.replica}: ") for said in told if said.startswith(f"{kill.replica}: ")]
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
        replica=kill.replica or "",
        killed_s=kill.at_s,
        evidence=mine[0] if mine else None,
        replacement=born.replica if born else None,
        ready_after_s=None if ready_s is None else ready_s - kill.at_s,
        served_after_s=None if served_s is None else served_s - kill.at_s,
    )


def _lane(timeline: Timeline, replica: str, life: Sequence[Event], end_s: float) -> Lane:
    following = [*(event.at_s for event in life[1:]), end_s]
    spans = tuple(
        Span(_STATES[event.kind], max(event.at_s, 0.0), until_s)
        for event, until_s in zip(life, following, strict=True)
        if event.kind != "replica_gone" and until_s > max(event.at_s, 0.0)
    )
    killed_s = tuple(event.at_s for event in life if event.kind == "replica_killed" and event.at_s >= 0)
    born = [event for event in life if event.kind in _COMES_INTO_BEING]
    fault_s = timeline.fault_start_s
    new = born[-1] if born and fault_s is not None and born[-1].at_s >= fault_s else None
    return Lane(replica, spans, killed_s, _first_served_s(timeline, new) if new else None)


def _first_served_s(timeline: Timeline, born: Event) -> float | None:
    """When the incarnation that came into being with `born` completed its first request."""
    ends_s = (
        row.ended_s
        for row in timeline.rows
        if row.ok and row.replica == born.replica and row.ended_s is not None and row.ended_s >= born.at_s
    )
    return min(ends_s, default=None)
