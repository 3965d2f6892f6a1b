"""The few forms of PromQL that the dashboards use, each right once: rate before sum, ratios of sums, no 0 / 0.

Families come as declared, so that a renamed series breaks the build and not a panel. What may be asked of a
family is checked: a rate of a gauge, or a bound that is no bucket edge, is a ValueError.
"""

from collections.abc import Sequence

from dashboards.config import WINDOW
from dashboards.recording_rules import le_matcher
from exporters.families import Family


def selector(*matchers: str) -> str:
    """`{a="b",...}` of the matchers that are not empty."""
    given = ",".join(matcher for matcher in matchers if matcher)
    return f"{{{given}}}" if given else ""


def total_rate(family: Family, matchers: str, *, by: Sequence[str] = (), part: str = "") -> str:
    """Increments per second, summed; `part` is `_count` or `_sum` of a histogram."""
    if (family.kind == "histogram") != (part in ("_count", "_sum")) or family.kind == "gauge":
        raise ValueError(f"no rate of {family.name}{part}: it is a {family.kind}")
    return f"{_over('sum', by)} (rate({family.name}{part}{selector(matchers)}[{WINDOW}]))"


def greatest_rate(family: Family, matchers: str, *, by: Sequence[str]) -> str:
    """Increments per second of what several exporters tell of one device: the greatest, not the sum."""
    if family.kind != "counter":
        raise ValueError(f"no rate of {family.name}: it is a {family.kind}")
    return f"{_over('max', by)} (rate({family.name}{selector(matchers)}[{WINDOW}]))"


def within(family: Family, matchers: str, bound_s: float, *, by: Sequence[str] = ()) -> str:
    """Observations per second at or below `bound_s` seconds: exact, because the bound is a bucket edge."""
    if bound_s not in family.buckets:
        raise ValueError(f"{bound_s:g} s is no bucket edge of {family.name}: {family.buckets}")
    buckets = f"{family.name}_bucket{selector(matchers, le_matcher(bound_s))}"
    return f"{_over('sum', by)} (rate({buckets}[{WINDOW}]))"


def quantile(q: float, family: Family, matchers: str, *, by: Sequence[str] = ()) -> str:
    """The q-quantile of a histogram over the window, absent where nothing was observed.

    It interpolates inside a bucket: for pictures, never for verdicts.
    """
    if family.kind != "histogram":
        raise ValueError(f"no quantile of {family.name}: it is a {family.kind}")
    buckets = f"rate({family.name}_bucket{selector(matchers)}[{WINDOW}])"
    # Without observations the quantile is NaN, and NaN is not >= 0.
    return f"histogram_quantile({q:g}, {_over('sum', ('le', *by))} ({buckets})) >= 0"


def now(operator: str, family: Family, matchers: str, *, by: Sequence[str] = ()) -> str:
    """A gauge as it is, aggregated: `sum` of amounts, `max` or `min` of shares and ages."""
    if family.kind != "gauge":
        raise ValueError(f"{family.name} is a {family.kind}: it has a rate, no present value")
    if operator == "sum" and family.unit == "ratio":
        raise ValueError(f"{family.name} is a ratio: a sum of ratios means nothing")
    return f"{_over(operator, by)} ({family.name}{selector(matchers)})"


def share(part: str, whole: str) -> str:
    """A ratio, absent while the whole is 0; a part that has no series yet counts as 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def per(amount: str, count: str) -> str:
    """A mean, absent while the count is 0."""
    return f"{amount} / ({count} > 0)"


def worst(count: int, expression: str) -> str:
    """The `count` greatest series at each step."""
    return f"topk({count}, {expression})"


def _over(operator: str, by: Sequence[str]) -> str:
    return f"{operator} by ({', '.join(by)})" if by else operator
