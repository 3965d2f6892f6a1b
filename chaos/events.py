"""What happened to the cluster and when: one line per lifecycle or fault event, on the host's monotonic clock."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENT_KINDS = (
    "target_opened",  # which kind of target, and how many replicas it should have
    "target_started",  # every wanted replica was ready for the first time
    "standby_started",  # the process that replicas are forked from
    "standby_gone",  # it died by itself: replacements wait until another one has taken its place
    "replica_created",
    "replica_running",  # its process exists
    "replica_ready",
    "replica_unready",
    "replica_killed",  # a fault or a failed liveness probe sent it a signal; detail.reason says which
    "replica_gone",  # its process was reaped
    "replica_restarted",  # same name, new process
    "load_started",
    "load_closed",  # by whoever watched, before its plan was over: nothing planned later was sent
    "load_finished",
    "fault_intended",  # on disk before the effect exists
    "fault_injected",
    "fault_verified",
    "fault_unverified",
    "fault_ended",  # it was undone
    "end_verified",
    "end_unverified",
    "target_stopped",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at_s` is monotonic seconds of the host, or seconds on the run clock once aligned."""

    at_s: float
    kind: str
    replica: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in EVENT_KINDS:
            raise ValueError(f"event kind {self.kind!r} is not one of {', '.join(EVENT_KINDS)}")


def to_line(event: Event) -> str:
    """One JSON object, no newline."""
    row: dict[str, Any] = {"at_s": round(event.at_s, 6), "kind": event.kind}
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
