"""Recording rules: one engine's families as rates and gauges under the engine-independent names of `inf:`.

Buckets are recorded as rates, never raw (a re-recorded counter hides resets) and never as quantiles (those
cannot be aggregated any further). Histograms lose the replica, everything else keeps it.
"""

import math
from collections.abc import Mapping, Sequence

from dashboards.engines import Engine
from dashboards.rules.groups import MINUTE_S, Group, Recording, Timing
from dashboards.sources import Source, added, le_matcher, normalised
from exporters.profiles.signals import SIGNALS

FLEET = ("cluster", "namespace", "job")
REPLICA = (*FLEET, "instance", "pod")
RATE_WINDOW_S = MINUTE_S
REPLICAS_UP = "inf:replicas_up"

# How a gauge of several series per replica (ranks, processes) becomes one: amounts add up, states are as bad as
# the worst, and of the rest the greatest counts.
_SUMMED = frozenset({"running", "waiting", "gpu_memory_reserved"})
_LEAST = frozenset({"collector_success", "gpu_up", "gpu_clock", "probe_success"})
_UNITS_IN_NAMES = frozenset({"ratio", "bytes", "watts", "celsius", "hertz"})


def recording_rules(engine: Engine, timing: Timing) -> Group:
    """Every signal that the engine tells, under its name in the schema, with the label `runtime`."""
    labels = {"runtime": engine.runtime}
    up = Recording(REPLICAS_UP, f'sum by ({", ".join(FLEET)}) (up{{job="{engine.job}"}})', labels)
    rules = [rule for signal in engine.signals for rule in _rules(engine.of(signal), timing, labels)]
    return Group(f"inf:{engine.runtime}", [up, *rules])


def recorded(source: Source) -> str:
    """The name under which a signal is recorded; of a histogram, that of its count."""
    if source.kind == "gauge":
        unit = SIGNALS[source.signal].unit if source.signal in SIGNALS else ""
        return f"inf:{source.signal}{f':{unit}' if unit in _UNITS_IN_NAMES else ''}"
    return f"inf:{source.signal}{'_count' if source.kind == 'histogram' else ''}:rate"


def _rules(sources: Sequence[Source], timing: Timing, labels: Mapping[str, str]) -> list[Recording]:
    window, signal = timing.window(RATE_WINDOW_S), sources[0].signal
    if sources[0].kind == "gauge":
        aggregation = "sum" if signal in _SUMMED else "min" if signal in _LEAST else "max"
        return [Recording(recorded(sources[0]), _combined(sources, "", "", aggregation, REPLICA), labels)]
    if sources[0].kind == "counter":
        return [Recording(recorded(sources[0]), _combined(sources, "", window, "sum", REPLICA), labels)]
    return [
        *_bucket_rules(sources, window, labels),
        *(
            Recording(
                f"inf:{signal}_{part}:rate", _combined(sources, f"_{part}", window, "sum", FLEET), labels
            )
            for part in ("count", "sum")
        ),
    ]


def _bucket_rules(sources: Sequence[Source], window: str, labels: Mapping[str, str]) -> list[Recording]:
    record = f"inf:{sources[0].signal}_bucket:rate"
    if all(source.series.unit_factor == 1 for source in sources):
        return [Recording(record, _combined(sources, "_bucket", window, "sum", (*FLEET, "le")), labels)]
    # `le` is text: each edge in the exported unit gets a rule, whose label has it in seconds.
    rules = []
    for edge_s in (*sources[0].edges_s, math.inf):
        expr = _combined(sources, "_bucket", window, "sum", FLEET, edge_s)
        le = "+Inf" if edge_s == math.inf else f"{edge_s:.12g}"
        rules.append(Recording(record, expr, {**labels, "le": le}))
    return rules


def _exported_le(source: Source, edge_s: float) -> str:
    factor = source.series.unit_factor
    return 'le="+Inf"' if edge_s == math.inf else le_matcher(float(f"{edge_s / factor:.12g}"))


def _combined(
    sources: Sequence[Source],
    part: str,
    window: str,
    aggregation: str,
    keep: Sequence[str],
    edge_s: float | None = None,
) -> str:
    labels = [label for source in sources for label in (*source.labels, *source.series.fixed)]
    series = [
        normalised(source, part, window, () if edge_s is None else (_exported_le(source, edge_s),))
        for source in sources
    ]
    return f"{aggregation} by ({', '.join(dict.fromkeys((*keep, *labels)))}) ({added(series)})"
