"""What a journal says of the load: what was offered, by whom, and what the rate was made of."""

from typing import Literal

from pydantic import ConfigDict

from chaos.record.entry import Entry, Number


class Capacity(Entry):
    """What the rate was made of."""

    measured: Number
    """Requests per second that the cluster carried within the objectives."""
    share: Number
    """Which share of it the rate is."""
    at_least: bool
    """Whether the cluster was not overloaded by the highest rate that was tried."""
    arrivals: int
    """Requests that were sent to find out."""
    took_s: Number
    """How long that took."""
    baseline_grew_from_s: Number | None = None
    """What the baseline was before it grew to hold the requests of every claim."""
    by_this_run: bool
    """Whether this run found it out, or another one of such a cluster: one that it repeats, or one of its catalogue."""


class Generator(Entry):
    """What the load generator said of itself: `load.json`. A key is missing where it did not come to say it."""

    model_config = ConfigDict(extra="allow")

    state: str | None = None
    start_monotonic_s: float | None = None
    """The zero of the run clock, on the host's monotonic clock."""
    planned: int = 0
    """Arrivals in the plan."""
    plan_sha256: str | None = None
    duration_s: float = 0.0
    """How long the plan is."""
    model: str | None = None
    rows: int | None = None
    dropped: int | None = None
    """Arrivals that were not sent because too many were in flight."""
    censored: int | None = None
    """Requests that had no end when the run had one."""
    lag: dict[str, float | None] | None = None
    """Of the dispatch, and of the generator's event loop; null where nothing was dispatched."""
    peak_in_flight: int | None = None
    clocks: list[dict[str, float | bool]] | None = None
    """Of each process of the load: whether it reads the first one's clock, else how far its own is from that, and how
    well that is known."""
    lost_workers: list[int] | None = None
    """Processes of the load that ended, or hung, before they reported."""
    stall_count: int | None = None
    """How often a process of the load stood still for 20 ms and more."""
    stalls: list[dict[str, float | str]] | None = None
    """The longest of those times: when, for how long, which process, and whether it was the garbage collector, the
    process computing (busy), or neither (stopped)."""


class Refusal(Entry):
    """Requests that failed in one way, with one explanation of their server."""

    outcome: str
    words: str
    """The first of the server's words, without keys and prompts; sentences that differ only in numbers are one."""
    count: int


class CommonAge(Entry):
    """Most requests that were cut had one age, whenever that was: a deadline is the likely cause."""

    age_s: Number
    """From when they were sent to when they were cut, the median."""
    count: int
    cut: int
    """Requests that were cut at all, not by the client."""


class Load(Entry):
    """What was offered, and what became of it."""

    planned: int
    """Arrivals in the plan."""
    sent: int
    """Arrivals that were sent: fewer when a run was cut short, or the client dropped some."""
    ok: int
    """Arrivals that were answered completely."""
    outcomes: dict[str, int]
    """How many arrivals of the plan had which outcome, those too that a run cut short never sent."""
    refusals: tuple[Refusal, ...] | None = None
    """What servers said when they refused, the most frequent first; left out where none did."""
    common_age: CommonAge | None = None
    """Where failures cluster at one age."""
    loop: Literal["open", "partly open"] = "open"
    """Open: every request leaves at its planned instant. Partly open: later turns of sessions wait for answers."""
    rate: Number | None
    """Of the plan, per second."""
    rate_reason: str | None = None
    capacity: Capacity | None
    """What the rate was made of, where it was a share of what the cluster carries."""
    capacity_reason: str | None = None
    offered_rate: Number | None
    """Arrivals that were dispatched per second of the plan."""
    offered_rate_reason: str | None = None
    lag_p99_s: Number | None
    """Of the generator: dispatch minus planned instant, by the rows."""
    lag_p99_s_reason: str | None = None
    warmup_s: Number
    """Where the warm-up ended and the baseline began."""
    plan_end_s: Number
    """Where the plan ended, or the run was cut short."""
    generator: Generator
