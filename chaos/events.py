"""What happened to the cluster and when: one line per lifecycle or fault event, on the host's monotonic clock."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self


class EventKind(StrEnum):
    """What can happen; each kind knows what it means."""

    about: str

    def __new__(cls, value: str, about: str) -> Self:
        """A kind and its meaning."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.about = about
        return kind

    TARGET_OPENED = (
        "target_opened",
        "The target is there: which kind it is, and how many replicas it should have.",
    )
    TARGET_STARTED = "target_started", "Every wanted replica was ready for the first time."
    STANDBY_STARTED = "standby_started", "The process that replicas are forked from."
    STANDBY_GONE = (
        "standby_gone",
        "It died by itself: replacements wait until another one has taken its place.",
    )
    REPLICA_CREATED = "replica_created", "It is wanted, and has its name."
    REPLICA_SCHEDULED = "replica_scheduled", "It has its node."
    REPLICA_PULLED = "replica_pulled", "Its image is there."
    REPLICA_RUNNING = "replica_running", "Its process exists."
    REPLICA_READY = "replica_ready", "It passed its readiness probes."
    REPLICA_UNREADY = "replica_unready", "It is no longer ready."
    REPLICA_EJECTED = (
        "replica_ejected",
        "The gateway gives it no more requests: it did worse than its peers, whatever its probes say.",
    )
    REPLICA_ADMITTED = "replica_admitted", "The gateway gives it requests again."
    REPLICA_KILLED = "replica_killed", "A fault or a failed liveness probe sent it a signal."
    REPLICA_GONE = "replica_gone", "Its process was reaped."
    REPLICA_RESTARTED = "replica_restarted", "Same name, new process."
    SCRAPE_LOST = (
        "scrape_lost",
        "Prometheus reaches it no more, though it is ready: its series end here, whatever it does.",
    )
    SCRAPE_BACK = "scrape_back", "Prometheus reaches it again."
    WATCH_LOST = (
        "watch_lost",
        "The last sign of whoever tells what becomes of replicas: from here on nobody knows.",
    )
    WATCH_BACK = "watch_back", "It is told again; what happened meanwhile is not."
    LOAD_STARTED = "load_started", "The first instant of the arrival plan: the run clock is at 0."
    LOAD_CLOSED = (
        "load_closed",
        "By whoever watched, before its plan was over: nothing planned later was sent.",
    )
    LOAD_FINISHED = "load_finished", "Every arrival has its row."
    CONDITION_MET = "condition_met", "What a fault had waited for."
    CONDITION_UNMET = (
        "condition_unmet",
        "A fault has waited for it in vain, and is not injected.",
    )
    STATUS_CHECK_BEGAN = "status_check_began", "A Workflow's StatusCheck is asked from here on."
    STATUS_CHECK_OVER = (
        "status_check_over",
        "What follows it begins, or its Workflow is aborted: what it saw, and how it came to its end.",
    )
    FAULT_INTENDED = "fault_intended", "On disk before the effect exists."
    FAULT_INJECTED = "fault_injected", "The effect may exist from here on."
    FAULT_VERIFIED = "fault_verified", "Independent evidence shows that this replica was hit."
    FAULT_UNVERIFIED = "fault_unverified", "It does not."
    FAULT_ENDED = "fault_ended", "It was undone."
    END_VERIFIED = "end_verified", "Independent evidence shows that it is over for this replica."
    END_UNVERIFIED = "end_unverified", "It does not."
    TARGET_STOPPED = "target_stopped", "Everything that the target had started is gone."


_KINDS = frozenset(EventKind)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at_s` is monotonic seconds of the host, or seconds on the run clock once aligned."""

    at_s: float
    kind: str
    """One of `EventKind`."""
    replica: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    """As it goes over pipes and into the file; `chaos.record.details` has a type for each kind."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"event kind {self.kind!r} is not one of {', '.join(EventKind)}")


def to_line(event: Event) -> str:
    """One JSON object, no newline."""
    row: dict[str, object] = {"at_s": round(event.at_s, 6), "kind": event.kind}
    if event.replica is not None:
        row["replica"] = event.replica
    if event.detail:
        row["detail"] = event.detail
    return json.dumps(row, separators=(",", ":"))


def from_line(line: str) -> Event:
    """The event of one line; ValueError when it is not one."""
    row = json.loads(line)
    return Event(float(row["at_s"]), row["kind"], row.get("replica"), row.get("detail", {}))


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Write a whole file of events."""
    path.write_text("".join(to_line(event) + "\n" for event in events))


def read_events(path: Path) -> list[Event]:
    """All complete events of a file."""
    with path.open() as lines:
        return [from_line(line) for line in lines if line.endswith("\n")]
