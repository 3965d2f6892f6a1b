"""Recording rules: one engine's families as rates and gauges under the engine-independent names of `inf:`.

Buckets are recorded as rates, never raw (a re-recorded counter hides resets) and never as quantiles (those
cannot be aggregated any further). Histograms lose the replica, everything else keeps it.
"""

import math
import re
from collections.abc import Mapping, Sequence

from dashboards.engines import Engine, Source, is_plain
from dashboards.rule_groups import MINUTE_S, Group, Recording, Timing
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


def le_matcher(edge: float) -> str:
    """Matches a bucket edge in both spellings: as exported, and as Prometheus 3.x has it.

    Python's client writes `1.0`, Go's `1`; Prometheus 2.x keeps either, 3.x stores `1.0`.
    """
    spelled = sorted(spellings(edge))
    if len(spelled) == 1:
        return f'le="{spelled[0]}"'
    return f'le=~"{quoted("|".join(map(re.escape, spelled)))}"'


def spellings(edge: float) -> set[str]:
    """How a finite bucket edge may be written on `le`."""
    return {repr(float(edge)), str(int(edge)) if edge == int(edge) else repr(float(edge))}


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


def selected(source: Source, part: str, matchers: Sequence[str] = ()) -> str:
    """A selector of the source, or of one `part` of it (`_bucket`); its own `where` goes with the matchers."""
    own = (f'{label}=~"{quoted(value)}"' for label, value in source.series.where.items())
    if is_plain(source.name):
        given = ", ".join([*own, *matchers])
        return f"{source.name}{part}" + (f"{{{given}}}" if given else "")
    expression = f"(?:{quoted(source.name)}){part}" if part else quoted(source.name)
    return f"{{{', '.join([f'__name__=~{chr(34)}{expression}{chr(34)}', *own, *matchers])}}}"


def quoted(pattern: str) -> str:
    """A regular expression inside a string of PromQL."""
    return pattern.replace("\\", "\\\\")


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


def normalised(
    source: Source, part: str, window: str, matchers: Sequence[str] = (), function: str = "rate"
) -> str:
    """The series, or a function of a window of them, in the schema's unit, with its labels and values."""
    expr = selected(source, part, matchers)
    if window:
        expr = f"{function}({expr}[{window}])"
    if source.series.unit_factor != 1 and part in ("", "_sum"):
        expr = f"{expr} * {source.series.unit_factor:.12g}"
    return _named(source, expr)


def added(parts: Sequence[str]) -> str:
    """Series of one signal, each with its own labels, summed where those are the same."""
    if len(parts) == 1:
        return parts[0]
    # `or` drops what has the same labels on its left: a label of its own keeps each part.
    marked = (f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts))
    return f"sum without (part) ({' or '.join(marked)})"


def _named(source: Source, expr: str) -> str:
    """The series with the schema's labels and values."""
    for wanted, exported in source.labels.items():
        values, read = source.series.values.get(wanted, {}), exported
        if values and wanted == exported:  # what is overwritten must still be there to be matched
            read = "exported"
            expr = f'label_replace({expr}, "{read}", "$1", "{exported}", "(.*)")'
        elif wanted != exported:
            expr = f'label_replace({expr}, "{wanted}", "$1", "{exported}", "(.+)")'
        for pattern, value in reversed(tuple(values.items())):  # the first that matches is applied last
            expr = f'label_replace({expr}, "{wanted}", "{value}", "{read}", "{quoted(pattern)}")'
    for label, value in source.series.fixed.items():
        expr = f'label_replace({expr}, "{label}", "{value}", "", "")'
    return expr
