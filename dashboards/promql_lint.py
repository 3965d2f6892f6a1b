"""What is wrong with a query that Prometheus would accept and answer with nothing, or with a wrong number.

Each rule stands for a query found in a published dashboard. It reads text, not a syntax tree: enough for the forms
that promql.py writes, and strict about others. Variables of Grafana may stand where a window or a value would.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporters.families import Family

_FUNCTION_OR_KEYWORD = frozenset(
    ["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"]
)
_NAME = re.compile(r"(?<![\w:$.])[a-zA-Z_:][\w:]*(?![\w:])")
_RATES = r"(?:rate|irate|increase)"
_AGGREGATION = r"(?:sum|avg|min|max|count|topk|bottomk)"
_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LEAST_SCRAPES = 4


@dataclass(frozen=True, slots=True)
class Series:
    """What a metric name in a query means."""

    family: Family
    cumulative: bool
    """Only its rate means anything: a counter, or a part of a histogram."""


def series_of(families: Mapping[str, Family]) -> dict[str, Series]:
    """Every name that a query may use, of families by name: histograms have three."""
    known: dict[str, Series] = {}
    for family in families.values():
        parts = ("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",)
        known |= {family.name + part: Series(family, cumulative=family.kind != "gauge") for part in parts}
    return known


def problems(
    expression: str,
    known: Mapping[str, Series],
    *,
    scrape_s: float = 1.0,
    unselected: frozenset[str] = frozenset(),
) -> list[str]:
    """Everything that is wrong with a query.

    Args:
        expression: the query, variables of Grafana included.
        known: every metric that there is.
        scrape_s: the scrape interval in seconds, of which a window must span four.
        unselected: metrics that no variable chooses among.
    """
    text = _without_strings(expression)
    return [
        *_unknown(text, known),
        *_raw_counters(text, known),
        *_rates_of_gauges(text, known),
        *_rate_after_aggregation(text),
        *_averages(text, known),
        *_seconds_per_second(text, known),
        *_quantiles(text),
        *_short_windows(text, scrape_s),
        *_unguarded_divisions(text),
        *_one_sided_matchers(expression, (metric_names(expression) & known.keys()) - unselected),
    ]


def metric_names(expression: str) -> set[str]:
    """The names of the metrics that a query reads."""
    text = _without_strings(expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    found = (match for match in _NAME.finditer(text))
    return {
        match.group()
        for match in found
        if match.group() not in _FUNCTION_OR_KEYWORD and not text[match.end() :].lstrip().startswith("(")
    }


def _without_strings(expression: str) -> str:
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', expression)


def _unknown(text: str, known: Mapping[str, Series]) -> Iterator[str]:
    for name in sorted(metric_names(text) - known.keys()):
        yield f"{name} is declared nowhere: the query is empty for ever"


def _raw_counters(text: str, known: Mapping[str, Series]) -> Iterator[str]:
    for name in sorted(metric_names(text) & known.keys()):
        uses = len(re.findall(rf"(?<![\w:]){re.escape(name)}(?![\w:])", text))
        rated = len(re.findall(rf"\b{_RATES}\s*\(\s*{re.escape(name)}(?![\w:])", text))
        if known[name].cumulative and uses > rated:
            yield f"{name} is cumulative: only its rate or increase means anything"


def _rates_of_gauges(text: str, known: Mapping[str, Series]) -> Iterator[str]:
    for name in re.findall(rf"\b{_RATES}\s*\(\s*([a-zA-Z_:][\w:]*)", text):
        if name in known and not known[name].cumulative:
            yield f"{name} is a gauge: it has no rate"


def _rate_after_aggregation(text: str) -> Iterator[str]:
    if re.search(rf"\b{_RATES}\s*\(\s*{_AGGREGATION}\b", text):
        yield "rate after aggregation: the restart of one replica looks like a jump of all; rate first"


def _averages(text: str, known: Mapping[str, Series]) -> Iterator[str]:
    if re.search(r"\bavg\b", text):
        yield "avg over replicas: a mean of means or of quantiles; divide sums, or take the quantile of summed buckets"
    for name in re.findall(r"\bsum\b(?:\s*(?:by|without)\s*\([^)]*\))?\s*\(\s*([a-zA-Z_:][\w:]*)", text):
        if name in known and known[name].family.unit == "ratio":
            yield f"{name} is a ratio: a sum of ratios means nothing"


def _seconds_per_second(text: str, known: Mapping[str, Series]) -> Iterator[str]:
    for name in metric_names(text):
        base = name.removesuffix("_sum")
        if base != name and name in known and f"{base}_count" not in metric_names(text):
            yield f"the rate of {name} alone is seconds per second, no latency: divide by that of {base}_count"


def _quantiles(text: str) -> Iterator[str]:
    for match in re.finditer(r"\bhistogram_quantile\s*\(\s*[\d.]+\s*,\s*(.{0,40})", text):
        if not re.match(r"sum by \([^)]*\ble\b", match.group(1)):
            yield "a quantile per replica: sum the buckets by le first"


def _short_windows(text: str, scrape_s: float) -> Iterator[str]:
    for window in re.findall(r"\[([^\]:]*)[^\]]*\]", text):
        if window.startswith("$__rate_interval"):
            continue
        parts = re.findall(r"(\d+)(ms|[smhd])", window)
        if not parts:
            yield f"the window {window} may hold fewer than {LEAST_SCRAPES} scrapes: use $__rate_interval"
        elif sum(int(count) * _DURATION_S[unit] for count, unit in parts) < LEAST_SCRAPES * scrape_s:
            yield f"the window {window} spans fewer than {LEAST_SCRAPES} scrapes"


def _unguarded_divisions(text: str) -> Iterator[str]:
    for match in re.finditer(r"/\s*", text):
        divisor = text[match.end() :]
        if not re.match(r"[\d.]+", divisor) and not _group(divisor).endswith("> 0)"):
            yield "0 / 0 is NaN, and a NaN is drawn as nothing: divide by (... > 0)"


def _group(text: str) -> str:
    """The parenthesised group that `text` begins with, or nothing."""
    depth = 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text[: index + 1] if text.startswith("(") else ""
    return ""


def _one_sided_matchers(expression: str, names: set[str]) -> Iterator[str]:
    choices = set()
    for name in names:
        for selected in re.findall(rf"(?<![\w:]){re.escape(name)}(?![\w:])(\{{[^}}]*\}})?", expression):
            choices.add(tuple(sorted(re.findall(r"\w+=~?\"\$\w+\"", selected))))
    if len(choices) > 1:
        yield "its parts choose different replicas: the same variables must stand in every selector"
