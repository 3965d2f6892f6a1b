"""The few forms of PromQL that the dashboards use, each right once: rate before sum, ratios of sums, no 0 / 0.

What is asked is a signal by its name, or one of our own families as declared, so that a renamed series breaks the
build and not a panel. What may be asked is checked: a rate of a gauge, or a bound that is no bucket edge, is a
ValueError. `scope` are matchers of the labels that the dashboard's variables choose by.
"""

from collections.abc import Sequence
from dataclasses import replace

from dashboards import config
from dashboards.queries.expression import Expression, Matcher, Samples, promql
from exporters.series.family import Family
from exporters.slo import Objective

Subject = str | Family
OK = Matcher("outcome", "=", "ok")
FAILED = Matcher("outcome", "=~", config.FAILED)


def total_rate(
    subject: Subject, scope: str, *matchers: Matcher, by: tuple[str, ...] = (), part: str = ""
) -> Expression:
    """Increments per second, summed; `part` is `_count` or `_sum` of a histogram."""
    counted = Samples(subject, scope, matchers, by, part, function="rate")
    declared = counted.declaration
    if (declared.kind == "histogram") != (part in ("_count", "_sum")) or declared.kind == "gauge":
        raise ValueError(f"no rate of {declared.name}{part}: it is a {declared.kind}")
    return promql(f"{_over('sum', by)} ({{counted}})", counted=counted)


def greatest_rate(subject: Subject, scope: str, *, by: tuple[str, ...]) -> Expression:
    """Increments per second of what several exporters tell of one device: the greatest, not the sum."""
    counted = Samples(subject, scope, by=by, function="rate")
    if counted.declaration.kind != "counter":
        raise ValueError(f"no rate of {counted.declaration.name}: it is a {counted.declaration.kind}")
    return promql(f"{_over('max', by)} ({{counted}})", counted=counted)


def within(subject: Subject, scope: str, bound: float | Objective, *matchers: Matcher) -> Expression:
    """Observations per second at or below a bound in seconds, or of an objective: exact where that is a bucket edge."""
    counted = _at_or_below(Samples(subject, scope, matchers, part="_bucket", function="rate"), bound)
    return promql("sum ({counted})", counted=counted)


def share_within(
    subject: Subject,
    scope: str,
    bound: float | Objective,
    *matchers: Matcher,
    failed: tuple[Subject, Matcher] | None = None,
) -> Expression:
    """Share of the observations that match, and are at or below a bound in seconds, or of an objective.

    What `failed` counts is missed as well: it may have come to no observation.
    """
    whole = Samples(subject, scope, part="_count")
    part = _at_or_below(Samples(subject, scope, matchers, part="_bucket"), bound)
    of = promql("sum ({grown})", grown=_grown(whole, whole))
    if failed is not None:
        missed = Samples(failed[0], scope, (failed[1],))
        of = promql("({of} + (sum ({grown}) or 0 * {of}))", of=of, grown=_grown(missed, missed))
    return share(promql("sum ({grown})", grown=_grown(part, whole, ignoring="le")), of)


def _at_or_below(buckets: Samples, bound: float | Objective) -> Samples:
    """The bucket of a bound: of an objective only its name is kept, since the engine says what its bound is."""
    if isinstance(bound, Objective):
        return replace(buckets, objective=bound.name)
    return replace(buckets, bound_s=bound)


def share_counted(part: Subject, whole: Subject, scope: str, *, by: tuple[str, ...]) -> Expression:
    """Share of what one counter counts that another, with the same labels, counts too."""
    counted, of = _counters(part, whole, scope, by)
    total = f"{_over('sum', by)} ({{grown}})"
    return per(promql(total, grown=_grown(counted, of)), promql(total, grown=_grown(of, of)))


def _counters(part: Subject, whole: Subject, scope: str, by: tuple[str, ...]) -> tuple[Samples, Samples]:
    counted, of = Samples(part, scope, by=by), Samples(whole, scope, by=by)
    one, other = counted.declaration, of.declaration
    if {one.kind, other.kind} != {"counter"} or one.labels != other.labels:
        raise ValueError(f"{one.name} and {other.name} are no counters with the same labels")
    return counted, of


def share_counted_anywhere(part: Subject, whole: Subject, scope: str, *, across: str) -> Expression:
    """Share of what one counter counts that another counts too, in all values of a label together.

    A tier is asked for what the one above it did not have, or all are asked for everything: either way what is looked
    up at all is what the tier that is asked most is asked for.
    """
    counted, of = _counters(part, whole, scope, (across,))
    found = promql("sum ({grown})", grown=_grown(counted, of))
    return per(found, promql(f"max (sum by ({across}) ({{grown}}))", grown=_grown(of, of)))


def _grown(series: Samples, whole: Samples, *, ignoring: str = "") -> Expression:
    """What a counter grew by in the window, so that it can be divided by what its `whole` grew by.

    A rate extrapolates to where its own counter was 0. Where a series begins inside the window that is further for
    a part whose first sample is nearer to 0 than its whole's, and the part became more than the whole: of a replica
    whose first tokens were slow, 114 % of the gaps were in time. A delta extrapolates both alike, as they are
    scraped together; it knows no restart, so where the whole had one the increase counts.
    """
    matched = f"unless ignoring ({ignoring})" if ignoring else "unless"
    return promql(
        f"{{delta}} {matched} {{resets}} > 0 or {{increase}}",
        delta=replace(series, function="delta"),
        resets=replace(whole, function="resets"),
        increase=replace(series, function="increase"),
    )


def quantile(q: float, subject: Subject, scope: str, *, by: tuple[str, ...] = ()) -> Expression:
    """The q-quantile of a histogram over the window, absent where nothing was observed.

    It interpolates inside a bucket: for pictures, never for verdicts.
    """
    grouped = ("le", *by)
    buckets = Samples(subject, scope, by=grouped, part="_bucket", function="rate")
    if buckets.declaration.kind != "histogram":
        raise ValueError(f"no quantile of {buckets.declaration.name}: it is a {buckets.declaration.kind}")
    # Without observations the quantile is NaN, and NaN is not >= 0.
    form = f"histogram_quantile({q:g}, {_over('sum', grouped)} ({{buckets}})) >= 0"
    return promql(form, buckets=buckets)


def bucket_rates(subject: Subject, scope: str) -> Expression:
    """Observations per second at or below each edge of a histogram."""
    buckets = Samples(subject, scope, by=("le",), part="_bucket", function="rate")
    if buckets.declaration.kind != "histogram":
        raise ValueError(f"no buckets of {buckets.declaration.name}: it is a {buckets.declaration.kind}")
    return promql("sum by (le) ({buckets})", buckets=buckets)


def now(
    operator: str, subject: Subject, scope: str, *matchers: Matcher, by: tuple[str, ...] = ()
) -> Expression:
    """A gauge as it is, aggregated: `sum` of amounts, `max` or `min` of shares and ages."""
    gauge = Samples(subject, scope, matchers, by)
    declared = gauge.declaration
    if declared.kind != "gauge":
        raise ValueError(f"{declared.name} is a {declared.kind}: it has a rate, no present value")
    if operator == "sum" and declared.unit == "ratio":
        raise ValueError(f"{declared.name} is a ratio: a sum of ratios means nothing")
    return promql(f"{_over(operator, by)} ({{gauge}})", gauge=gauge)


def of_scrapes(form: str, scope: str) -> Expression:
    """What Prometheus itself says of its targets: `form` has a hole `{up}` or `{scrape_duration_seconds}`."""
    series = {name: f"{name}{{{scope}}}" for name in ("up", "scrape_duration_seconds")}
    return Expression((form.format(**series),))


def share(part: Expression, whole: Expression) -> Expression:
    """A ratio, absent while the whole is 0; a part that has no series yet counts as 0."""
    return promql("({part} or 0 * {whole}) / ({whole} > 0)", part=part, whole=whole)


def per(amount: Expression, count: Expression) -> Expression:
    """A mean, absent while the count is 0."""
    return promql("{amount} / ({count} > 0)", amount=amount, count=count)


def worst(count: int, expression: Expression) -> Expression:
    """The `count` greatest series at each step."""
    return promql(f"topk({count}, {{all}})", all=expression)


def lowest(count: int, expression: Expression) -> Expression:
    """The `count` least series at each step."""
    return promql(f"bottomk({count}, {{all}})", all=expression)


def _over(operator: str, by: Sequence[str]) -> str:
    return f"{operator} by ({', '.join(by)})" if by else operator


def reached(job: str) -> str:
    """Whether each target of a job could be scraped, 1 or 0: of Prometheus' own series."""
    return f'up{{job="{job}"}}'
