"""What can be done to replicas: the words in which faults ask and targets answer. A kind of fault is made of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from chaos.targets.engine_effects import (
    ClockShift,
    ColdStart,
    DeviceError,
    DeviceMemory,
    DeviceStress,
    Drain,
    Freeze,
    GrayFailure,
    KvReservation,
    MemoryCap,
    OtherWeights,
    RankLoss,
    SlowSteps,
    StuckStream,
)
from chaos.targets.http.effects import HttpRule


@dataclass(frozen=True, slots=True)
class Nothing:
    """No effect: its proof is that nothing changed."""


@dataclass(frozen=True, slots=True)
class Termination:
    """The replica is deleted: its processes end, and what keeps the number of replicas starts another one."""

    grace_s: int
    """Seconds between the polite and the hard signal; 0 is the hard signal at once."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The replica's processes end at once; the replica stays, and whatever restarts processes starts it again."""

    containers: tuple[str, ...]
    """Those of its containers that are meant, by name."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The replica's processes end and are not started again until the outage is over; name and uid stay."""


@dataclass(frozen=True, slots=True)
class ProcessorStress:
    """Work that nobody asked for, on the processors that the replica runs on and beside it."""

    workers: int
    """Processes."""
    load: float = 1.0
    """0..1: the share of time that each of them is busy."""
    containers: tuple[str, ...] = ()
    """Those of its containers that are meant, by name; none: the first."""
    options: tuple[str, ...] = ()
    """Further options of a program that does such things."""


@dataclass(frozen=True, slots=True)
class MemoryStress:
    """Memory that is really allocated and touched, beside the replica."""

    workers: int
    """Processes."""
    size_bytes: int | None = None
    """What each of them allocates."""
    share: float | None = None
    """Or 0..1: as a share of the memory that the replica could have."""
    oom_score_adj: int = 0
    """How gladly the kernel kills them rather than others when memory runs out, -1000..1000."""
    containers: tuple[str, ...] = ()
    """Those of its containers that are meant, by name; none: the first."""
    options: tuple[str, ...] = ()
    """Further options of a program that does such things."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A limit on how fast bytes may flow: tokens come in at a rate, and what finds none waits, as in Linux' tbf."""

    rate_bytes_per_s: float
    burst_bytes: float
    """How many tokens there are at most: so much passes at once after a pause."""
    queue_bytes: int
    """How much may wait for tokens."""
    peak_bytes_per_s: float = 0.0
    """A second limit on what the first lets pass at once; 0 for none."""
    peak_burst_bytes: float = 0.0
    """The burst of the second limit."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What becomes of the bytes that flow one way over a link; the defaults leave them alone."""

    delay_s: float = 0.0
    """Added to every byte and to the opening of a connection."""
    jitter_s: float = 0.0
    """The delay varies by as much, uniformly, up and down."""
    jitter_correlation: float = 0.0
    """0..1: how much of one draw the next one keeps."""
    reorder: float = 0.0
    """0..1: the share of packets that are not delayed, and so overtake others."""
    reorder_correlation: float = 0.0
    """0..1: how much of one draw the next one keeps."""
    reorder_gap: int = 1
    """Only every so manieth packet may overtake."""
    loss: float = 0.0
    """0..1: the share of packets that are lost, and sent again by TCP."""
    loss_correlation: float = 0.0
    """0..1: how much of one draw the next one keeps."""
    corruption: float = 0.0
    """0..1: the share of packets that arrive damaged: a checksum tells, and TCP sends them again."""
    corruption_correlation: float = 0.0
    """0..1: how much of one draw the next one keeps."""
    duplication: float = 0.0
    """0..1: the share of packets that arrive twice, which TCP hides."""
    bucket: Bucket | None = None
    """How fast bytes may flow."""
    cut: bool = False
    """Nothing arrives at all."""


@dataclass(frozen=True, slots=True)
class Link:
    """The network between a replica and those who call it, one way and the other; connections already open included."""

    from_replica: Traffic | None = None
    """What the replica sends."""
    to_replica: Traffic | None = None
    """What is sent to the replica."""
    toward: Mapping[str, str] | None = None
    """Labels of the callers meant; None for everybody."""
    toward_beyond_labels: tuple[str, ...] = ()
    """What else is asked of the callers meant, beside their labels."""
    outside: tuple[str, ...] = ()
    """Addresses outside of the cluster that are meant too."""
    devices: tuple[str, ...] = ()
    """Network interfaces other than the usual one."""


@dataclass(frozen=True, slots=True)
class Command:
    """Commands of the user's own: the one way into a system that somebody else runs."""

    do: tuple[str, ...]
    prove: tuple[str, ...]
    """Succeeds while the fault is in force, and fails while it is not."""
    undo: tuple[str, ...]
    timeout_s: float = 30.0
    """How long each of them may take."""


Effect: TypeAlias = (
    Nothing
    | Termination
    | Crash
    | Outage
    | ProcessorStress
    | MemoryStress
    | Link
    | HttpRule
    | Command
    | GrayFailure
    | Freeze
    | StuckStream
    | SlowSteps
    | KvReservation
    | Drain
    | ColdStart
    | OtherWeights
    | RankLoss
    | MemoryCap
    | DeviceMemory
    | DeviceStress
    | DeviceError
    | ClockShift
)


def shows_within_s(effect: Effect, victims: int, grace_s: float = 0.0) -> float:
    """How long it may take by its nature until an effect can be seen; 0 where it shows at once.

    Args:
        effect: what is done.
        victims: to how many.
        grace_s: how long the processes of any of them may take to end once they are asked to.
    """
    match effect:
        case Outage():
            return grace_s
        case Termination(grace_s) | Drain(grace_s, "together"):
            return grace_s
        case Drain(grace_s, "rolling"):
            return victims * (grace_s + _START_S)
        case DeviceMemory() | DeviceStress():
            return _START_S
        case DeviceError():
            return effect.after_s
        case _:
            return 0.0


_START_S = 20.0
"""What a process may take that imports torch and begins to use a GPU."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How close a target comes to what a fault asks for."""

    level: Literal["exact", "modelled", "approximate", "unsupported"]
    reason: str


def exact(reason: str) -> Fidelity:
    """The same as the fault means."""
    return Fidelity("exact", reason)


def modelled(reason: str) -> Fidelity:
    """The same consequences, by other means."""
    return Fidelity("modelled", reason)


def approximate(reason: str) -> Fidelity:
    """Similar consequences; what differs is said."""
    return Fidelity("approximate", reason)


def unsupported(reason: str) -> Fidelity:
    """Not at all: refused before anything starts."""
    return Fidelity("unsupported", reason)
