"""Queries that Prometheus accepts and answers with nothing, or with a wrong number; one lint for panels and rules.

Each rule was a fault in a published dashboard. Variables of Grafana may stand where a window or a value would.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, ParenExpr

from dashboards.checks.syntax import (
    Operation,
    Query,
    Selector,
    grouping_labels,
    name_of,
    nodes,
    operator_of,
    parse,
)
from dashboards.engines import DECLARED, engines
from dashboards.rules.groups import SCRAPES_PER_WINDOW, Group, Recording, Timing
from dashboards.sources import is_plain, spellings
from exporters.profiles.signals import SIGNALS
from exporters.series.family import Kind

_OF_PROMETHEUS = ("up", "scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE")
_RATES = frozenset({"rate", "irate", "increase"})
# What may be asked of a counter without a rate: whether it is there, or how often it began anew.
_OF_COUNTERS = _RATES | {
    "delta",
    "resets",
    "absent",
    "absent_over_time",
    "present_over_time",
    "count",
    "count_over_time",
}
_SCOPE = frozenset(
    {
        "cluster",
        "namespace",
        "job",
        "instance",
        "pod",
        "node",
        "zone",
        "model",
        "model_name",
        "engine",
        "runtime",
    }
)
_PARTS = ("_bucket", "_count", "_sum")
_RATE_INTERVAL = "$__rate_interval"
_SHOWN = "$__range"
"""All the time that a dashboard shows: hardly ever fewer than four scrapes."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name in a query stands for."""

    kind: Kind
    """Of the series itself: the parts of a histogram are counters."""
    unit: str = ""
    edges: tuple[float, ...] = ()
    """Of buckets, where they are known."""
    part: bool = False
    """Of a histogram."""


def meanings(name: str, kind: Kind, unit: str = "", edges: Sequence[float] = ()) -> dict[str, Meaning]:
    """What a family's series mean: a histogram has three, and none of its own name."""
    if kind != "histogram":
        return {name: Meaning(kind, unit)}
    return {f"{name}{part}": Meaning("counter", unit, tuple(edges), part=True) for part in _PARTS}


def known_series(groups: Iterable[Group] = ()) -> dict[str, Meaning]:
    """Our declared families, those of every engine profile, Prometheus' own, and what the groups record."""
    known = {name: Meaning("gauge") for name in _OF_PROMETHEUS}
    for engine in engines():
        for signal in engine.profile.signals:
            for source in engine.of(signal):
                unit = SIGNALS[signal].unit if source.kind == "gauge" else ""
                expression = f"(?:{source.name})"
                for part, meaning in meanings("", source.kind, unit, source.edges).items():
                    name = source.name if not part or is_plain(source.name) else expression
                    known[f"{name}{part}"] = meaning
    for family in DECLARED.values():
        known |= meanings(family.name, family.kind, family.unit, family.buckets)
    recorded = (rule.record for group in groups for rule in group.rules if isinstance(rule, Recording))
    return known | {name: Meaning("gauge") for name in recorded}


def problems_of_rules(groups: Iterable[Group], known: Mapping[str, Meaning], timing: Timing) -> list[str]:
    """What is wrong with the rules, one sentence each that names the rule."""
    found = []
    for rule in (rule for group in groups for rule in group.rules):
        said = problems(rule.expr, known, timing.scrape_s)
        if isinstance(rule, Recording):
            said += _of_recording(rule, known)
            if rule.record.endswith("_sum:rate"):
                said = [problem for problem in said if "seconds per second" not in problem]
        found += [
            f"{rule.record if isinstance(rule, Recording) else rule.name}: {problem}" for problem in said
        ]
    return found


def problems(expression: str, known: Mapping[str, Meaning], scrape_s: float = 1.0) -> list[str]:
    """What is wrong with one query, given the seconds between scrapes.

    Raises:
        ValueError: it cannot be read.
    """
    query = parse(expression)
    found: list[str] = []
    selected = list(query.selectors())
    knows_restarts = any(name_of(call) == "resets" for _, around in selected for call in around)
    for selector, around in selected:
        meaning = _meaning(selector.name, known)
        found += _of_kind(selector, around, meaning)
        found += () if knows_restarts else _of_deltas(selector, around, meaning)
        found += _of_buckets(selector, around, meaning)
        found += _of_window(selector, scrape_s)
    found += _sums_without_counts(query, known)
    for node in nodes(query.tree):
        if isinstance(node, BinaryExpr) and operator_of(node) == "/":
            found += _of_division(query, node)
        if isinstance(node, Call | AggregateExpr):
            found += _of_call(node)
    return list(dict.fromkeys(found))


def metric_names(expression: str) -> set[str]:
    """The names, or expressions over names, of the series that a query reads."""
    return {selector.name for selector, _ in parse(expression).selectors()}


def _meaning(name: str, known: Mapping[str, Meaning]) -> Meaning | None:
    if name in known or (is_plain(name) and not name.startswith("prometheus_")):
        return known.get(name)
    if is_plain(name):  # of Prometheus itself
        return Meaning("counter" if name.endswith("_total") else "gauge")
    return next((meaning for other, meaning in known.items() if re.fullmatch(name, other)), None)


def _of_kind(selector: Selector, around: Sequence[Operation], known: Meaning | None) -> Iterator[str]:
    name = selector.name
    nearest = next((of for of in map(name_of, reversed(around)) if of != "label_replace"), "")
    if known is None:
        yield f"{name} is exported by nobody and recorded by no rule: the answer is always empty"
    elif known.kind == "counter" and nearest not in _OF_COUNTERS:
        yield f"{name} is a counter, read as if it were a gauge: it tells the time since start"
    elif known.kind == "gauge" and nearest in _RATES:
        yield f"{name} is a gauge: {nearest}() takes each fall for a restart"
    elif known.unit == "ratio" and nearest in ("sum", "avg"):
        yield f"{nearest}() of {name}, a ratio: an idle replica counts as much as a busy one"


def _of_deltas(selector: Selector, around: Sequence[Operation], known: Meaning | None) -> Iterator[str]:
    if known is not None and known.kind == "counter" and any(name_of(call) == "delta" for call in around):
        yield f"delta() of {selector.name}, a counter: negative after a restart, and resets() is not asked"


def _of_buckets(selector: Selector, around: Sequence[Operation], known: Meaning | None) -> Iterator[str]:
    if "_bucket" not in selector.name:
        return
    limits = [(operator, value) for label, operator, value in selector.matchers if label == "le"]
    if not limits and any("le" not in by for call in around if (by := grouping_labels(call)) is not None):
        yield f"{selector.name} summed without le: buckets are cumulative, each request counts many times"
    for operator, value in limits:
        spelled = set(value.replace("\\", "").split("|")) if operator == "=~" else {value}
        for edge in spelled - {"+Inf"}:
            if known is not None and known.edges and float(edge) not in known.edges:
                yield f"{selector.name}: le={edge} is no bucket edge: the series does not exist"
            if not spellings(float(edge)) <= spelled:
                yield f"{selector.name}: le={edge} is spelled otherwise by other exporters and by Prometheus 3.x"


def _of_window(selector: Selector, scrape_s: float) -> Iterator[str]:
    if isinstance(selector.window, str) and selector.window not in (_RATE_INTERVAL, _SHOWN):
        yield f"{selector.name}[{selector.window}] may span fewer than four scrapes: use {_RATE_INTERVAL}"
    elif isinstance(selector.window, float) and selector.window < SCRAPES_PER_WINDOW * scrape_s:
        yield f"{selector.name}[{selector.window:g}s] spans fewer than four scrapes of {scrape_s:g} s"


def _sums_without_counts(query: Query, known: Mapping[str, Meaning]) -> Iterator[str]:
    names = {selector.name for selector, _ in query.selectors()}
    for name in sorted(names):
        if name in known and known[name].kind == "counter" and not known[name].part:
            continue  # a sum of tokens, exported as one of a histogram's series
        if re.search(r"_sum(:rate)?$", name) and re.sub(r"_sum(:rate)?$", r"_count\1", name) not in names:
            yield f"{name} without its _count: seconds per second, not a mean"


def _of_division(query: Query, division: BinaryExpr) -> Iterator[str]:
    above, below = ([each for each, _ in query.selectors(side)] for side in (division.lhs, division.rhs))
    if above and below:
        narrowed = _scope(above) ^ _scope(below)
        if narrowed:
            labels = ", ".join(sorted(label for label, _, _ in narrowed))
            yield f"only one side of a division is narrowed by {labels}"
    guarded = any(map(_is_above_zero, (division.lhs, division.rhs)))
    if below and not guarded and [each.name for each in below] != ["slo:error_budget:ratio"]:
        yield "0 / 0 is NaN, and a NaN is drawn as nothing: divide by (... > 0)"


def _is_above_zero(side: Expr) -> bool:
    """A pair of parentheses around a comparison."""
    return isinstance(side, ParenExpr) and operator_of(side.expr) == ">"


def _scope(found: Sequence[Selector]) -> set[tuple[str, str, str]]:
    return {matcher for selector in found for matcher in selector.matchers if matcher[0] in _SCOPE}


def _of_call(call: Operation) -> Iterator[str]:
    name, inside = name_of(call), [node for node in nodes(call) if node is not call]
    if name in ("avg", "avg_over_time") and any(map(_is_ratio_or_quantile, inside)):
        yield f"{name}() of ratios or quantiles: an idle replica counts as much as a busy one"
    aggregations = [node for node in inside if isinstance(node, AggregateExpr)]
    if name in _RATES and aggregations:
        yield f"{name}() after aggregation: the restart of one replica looks like a jump of all"
    if name == "histogram_quantile" and not any(
        "le" in (grouping_labels(each) or ()) for each in aggregations
    ):
        yield "a quantile per replica: sum the buckets by le first"


def _is_ratio_or_quantile(node: Expr) -> bool:
    return operator_of(node) == "/" or (isinstance(node, Call) and name_of(node) == "histogram_quantile")


def _of_recording(rule: Recording, known: Mapping[str, Meaning]) -> Iterator[str]:
    if "histogram_quantile" in rule.expr:
        yield "a recorded quantile cannot be aggregated any further: record the rates of the buckets"
    for selector, around in parse(rule.expr).selectors():
        meaning = _meaning(selector.name, known)
        if meaning and meaning.kind == "counter" and not {name_of(call) for call in around} & _RATES:
            yield f"{selector.name} recorded raw: a counter read at the rule's time hides resets"
