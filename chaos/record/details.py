"""What each kind of event says beside its instant and its replica: the types of `detail` in `events.jsonl`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self, TypeVar

from pydantic import AliasChoices, ConfigDict, Field, ValidationError

from chaos.events import Event, EventKind
from chaos.record.entry import Entry

Said = TypeVar("Said", bound="Detail")


class Detail(Entry):
    """A detail; what a version to come adds to one is no error."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def of_event(cls, event: Event) -> Self:
        """The detail of an event whose kind says this.

        Raises:
            ValueError: it lacks something that its kind says.
        """
        try:
            return cls.model_validate(event.detail)
        except ValidationError as error:
            raise ValueError(f"event {event.kind} at {event.at_s:.3f} s: {error}") from error


class TargetOpened(Detail):
    """Which target it was."""

    target: str
    """Its kind."""
    wanted_replicas: int
    """How many it should have; 0 where nobody can see them."""


class ProcessStarted(Detail):
    """A process beside the replicas."""

    pid: int


class ProcessEnded(Detail):
    """The end of a process beside the replicas."""

    pid: int
    how: str
    """Its exit code or signal."""


class OfReplica(Detail):
    """Something about a replica."""

    uid: str = ""
    """Of this incarnation of its name."""


class ReplicaCreated(OfReplica):
    """Where a replica belongs."""

    node: str = ""
    zone: str | None = None


class ReplicaRunning(OfReplica):
    """The process of a replica."""

    pid: int | None = None
    restarts: int = 0
    """How often its container was started anew under the same name."""


class ReplicaReadiness(OfReplica):
    """Why it is ready, or no longer."""

    why: str = ""


class ReplicaEjected(OfReplica):
    """What it was worse at than its peers."""

    why: str = ""
    for_s: float = 0.0
    """How long it is out at least."""


class ReplicaSignalled(OfReplica):
    """What was sent to a replica."""

    signal: str = ""
    reason: str = ""
    """Why: the occurrence of a fault, or a failed probe."""


class ReplicaGone(OfReplica):
    """How the process of a replica ended."""

    how: str = ""


class OfWatch(Detail):
    """Whose news did not come."""

    watched: str
    """What, and where."""
    why: str = ""
    """What stood in the way, as far as it is known."""


class LoadStarted(Detail):
    """The run clock begins."""

    wall: str
    """UTC, ISO 8601; for display only."""


class ConditionDetail(Detail):
    """What a fault waits for, and how that stood."""

    id: str
    """Of the fault's occurrence."""
    condition: str
    """In words: the figure and its bound."""
    value: float | None = None
    """The latest value; None where none was ever known."""
    why: str = ""
    """Why none is known now."""


class StatusCheckDetail(Detail):
    """A Workflow's StatusCheck, and what it saw so far."""

    id: str
    """Such as `ready#1`."""
    workflow: str
    """Whose it is, by name."""
    asks: str
    """In words: what is asked how often, and which statuses are good."""
    good: int = 0
    """Good answers."""
    bad: int = 0
    """Bad ones, and none in time."""
    saw: str = ""
    """The latest answer, in words."""
    how: str = ""
    """How it came to its end: which threshold was met, or whose time was over; empty while it goes on."""
    aborted: bool = False
    """Whether its Workflow was aborted by it."""
    withheld: tuple[str, ...] = ()
    """Occurrences of faults that were not injected because of that."""


class FaultDetail(Detail):
    """An occurrence of a fault, and whom it hits."""

    id: str = ""
    """Of the occurrence; a run of an earlier version had one fault, and its name was enough."""
    name: str
    kind: str
    plane: str = "process"
    """What it touches."""
    lasts: bool = False
    """Whether it is in force until it is undone."""
    done: str = "were killed"
    """What became of its targets, after `3 of 10 replicas`."""
    fidelity: str
    fidelity_reason: str = ""
    candidates: int
    """How many replicas its selector matched."""
    targets: tuple[str, ...]
    uids: tuple[str, ...] = ()
    """Of the targets."""
    control: bool = False
    """Aimed at its targets, and injected into nobody."""

    @property
    def occurrence(self) -> str:
        """Its id."""
        return self.id or self.name


class Looked(Detail):
    """What was seen when it was looked whether a fault is in force, or over."""

    id: str = Field(validation_alias=AliasChoices("id", "fault"))
    """Of the occurrence."""
    how: str
    """What was looked at, and what was seen."""


class FaultEnded(Detail):
    """An occurrence was undone."""

    id: str


class Nothing(Detail):
    """No detail."""


DETAILS: Mapping[str, type[Detail]] = {
    EventKind.TARGET_OPENED: TargetOpened,
    EventKind.TARGET_STARTED: Nothing,
    EventKind.STANDBY_STARTED: ProcessStarted,
    EventKind.STANDBY_GONE: ProcessEnded,
    EventKind.REPLICA_CREATED: ReplicaCreated,
    EventKind.REPLICA_SCHEDULED: ReplicaCreated,
    EventKind.REPLICA_PULLED: OfReplica,
    EventKind.REPLICA_RUNNING: ReplicaRunning,
    EventKind.REPLICA_READY: ReplicaReadiness,
    EventKind.REPLICA_UNREADY: ReplicaReadiness,
    EventKind.REPLICA_EJECTED: ReplicaEjected,
    EventKind.REPLICA_ADMITTED: ReplicaReadiness,
    EventKind.REPLICA_KILLED: ReplicaSignalled,
    EventKind.REPLICA_GONE: ReplicaGone,
    EventKind.REPLICA_RESTARTED: ReplicaRunning,
    EventKind.SCRAPE_LOST: OfReplica,
    EventKind.SCRAPE_BACK: OfReplica,
    EventKind.WATCH_LOST: OfWatch,
    EventKind.WATCH_BACK: OfWatch,
    EventKind.LOAD_STARTED: LoadStarted,
    EventKind.LOAD_CLOSED: Nothing,
    EventKind.LOAD_FINISHED: Nothing,
    EventKind.CONDITION_MET: ConditionDetail,
    EventKind.CONDITION_UNMET: ConditionDetail,
    EventKind.STATUS_CHECK_BEGAN: StatusCheckDetail,
    EventKind.STATUS_CHECK_OVER: StatusCheckDetail,
    EventKind.FAULT_INTENDED: FaultDetail,
    EventKind.FAULT_INJECTED: FaultDetail,
    EventKind.FAULT_VERIFIED: Looked,
    EventKind.FAULT_UNVERIFIED: Looked,
    EventKind.FAULT_ENDED: FaultEnded,
    EventKind.END_VERIFIED: Looked,
    EventKind.END_UNVERIFIED: Looked,
    EventKind.TARGET_STOPPED: Nothing,
}
"""What each kind of event says."""


def told(events: Iterable[Event], said: type[Said], *kinds: EventKind) -> Iterator[tuple[Event, Said]]:
    """The events of these kinds with their details, which are of this type.

    Raises:
        ValueError: a detail lacks something that its kind says.
    """
    for event in events:
        if event.kind in kinds:
            yield event, said.of_event(event)
