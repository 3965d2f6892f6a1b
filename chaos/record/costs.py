"""The part of a journal that says what a request cost and how full the machine was."""

from chaos.record.entry import Entry, Number


class RoleCost(Entry):
    """What the processes of one role used in a phase."""

    cores: Number
    """Processor seconds per second."""
    ms_per_request: Number | None
    """Per planned arrival of the phase."""
    ms_per_request_reason: str | None = None


class ProcessorPhase(Entry):
    """How full the machine was in a phase, and with what."""

    name: str
    start_s: Number
    end_s: Number
    """Where the samples end, if they end within the phase."""
    full: bool
    """Whether contention may decide what is measured here."""
    why: str
    """Who used the cores."""
    machine_cores: int
    cores: Number
    busy_share: Number
    """Of the cores, or of the quota where that is fuller."""
    full_share: Number
    """Of the phase's time."""
    ours_cores: Number
    others_cores: Number
    """Busy, and nobody's of ours."""
    steal_cores: Number
    throttled_share: Number | None
    throttled_share_reason: str | None = None
    pressure_share: Number | None
    pressure_share_reason: str | None = None
    roles: dict[str, RoleCost]
    ms_per_token: Number | None
    """The replicas' time per token that reached a client."""
    ms_per_token_reason: str | None = None


class Processor(Entry):
    """What a request cost and how full the machine was."""

    machine_cores: int
    """Cores that this run may be scheduled on."""
    cores: Number
    """The same, or the tightest CPU quota over the run, where that is less."""
    full_at: Number
    """From which share of the cores on a moment counts as full."""
    note: str | None
    """What has to be known of the machine beside the verdict."""
    note_reason: str | None = None
    phases: tuple[ProcessorPhase, ...]
    """Baseline, fault and recovery, and `all` last."""
    unknown: dict[str, str]
    """Phases without samples."""
