"""What can be done to engines: the words of faults for which Chaos Mesh has no kind."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class GrayFailure:
    """The replica's probes pass, and its completions do not come."""

    answer: Literal["hang", "503"]
    """What a completion meets: nothing, for ever; or a refusal at once."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Every process of the replica is stopped; its kernel still takes connections and bytes."""


@dataclass(frozen=True, slots=True)
class StuckStream:
    """Streams that begin meanwhile get stuck after some of their tokens."""

    way: Literal["silence", "drip", "reset", "end", "abort", "error"]
    """Nothing more; a token now and then; a reset; an end without the terminal event; a polite end that says `abort`;
    an error inside the stream."""
    after_tokens: int
    drip_s: float = 1.0
    """Between two tokens of a drip."""


@dataclass(frozen=True, slots=True)
class SlowSteps:
    """Each step of the engine takes so many times as long."""

    factor: float


@dataclass(frozen=True, slots=True)
class KvReservation:
    """A share of the engine's KV blocks belongs to nobody who computes."""

    share: float
    """0..1."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The replica is told to leave while it serves, and another one starts: a spot reclaim, or a rolling update."""

    grace_s: int
    """Seconds between the polite and the hard signal."""
    pace: Literal["together", "rolling"] = "together"
    """All victims at once, or each when the one before is gone and everybody else is ready."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Whatever replica starts meanwhile starts so much later."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class OtherWeights:
    """The replica restarts, and serves another model under the same name; it restarts again when that is undone."""

    model_path: str | None = None
    """Of the other model; None: other random weights of the same shape."""


@dataclass(frozen=True, slots=True)
class RankLoss:
    """One rank of a sharded replica is killed."""

    rank: int


@dataclass(frozen=True, slots=True)
class MemoryCap:
    """The replica's processes get no more memory than they have, and so much more."""

    headroom_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Somebody else holds a GPU's memory, until so much of it is free."""

    free_bytes: int
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class DeviceStress:
    """Work that nobody asked for, on a GPU that the replica runs on."""

    workers: int
    """Processes, in all."""
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class ClockShift:
    """The replica reads a clock of the wall that is wrong."""

    offset_s: float
    """Positive: ahead."""
    clocks: tuple[str, ...] = ("CLOCK_REALTIME",)
    """Which of its clocks, by their names in C."""
    containers: tuple[str, ...] = ()
    """Those of its containers that are meant, by name; none: the first."""


@dataclass(frozen=True, slots=True)
class DeviceError:
    """The replica's device reports an error to its driver, and fails what is computed on it from then on."""

    xid: int
    """NVIDIA's number of it."""
    after_s: float
    """Between the report and the first computation that fails: a scrape can see it coming."""
