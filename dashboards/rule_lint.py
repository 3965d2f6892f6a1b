"""What promtool does not see: queries that are valid and wrong. Each rule was a fault in a published dashboard."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dashboards.recording_rules import DECLARED, Kind
from dashboards.rule_groups import SCRAPES_PER_WINDOW, Group, Recording, Timing
from dashboards.rule_queries import Call, Query, Selector, parse, parts, selectors, walk

_OF_PROMETHEUS = frozenset({"up", "scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE"})
_RATES = frozenset({"rate", "irate", "increase"})
# What may be asked of a counter without a rate: whether it is there, or how often it began anew.
_OF_COUNTERS = _RATES | {
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


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The series that queries may name."""

    kinds: Mapping[str, Kind]
    """By family; of a histogram, its parts are known as well."""
    edges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Bucket edges by family."""

    def kind(self, name: str) -> Kind | None:
        """What one series is, None when nobody exports or records it."""
        if name in _OF_PROMETHEUS or name.startswith("prometheus_"):
            return "counter" if name.endswith("_total") else "gauge"
        found = self.kinds.get(name)
        if found == "histogram":
            return None  # only its parts are series
        return found or ("counter" if self.kinds.get(_family(name)) == "histogram" else None)


def catalogue(groups: Iterable[Group]) -> Catalogue:
    """Our declared families, and what rules record: rates and ratios, so gauges."""
    declared = DECLARED.values()
    recorded = {rule.record for group in groups for rule in group.rules if isinstance(rule, Recording)}
    kinds: dict[str, Kind] = {family.name: family.kind for family in declared}
    return Catalogue(
        kinds | dict.fromkeys(recorded, "gauge"),
        {family.name: family.buckets for family in declared if family.buckets},
    )


def lint_groups(groups: Iterable[Group], known: Catalogue, timing: Timing) -> list[str]:
    """What is wrong with the rules, one sentence each that names the rule."""
    found = []
    for rule in (rule for group in groups for rule in group.rules):
        name = rule.record if isinstance(rule, Recording) else rule.name
        problems = lint(rule.expr, known, timing.scrape_s)
        if isinstance(rule, Recording):
            problems += _of_recording(rule)
            if rule.record.endswith("_sum:rate"):
                problems = [problem for problem in problems if "seconds per second" not in problem]
        found += [f"{name}: {problem}" for problem in problems]
    return found


def lint(expr: str, known: Catalogue, scrape_s: float) -> list[str]:
    """What is wrong with one query, given the seconds between scrapes.

    Raises:
        ValueError: it cannot be read.
    """
    query = parse(expr)
    found: list[str] = []
    for selector, around in walk(query):
        found += _of_kind(selector, around, known)
        found += _of_buckets(selector, around, known)
        if selector.window_s is not None and selector.window_s < SCRAPES_PER_WINDOW * scrape_s:
            found.append(
                f"{selector.name}[{selector.window_s:g}s] spans fewer than four scrapes of {scrape_s:g} s"
            )
    found += _sums_without_counts(query)
    for part in parts(query):
        found += _of_ratios(part)
        found += _of_calls(part)
    return list(dict.fromkeys(found))


def _family(name: str) -> str:
    bare = re.sub(r":rate$", "", name)
    return next((bare.removesuffix(part) for part in _PARTS if bare.endswith(part)), bare)


def _of_kind(selector: Selector, around: Sequence[Call], known: Catalogue) -> Iterator[str]:
    if not selector.name:
        return
    kind = known.kind(selector.name)
    nearest = next((call.name for call in reversed(around) if call.name), "")
    if kind is None:
        yield f"{selector.name} is exported by nobody and recorded by no rule: the answer is always empty"
    elif kind == "counter" and nearest not in _OF_COUNTERS:
        yield f"{selector.name} is a counter, read as if it were a gauge: it tells the time since start"
    elif kind == "gauge" and nearest in _RATES:
        yield f"{selector.name} is a gauge: {nearest}() takes each fall for a restart"


def _of_buckets(selector: Selector, around: Sequence[Call], known: Catalogue) -> Iterator[str]:
    if "_bucket" not in selector.name:
        return
    limits = [(operator, value) for label, operator, value in selector.matchers if label == "le"]
    kept = [call.keeps for call in around if call.keeps is not None]
    if not limits and any("le" not in labels for labels in kept):
        yield f"{selector.name} summed without le: buckets are cumulative, each request counts many times"
    edges = known.edges.get(_family(selector.name))
    for operator, value in limits:
        spelled = set(value.replace("\\", "").split("|")) if operator == "=~" else {value}
        for edge in spelled - {"+Inf"}:
            if edges is not None and float(edge) not in edges:
                yield f"{selector.name}: le={edge} is no bucket edge: the series does not exist"
            if not {f"{float(edge):.12g}", repr(float(edge))} <= spelled:
                yield f"{selector.name}: le={edge} is spelled otherwise by other exporters and by Prometheus 3.x"


def _sums_without_counts(query: Query) -> Iterator[str]:
    names = {selector.name for selector, _ in walk(query)}
    for name in names:
        if re.search(r"_sum(:rate)?$", name) and re.sub(r"_sum(:rate)?$", r"_count\1", name) not in names:
            yield f"{name} without its _count: seconds per second, not a mean"


def _of_ratios(query: Query) -> Iterator[str]:
    for at, operator in enumerate(query.operators):
        if operator != "/":
            continue
        above, below = (_scope(selectors(query.operands[side])) for side in (at, at + 1))
        if above is not None and below is not None and above != below:
            labels = ", ".join(sorted(label for label, _, _ in above ^ below))
            yield f"only one side of a division is narrowed by {labels}"


def _scope(found: Sequence[Selector]) -> set[tuple[str, str, str]] | None:
    if not found:
        return None
    return {matcher for selector in found for matcher in selector.matchers if matcher[0] in _SCOPE}


def _of_calls(query: Query) -> Iterator[str]:
    for operand in query.operands:
        if not isinstance(operand, Call):
            continue
        inside = [part for argument in operand.arguments for part in parts(argument)]
        if operand.name in ("avg", "avg_over_time") and any(_is_ratio_or_quantile(part) for part in inside):
            yield f"{operand.name}() of ratios or quantiles: an idle replica counts as much as a busy one"
        if operand.name == "histogram_quantile":
            kept = [call.keeps for part in inside for call in part.operands if isinstance(call, Call)]
            if any(labels is not None and "le" not in labels for labels in kept):
                yield "histogram_quantile() of buckets that lost their le"


def _is_ratio_or_quantile(query: Query) -> bool:
    calls = [operand for operand in query.operands if isinstance(operand, Call)]
    return "/" in query.operators or any(call.name == "histogram_quantile" for call in calls)


def _of_recording(rule: Recording) -> list[str]:
    found = []
    if "histogram_quantile" in rule.expr:
        found.append("a recorded quantile cannot be aggregated any further: record the rates of the buckets")
    bare = [selector for selector, around in walk(parse(rule.expr)) if not {c.name for c in around} & _RATES]
    found += [
        f"{selector.name} recorded raw: a counter read at the rule's time hides resets"
        for selector in bare
        if re.search(r"_(total|bucket|count|sum)$", selector.name)
    ]
    return found
