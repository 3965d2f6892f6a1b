"""Recording rules: one engine's families as rates and gauges under the engine-independent names of `inf:`.

Buckets are recorded as rates, never raw (a re-recorded counter hides resets) and never as quantiles (those
cannot be aggregated any further). Histograms lose the replica, everything else keeps it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dashboards.rule_groups import MINUTE_S, Group, Recording, Timing
from exporters import metrics, slo
from exporters.metrics import Family, Kind
from exporters.slo import Objective

FLEET = ("cluster", "namespace", "job")
REPLICA = (*FLEET, "instance", "pod")
RATE_WINDOW_S = MINUTE_S
REPLICAS_UP = "inf:replicas_up"

# How a gauge of several series per replica (ranks, processes) becomes one, and the unit that its name ends in.
_GAUGES = {
    "kv_usage": ("max", ":ratio"),
    "queue_age_seconds": ("max", ""),
    "gpu_fragmentation": ("max", ":ratio"),
    "gpu_up": ("min", ""),
    "replicas_ready": ("max", ""),
    "collector_success": ("min", ""),
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
    gateway_job: str = "gateway"
    objectives: Sequence[Objective] = slo.OBJECTIVES
    """Their bounds must be bucket edges of this engine."""

    def source(self, signal: str) -> Source | None:
        """Where the signal comes from; None when this engine does not tell it."""
        return next((source for source in self.sources if source.signal == signal), None)


def of_family(signal: str, family: Family) -> Source:
    """A family of our own: base units, labels called as in the schema."""
    labels = {label: label for label in family.labels}
    return Source(signal, family.name, family.kind, labels=labels, edges_s=family.buckets)


REFERENCE = Profile(
    runtime="reference",
    job="deepseek-metrics",
    sources=(
        of_family("request", metrics.REQUESTS),
        of_family("e2e_seconds", metrics.INFERENCE_LATENCY),
        of_family("ttft_seconds", metrics.TIME_TO_FIRST_TOKEN),
        of_family("itl_seconds", metrics.INTER_TOKEN_LATENCY),
        of_family("tpot_seconds", metrics.TIME_PER_OUTPUT_TOKEN),
        of_family("queue_seconds", metrics.QUEUE_TIME),
        of_family("queue_age_seconds", metrics.OLDEST_QUEUED_AGE),
        of_family("running", metrics.REQUESTS_RUNNING),
        of_family("waiting", metrics.REQUESTS_WAITING),
        of_family("kv_usage", metrics.KV_CACHE_USAGE),
        of_family("prefix_lookups", metrics.CACHE_QUERIES),
        of_family("prefix_hits", metrics.CACHE_HITS),
        of_family("tokens", metrics.TOKENS),
        of_family("gpu_up", metrics.GPU_UP),
        of_family("gpu_fragmentation", metrics.GPU_MEMORY_FRAGMENTATION),
        of_family("collector_success", metrics.COLLECTOR_SUCCESS),
        of_family("gateway_request", metrics.GATEWAY_REQUESTS),
        of_family("gateway_retries", metrics.GATEWAY_RETRIES),
        of_family("gateway_seconds", metrics.GATEWAY_REQUEST_SECONDS),
        of_family("replicas_ready", metrics.GATEWAY_READY),
    ),
)
"""The reference server, and the gateway of the local target."""


def recording_rules(profile: Profile, timing: Timing) -> Group:
    """Every signal that the engine tells, under its name in the schema, with the label `runtime`."""
    labels = {"runtime": profile.runtime}
    up = Recording(REPLICAS_UP, f'sum by ({", ".join(FLEET)}) (up{{job="{profile.job}"}})', labels)
    rules = [rule for source in profile.sources for rule in _rules(source, timing, labels)]
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


def _rules(source: Source, timing: Timing, labels: Mapping[str, str]) -> list[Recording]:
    window = timing.window(RATE_WINDOW_S)
    if source.kind == "counter":
        expr = _aggregated(source, "sum", REPLICA, f"rate({_selector(source)}[{window}])")
        return [Recording(recorded(source), _scaled(expr, source.unit_factor), labels)]
    if source.kind == "gauge":
        aggregation = _GAUGES.get(source.signal, ("sum", ""))[0]
        expr = _aggregated(source, aggregation, REPLICA, _selector(source))
        return [Recording(recorded(source), _scaled(expr, source.unit_factor), labels)]
    return [
        *_bucket_rules(source, window, labels),
        *(
            Recording(
                f"inf:{source.signal}_{part}:rate",
                _scaled(
                    _aggregated(source, "sum", FLEET, f"rate({_selector(source, f'_{part}')}[{window}])"),
                    factor,
                ),
                labels,
            )
            for part, factor in (("count", 1.0), ("sum", source.unit_factor))
        ),
    ]


def _bucket_rules(source: Source, window: str, labels: Mapping[str, str]) -> list[Recording]:
    record = f"inf:{source.signal}_bucket:rate"
    if source.unit_factor == 1:
        expr = f"rate({_selector(source, '_bucket')}[{window}])"
        return [Recording(record, _aggregated(source, "sum", (*FLEET, "le"), expr), labels)]
    # `le` is text: each edge in the exported unit gets a rule, whose label has it in seconds.
    exported = {
        f"{edge:.12g}": le_matcher(float(f"{edge / source.unit_factor:.12g}")) for edge in source.edges_s
    }
    return [
        Recording(
            record,
            _aggregated(source, "sum", FLEET, f"rate({_selector(source, '_bucket', le)}[{window}])"),
            {**labels, "le": edge},
        )
        for edge, le in {**exported, "+Inf": 'le="+Inf"'}.items()
    ]


def _selector(source: Source, suffix: str = "", le: str = "") -> str:
    matchers = [le] if le else []
    if re.fullmatch(r"[a-zA-Z_:][\w:]*", source.family):
        return f"{source.family}{suffix}" + (f"{{{', '.join(matchers)}}}" if matchers else "")
    name = f'__name__=~"{_quoted(source.family + suffix)}"'
    return f"{{{', '.join([name, *matchers])}}}"


def _quoted(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")


def _aggregated(source: Source, aggregation: str, keep: Sequence[str], expr: str) -> str:
    for wanted, exported in source.labels.items():
        if wanted != exported:
            expr = f'label_replace({expr}, "{wanted}", "$1", "{exported}", "(.+)")'
    kept = [*keep, *(label for label in source.labels if label not in keep)]
    return f"{aggregation} by ({', '.join(kept)}) ({expr})"


def _scaled(expr: str, factor: float) -> str:
    return expr if factor == 1 else f"{expr} * {factor:g}"
