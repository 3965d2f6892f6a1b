"""What a journal says of a part of the traffic in a phase, where a load has several."""

from chaos.record.entry import Entry, Number


class TrafficPart(Entry):
    """The requests of one profile and tenant in one phase."""

    profile: str | None = None
    """Left out where the part has none."""
    tenant: str | None = None
    phase: str
    n: int
    """Planned arrivals."""
    failed: int
    goodput: Number | None
    """Good per planned arrivals."""
    goodput_reason: str | None = None
    error_ratio: Number | None
    """Failures per planned arrivals."""
    error_ratio_reason: str | None = None
    ttft_p50_s: Number | None
    ttft_p50_s_reason: str | None = None
    ttft_p99_s: Number | None
    ttft_p99_s_reason: str | None = None
