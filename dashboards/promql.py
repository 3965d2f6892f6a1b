"""The few forms of PromQL that the dashboards use, each right once: rate before sum, ratios of sums, no 0 / 0.

Families come as declared, so that a renamed series breaks the build and not a panel. What may be asked of a
family is checked: a rate of a gauge, or a bound that is no bucket edge, is a ValueError.
"""

from collections.abc import Sequence

from dashboards.config import WINDOW
from dashboards.recording_rules import le_matcher
from exporters.series.family import Family


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


def share_within(family: Family, bound_s: float, matchers: str, *, of: str) -> str:
    """Share of the observations `of` these matchers that match the others too, and are at or below `bound_s`."""
    if bound_s not in family.buckets:
        raise ValueError(f"{bound_s:g} s is no bucket edge of {family.name}: {family.buckets}")
    part = f"{family.name}_bucket{selector(matchers, le_matcher(bound_s))}"
    whole = f"{family.name}_count{selector(of)}"
    return share(
        f"sum ({_grown(part, whole, ignoring='le')})",
        f"sum ({_grown(whole, whole)})",
    )


def share_counted(part: Family, whole: Family, matchers: str, *, by: Sequence[str]) -> str:
    """Share of what one counter counts that another, with the same labels, counts too."""
    if {part.kind, whole.kind} != {"counter"} or part.labels != whole.labels:
        raise ValueError(f"{part.name} and {whole.name} are no counters with the same labels")
    counted, of = (f"{family.name}{selector(matchers)}" for family in (part, whole))
    return per(f"{_over('sum', by)} ({_grown(counted, of)})", f"{_over('sum', by)} ({_grown(of, of)})")


def _grown(series: str, whole: str, *, ignoring: str = "") -> str:
    """What a counter grew by in the window, so that it can be divided by what its `whole` grew by.

    A rate extrapolates to where its own counter was 0. Where a series begins inside the window that is further for
    a part whose first sample is nearer to 0 than its whole's, and the part became more than the whole: of a replica
    whose first tokens were slow, 114 % of the gaps were in time. A delta extrapolates both alike, as they are
    scraped together; it knows no restart, so where the whole had one the increase counts.
    """
    matched = f"unless ignoring ({ignoring})" if ignoring else "unless"
    return (
        f"delta({series}[{WINDOW}]) {matched} resets({whole}[{WINDOW}]) > 0 or increase({series}[{WINDOW}])"
    )


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
