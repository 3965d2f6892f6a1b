"""The parts of a journal. These types are its schema: the table in the docs and the JSON Schema are made from them.

Seconds are floats on the run clock, unless a key says since when they count.
"""

from chaos.measuring.recovery_time import Status
from chaos.measuring.timeline import OCCURRENCE
from chaos.record.cold_start import ColdStart
from chaos.record.entry import Entry, Number
from chaos.record.verdict import Verdict


class Slo(Entry):
    """What makes an answer good."""

    ttft_s: Number
    """The first token came within this time of the planned instant."""
    e2e_s: Number
    """The last one did."""
    itl_s: Number | None
    """No gap between two tokens was longer."""
    itl_s_reason: str | None = None
    tpot_s: Number | None = None
    """The mean time per token after the first was not longer."""
    tpot_s_reason: str | None = None


class Fault(Entry):
    """One occurrence of a fault."""

    id: str
    """Of this occurrence: `delay-30#2`."""
    name: str
    kind: str
    plane: str
    """What it touches: process, network, host, application or telemetry."""
    done: str
    """What became of its targets, after `3 of 10 replicas`."""
    fidelity: str
    """How near the target came to what the manifest asks for: exact, modelled or approximate."""
    fidelity_reason: str
    """What the difference is, or why there is none; may be empty."""
    started_s: Number
    """Not later than its first effect."""
    lasts: bool
    """Whether it is in force until it is undone."""
    ended_s: Number | None
    """When it was undone."""
    ended_s_reason: str | None = None
    targets: tuple[str, ...]
    """The replicas that it hit."""
    candidates: int
    """How many replicas its selector matched."""
    verified: bool
    """Whether independent evidence shows that every target was hit."""
    evidence: tuple[str, ...]
    """A sentence for each look: at whom, and what was seen."""
    undone: bool | None
    """Whether independent evidence shows that it is over."""
    undone_reason: str | None = None
    condition: str | None = None
    """What it waited for, with the value that this had when it was injected."""
    condition_reason: str | None = None
    detection_s: Number | None = None
    """From its start to the first sign that the cluster itself knew of it."""
    detection_s_reason: str | None = None
    detection: str | None = None
    """What that sign was."""
    detection_reason: str | None = None


class StatusCheck(Entry):
    """A StatusCheck of a Workflow."""

    id: str
    """Such as `ready#1`."""
    workflow: str
    """Whose it is, by name."""
    asks: str
    """What it asked how often, and which statuses were good."""
    began_s: Number
    ended_s: Number
    good: int
    """Good answers."""
    bad: int
    """Bad ones, and none in time."""
    saw: str
    """The latest answer; empty where there was none."""
    how: str
    """How it came to its end: which threshold was met, or whose time was over."""
    aborted: bool
    """Whether its Workflow was aborted by it."""
    withheld: tuple[str, ...]
    """Occurrences of faults that were not injected because of that."""


class Phase(Entry):
    """The indicators of a stretch of the run; an arrival belongs to it by its planned instant."""

    name: str
    """`baseline`, `fault` (first start to last end), `fault:<id>` of each occurrence, `recovery`; or `observation`."""
    start_s: Number
    end_s: Number
    n: int
    """Planned arrivals; of a run that was cut short, those that were sent and had their answer by then."""
    good: int
    failed: int
    """Those of them that failed."""
    goodput: Number | None
    """Good per planned arrivals."""
    goodput_reason: str | None = None
    goodput_interval: tuple[Number, Number] | None
    """95 % interval."""
    goodput_interval_reason: str | None = None
    goodput_rate: Number | None
    """Good arrivals per second."""
    goodput_rate_reason: str | None = None
    error_ratio: Number | None
    """Failures per planned arrivals."""
    error_ratio_reason: str | None = None
    error_ratio_interval: tuple[Number, Number] | None = None
    """95 % interval."""
    error_ratio_interval_reason: str | None = None
    ttft_p50_s: Number | None
    ttft_p50_s_reason: str | None = None
    ttft_p99_s: Number | None
    ttft_p99_s_reason: str | None = None
    ttft_p99_interval_s: tuple[Number, Number] | None
    """Distribution-free 95 % interval."""
    ttft_p99_interval_s_reason: str | None = None
    e2e_p99_s: Number | None
    e2e_p99_s_reason: str | None = None
    queue_p99_s: Number | None = None
    """Of the time in the server's queue, by its own histogram: the upper edge of the bucket; inf beyond the last."""
    queue_p99_s_reason: str | None = None
    queue_p99_interval_s: tuple[Number, Number] | None = None
    """Edges of buckets that it lies between, with 95 % confidence."""
    queue_p99_interval_s_reason: str | None = None
    lost_tokens: int | None = None
    """Counted by the server in complete answers, and not arrived."""
    lost_tokens_reason: str | None = None
    doubled_tokens: int | None = None
    """Arrived in complete answers beyond what the server counted."""
    doubled_tokens_reason: str | None = None

    @property
    def of_occurrence(self) -> bool:
        """Whether it is the window of one occurrence of a fault, and lies within the fault phase."""
        return self.name.startswith(OCCURRENCE)


class Recovery(Entry):
    """When it was good again. Seconds count from the start of the first fault, unless the key says otherwise."""

    service_s: Number | None
    """0 without impact, inf when not recovered."""
    service_s_reason: str | None = None
    """Stands beside inf as well."""
    service_interval_s: tuple[Number, Number] | None = None
    """At least and at most so long, with 95 % confidence; inf where no end is proved."""
    service_interval_s_reason: str | None = None
    service_status: Status
    service_after_end_s: Number | None
    """The same since the last fault ended."""
    service_after_end_s_reason: str | None = None
    capacity_s: Number | None
    """All wanted replicas ready, and each new one serving."""
    capacity_s_reason: str | None = None
    """Stands beside inf as well."""
    capacity_status: Status
    cache_s: Number | None = None
    """Prefix caches find as much as before, by the cluster's own series; inf where they did not."""
    cache_s_reason: str | None = None
    """Stands beside inf as well."""
    cache_interval_s: tuple[Number, Number] | None = None
    """At least and at most so long: a sample is the share of the seconds before it."""
    cache_interval_s_reason: str | None = None
    cold_start_s: Number | None = None
    """The longest time from the creation of a new replica to its readiness; inf where one never was ready."""
    cold_start_s_reason: str | None = None
    cold_starts: tuple[ColdStart, ...] | None = None
    """Of each replica that came into being after the fault, the earliest first."""
    cold_starts_reason: str | None = None
    detection_s: Number | None = None
    """From the start of a fault until the cluster itself knew of it, the slowest of all; inf where it never did."""
    detection_s_reason: str | None = None
    """What the sign was; stands beside a number as well."""
    first_touch_s: Number | None
    """When the first disturbance ended: earlier than `service_s` when the service flapped."""
    first_touch_s_reason: str | None = None
    resolution_s: Number | None
    """The gap between the last bad arrival and the next one: nothing was asked between them."""
    resolution_s_reason: str | None = None
    relapse_s: Number | None
    """Start of the first disturbance after the full hold."""
    relapse_s_reason: str | None = None
    lost_requests: int | None
    """Requests that failed: struck or broken off by the fault, or planned later."""
    lost_requests_reason: str | None = None
    goodput: Number
    """Share of the baseline's goodput that must be reached."""
    error_ratio: Number
    """Failures per planned arrival beyond the baseline's that are tolerated."""
    window_s: Number
    """How long a partial loss is of which the design speaks."""
    hold_s: Number
    """How long after its end a disturbance must not come back."""
    within_s: Number
    """Later than this is not recovered."""
    cache: Number | None = None
    """Share of the baseline's hit ratio of prefix caches that must be reached."""

    def status(self, name: str) -> Status:
        """Of `service` or `capacity`."""
        return self.capacity_status if name == "capacity" else self.service_status

    def seconds(self, name: str) -> float | None:
        """Of `service` or `capacity`."""
        return self.capacity_s if name == "capacity" else self.service_s

    def reason(self, name: str) -> str | None:
        """Why `service`, `capacity`, `first_touch` or `service_after_end` has no value, or an infinite one."""
        return {
            "service": self.service_s_reason,
            "capacity": self.capacity_s_reason,
            "first_touch": self.first_touch_s_reason,
            "service_after_end": self.service_after_end_s_reason,
        }.get(name)


class UsualLevel(Entry):
    """How good the service is when nothing disturbs it."""

    goodput: Number
    """Good per planned arrivals."""
    source: str
    """baseline, median (of all windows), or objective (what was asked for) where that is too low to be healthy."""


class Disturbance(Entry):
    """A stretch in which the service was worse than it usually is, whoever caused it."""

    start_s: Number
    """When the first of its bad requests failed; of one that was slow, when it was planned."""
    ended_s: Number | None
    """The good arrival that a full hold without a disturbance follows."""
    ended_s_reason: str | None = None
    good_again_s: Number | None
    """The good arrival behind it where the end of the observation cut that hold short."""
    good_again_s_reason: str | None = None
    length_s: Number
    """Up to its end, or for as long as it was observed."""
    length_interval_s: tuple[Number, Number] | None = None
    """At least and at most so long, with 95 % confidence."""
    length_interval_s_reason: str | None = None
    resolution_s: Number
    """Largest gap between the arrivals around its start and its end: it is known no finer."""
    arrivals: int
    """Requests that count in it."""
    bad: int
    """Those of them that were not good."""
    outcomes: dict[str, int]
    """What became of the bad ones: failures by outcome, and `slow`."""


class Assertion(Entry):
    """One assertion and what became of it."""

    expression: str
    verdict: Verdict
    dimension: str
    """duration, ratio, count or rate: what the two numbers are."""
    observed: Number | None
    observed_reason: str | None = None
    interval: tuple[Number, Number] | None = None
    """At least and at most so much, with 95 % confidence; equal where it was counted."""
    interval_reason: str | None = None
    bound: Number
    n: int | None
    """Requests that the observed value rests on."""
    n_reason: str | None = None
    reason: str | None = None
    """Why it is inconclusive; only there when it is."""
