"""Recording rules: one engine's families as rates and gauges under the engine-independent names of `inf:`.

Buckets are recorded as rates, never raw (a re-recorded counter hides resets) and never as quantiles (those
cannot be aggregated any further). Histograms lose the replica, everything else keeps it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dashboards.rule_groups import MINUTE_S, Group, Recording, Timing
from exporters import slo
from exporters.metrics import GROUPS
from exporters.slo import Objective

Kind = Literal["counter", "gauge", "histogram"]
DECLARED = {family.name: family for families in GROUPS.values() for family in families}
"""Our own families by name."""

FLEET = ("cluster", "namespace", "job")
REPLICA = (*FLEET, "instance", "pod")
RATE_WINDOW_S = MINUTE_S
REPLICAS_UP = "inf:replicas_up"

# How a gauge of several series per replica (ranks, processes) becomes one, and the unit that its name ends in.
_GAUGES = {
    "kv_usage": ("max", ":ratio"),
    "queue_age_seconds": ("max", ""),
    "replicas_ready": ("max", ""),
    "collector_success": ("min", ""),
    "gpu_up": ("min", ""),
    "gpu_memory_used": ("max", ":bytes"),
    "gpu_memory_total": ("max", ":bytes"),
    "gpu_memory_reserved": ("sum", ":bytes"),
    "gpu_memory_fragmentation": ("max", ":ratio"),
    "gpu_util": ("max", ":ratio"),
    "gpu_power": ("max", ":watts"),
    "gpu_temperature": ("max", ":celsius"),
    "gpu_clock": ("min", ":hertz"),
    "gpu_throttle": ("max", ""),
    "probe_success": ("min", ""),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where one signal of the `inf:` schema comes from."""

    signal: str
    """Its name in the schema, without the operation: `ttft_seconds`, `request`, `kv_usage`."""
    family: str
    """The exported name, or a regular expression where releases spell it differently: `vllm[:_]x`."""
    kind: Kind
    unit_factor: float = 1.0
    """What turns the exported unit into the schema's: 0.001 for milliseconds."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The schema's label to the exported one: `{"model": "model_name"}`."""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By label of the schema: the exported value, as a regular expression, to the schema's; the first match counts."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Labels that are the same on every sample: `{"tier": "device"}`."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Only samples whose exported labels match these regular expressions."""
    edges_s: tuple[float, ...] = ()
    """Bucket edges after conversion: checked against objectives, and needed where `unit_factor` is not 1."""

    def __post_init__(self) -> None:
        if self.kind == "histogram" and self.unit_factor != 1 and not self.edges_s:
            raise ValueError(f"{self.signal}: PromQL cannot multiply `le`: name the edges of {self.family}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine, as the rules see it."""

    runtime: str
    job: str
    """The scrape job of its replicas."""
    sources: Sequence[Source]
    """Several of one signal add up; spellings of different releases exclude each other, so they do no harm."""
    gateway_job: str = "gateway"
    objectives: Sequence[Objective] = slo.OBJECTIVES
    """Their bounds must be bucket edges of this engine."""

    def of(self, signal: str) -> tuple[Source, ...]:
        """Where the signal comes from; nothing when this engine does not tell it."""
        return tuple(source for source in self.sources if source.signal == signal)


def ours(signal: str, name: str) -> Source:
    """A family of our own: base units, labels called as in the schema."""
    family = DECLARED[name]
    labels = {label: label for label in family.labels}
    return Source(signal, family.name, family.kind, labels=labels, edges_s=family.buckets)


_OURS = {
    "request": "ds_requests_total",
    "e2e_seconds": "ds_inference_latency_seconds",
    "ttft_seconds": "ds_time_to_first_token_seconds",
    "itl_seconds": "ds_inter_token_latency_seconds",
    "tpot_seconds": "ds_time_per_output_token_seconds",
    "queue_seconds": "ds_queue_time_seconds",
    "queue_age_seconds": "ds_oldest_queued_request_age_seconds",
    "running": "ds_requests_running",
    "waiting": "ds_requests_waiting",
    "kv_usage": "ds_kv_cache_usage_ratio",
    "prefix_lookups": "ds_cache_queries_total",
    "prefix_hits": "ds_cache_hits_total",
    "tokens": "ds_tokens_total",
    "gpu_up": "ds_gpu_up",
    "gpu_memory_fragmentation": "ds_gpu_memory_fragmentation_ratio",
    "collector_success": "ds_collector_success",
    "gateway_request": "ds_gateway_requests_total",
    "gateway_retries": "ds_gateway_retries_total",
    "gateway_seconds": "ds_gateway_request_seconds",
    "replicas_ready": "ds_gateway_replicas_ready",
    "gpu_throttle": "ds_gpu_throttle_active",
    "gpu_xid_events": "ds_gpu_xid_events_total",
    "comm_seconds": "ds_comm_latency_seconds",
    "comm_failures": "ds_comm_failures_total",
    "probe_success": "ds_probe_success",
}

REFERENCE = Profile(
    runtime="reference",
    job="deepseek-metrics",
    # A family that these exporters do not declare is a signal that nobody tells: no rule, no alert, no partner.
    sources=tuple(ours(signal, name) for signal, name in _OURS.items() if name in DECLARED),
)
"""The reference server, and the gateway of the local target."""


def recording_rules(profile: Profile, timing: Timing) -> Group:
    """Every signal that the engine tells, under its name in the schema, with the label `runtime`."""
    labels = {"runtime": profile.runtime}
    up = Recording(REPLICAS_UP, f'sum by ({", ".join(FLEET)}) (up{{job="{profile.job}"}})', labels)
    signals = dict.fromkeys(source.signal for source in profile.sources)
    rules = [rule for signal in signals for rule in _rules(profile.of(signal), timing, labels)]
    return Group(f"inf:{profile.runtime}", [up, *rules])


def recorded(source: Source) -> str:
    """The name under which a signal is recorded; of a histogram, that of its count."""
    if source.kind == "gauge":
        return f"inf:{source.signal}{_GAUGES.get(source.signal, ('sum', ''))[1]}"
    return f"inf:{source.signal}{'_count' if source.kind == 'histogram' else ''}:rate"


def le_matcher(edge: float) -> str:
    """Matches a bucket edge in both spellings: as exported, and as Prometheus 3.x has it.

    Python's client writes `1.0`, Go's `1`; Prometheus 2.x keeps either, 3.x stores `1.0`.
    """
    spelled = sorted({f"{edge:.12g}", repr(float(edge))})
    if len(spelled) == 1:
        return f'le="{spelled[0]}"'
    return f'le=~"{_quoted("|".join(map(re.escape, spelled)))}"'


def _rules(sources: Sequence[Source], timing: Timing, labels: Mapping[str, str]) -> list[Recording]:
    window, signal = timing.window(RATE_WINDOW_S), sources[0].signal
    if sources[0].kind == "gauge":
        aggregation = _GAUGES.get(signal, ("sum", ""))[0]
        parts = [_scaled(_selector(source), source.unit_factor) for source in sources]
        return [Recording(recorded(sources[0]), _combined(sources, parts, aggregation, REPLICA), labels)]
    if sources[0].kind == "counter":
        parts = [_scaled(f"rate({_selector(source)}[{window}])", source.unit_factor) for source in sources]
        return [Recording(recorded(sources[0]), _combined(sources, parts, "sum", REPLICA), labels)]
    counts = [f"rate({_selector(source, '_count')}[{window}])" for source in sources]
    sums = [_scaled(f"rate({_selector(source, '_sum')}[{window}])", source.unit_factor) for source in sources]
    return [
        *_bucket_rules(sources, window, labels),
        Recording(f"inf:{signal}_count:rate", _combined(sources, counts, "sum", FLEET), labels),
        Recording(f"inf:{signal}_sum:rate", _combined(sources, sums, "sum", FLEET), labels),
    ]


def _bucket_rules(sources: Sequence[Source], window: str, labels: Mapping[str, str]) -> list[Recording]:
    record = f"inf:{sources[0].signal}_bucket:rate"
    if all(source.unit_factor == 1 for source in sources):
        parts = [f"rate({_selector(source, '_bucket')}[{window}])" for source in sources]
        return [Recording(record, _combined(sources, parts, "sum", (*FLEET, "le")), labels)]
    # `le` is text: each edge in the exported unit gets a rule, whose label has it in seconds.
    rules = []
    for edge_s in (*sources[0].edges_s, math.inf):
        parts = [
            f"rate({_selector(source, '_bucket', _exported_le(source, edge_s))}[{window}])"
            for source in sources
        ]
        le = "+Inf" if edge_s == math.inf else f"{edge_s:.12g}"
        rules.append(Recording(record, _combined(sources, parts, "sum", FLEET), {**labels, "le": le}))
    return rules


def _exported_le(source: Source, edge_s: float) -> str:
    return 'le="+Inf"' if edge_s == math.inf else le_matcher(float(f"{edge_s / source.unit_factor:.12g}"))


def _selector(source: Source, suffix: str = "", le: str = "") -> str:
    matchers = [
        *(f'{label}=~"{_quoted(value)}"' for label, value in source.where.items()),
        *([le] if le else []),
    ]
    if re.fullmatch(r"[a-zA-Z_:][\w:]*", source.family):
        return f"{source.family}{suffix}" + (f"{{{', '.join(matchers)}}}" if matchers else "")
    name = f'__name__=~"(?:{_quoted(source.family)}){suffix}"'
    return f"{{{', '.join([name, *matchers])}}}"


def _quoted(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")


def _combined(sources: Sequence[Source], parts: Sequence[str], aggregation: str, keep: Sequence[str]) -> str:
    named = [_named(source, part) for source, part in zip(sources, parts, strict=True)]
    if len(named) > 1:  # `or` drops what has the same labels on its left: a label of its own keeps each part
        named = [f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(named)]
    labels = [label for source in sources for label in (*source.labels, *source.fixed)]
    return f"{aggregation} by ({', '.join(dict.fromkeys((*keep, *labels)))}) ({' or '.join(named)})"


def _named(source: Source, expr: str) -> str:
    """The series with the schema's labels and values."""
    for wanted, exported in source.labels.items():
        values, read = source.values.get(wanted, {}), exported
        if values and wanted == exported:  # what is overwritten must still be there to be matched
            read = "exported"
            expr = f'label_replace({expr}, "{read}", "$1", "{exported}", "(.*)")'
        elif wanted != exported:
            expr = f'label_replace({expr}, "{wanted}", "$1", "{exported}", "(.+)")'
        for pattern, value in reversed(tuple(values.items())):  # the first that matches is applied last
            expr = f'label_replace({expr}, "{wanted}", "{value}", "{read}", "{_quoted(pattern)}")'
    for label, value in source.fixed.items():
        expr = f'label_replace({expr}, "{label}", "{value}", "", "")'
    return expr


def _scaled(expr: str, factor: float) -> str:
    return expr if factor == 1 else f"{expr} * {factor:.12g}"
