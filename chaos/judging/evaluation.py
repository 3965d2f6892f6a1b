"""What an assertion comes to on the measurements of a run: it is decided on the interval of a value, not on the value.

Passed when the whole interval meets the bound, deviated when none of it does, inconclusive between the two. A claim is
about the service as it was in that stretch of this run; what the next run does is for a series of them to tell.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chaos.experiment.assertions import Assertion, Term
from chaos.judging.expressions import Expressions, values_in
from chaos.judging.verdict import AssertionResult
from chaos.measuring.columns import Flags, Ints
from chaos.measuring.detection import slowest
from chaos.measuring.intervals import quantile_interval, share_interval
from chaos.measuring.measurements import Measurements, PhaseSlis
from chaos.measuring.quantiles import needed_for_interval, quantile, quantile_bounds
from chaos.measuring.recovery_time import NOTHING_INJECTED, RecoveryTime
from chaos.measuring.slis import on_time, samples
from chaos.measuring.timeline import cold_starts_s, fewest_ready, ready_steps
from chaos.record.cluster import Alert
from chaos.record.verdict import Verdict

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class _Observed:
    """A value with its interval, or none; without an interval it decides nothing."""

    value: float | None
    interval: tuple[float, float] | None = None
    n: int | None = None
    reason: str | None = None
    """Why there is no value, or why its interval is as wide as it is."""


def evaluate(
    assertion: Assertion,
    measurements: Measurements,
    alerts: Sequence[Alert] | None = None,
    promql: Expressions | None = None,
) -> AssertionResult:
    """The verdict on one assertion: what could not be had, or claimed, is inconclusive, never passed.

    `alerts` are those that fired in the run, `promql` what the expressions of assertions came to; None where
    Prometheus was not asked.
    """

    def observe(term: Term) -> _Observed:
        if term.name == "alerts":
            return _fired(alerts)
        return _observed(term, measurements) if term.promql is None else _asked(term, measurements, promql)

    observed, bounds = observe(assertion.term), (assertion.bound, assertion.bound)
    if assertion.of_baseline:
        assertion, observed, bounds = _held_to_baseline(assertion, observed, observe)
    # Differences of stamps carry the noise of floats: 0.3 s must not exceed 300 ms.
    value = None if observed.value is None else round(observed.value, 9)
    interval = None
    if observed.interval is not None:
        interval = (round(observed.interval[0], 9), round(observed.interval[1], 9))
    verdict = _verdict(assertion.operator, interval, bounds)
    reason = None
    if verdict is Verdict.INCONCLUSIVE:
        reason = observed.reason or "its interval holds the bound: more requests would tell"
    return AssertionResult(
        expression=assertion.expression,
        verdict=verdict,
        dimension=assertion.term.dimension,
        observed=value,
        interval=interval,
        bound=assertion.bound,
        n=observed.n,
        reason=reason,
    )


def _held_to_baseline(
    assertion: Assertion, observed: _Observed, observe: Callable[[Term], _Observed]
) -> tuple[Assertion, _Observed, tuple[float, float]]:
    """The assertion with its bound as a number, what was observed, and the ends of the bound's own interval."""
    in_baseline = replace(
        assertion.term, arguments=(*assertion.term.arguments[:-1], "baseline"), stretch=None
    )
    usual = observe(in_baseline)
    low, high = usual.interval or (0.0, math.inf)
    bounds = (assertion.bound * low, assertion.bound * high)
    if usual.value is None:
        return assertion, replace(observed, reason=usual.reason or observed.reason), bounds
    return replace(assertion, bound=assertion.bound * usual.value), observed, bounds


def _verdict(name: str, interval: tuple[float, float] | None, bounds: tuple[float, float]) -> Verdict:
    """Whether the claim holds wherever in its interval the value is, and wherever in its own the bound is."""
    if interval is None:
        return Verdict.INCONCLUSIVE
    holds = _COMPARE[name]
    if name in ("==", "!="):
        # One number alone can equal another; an interval beside the bound never does.
        certain = (interval[0] == interval[1] and bounds[0] == bounds[1]) or (
            interval[1] < bounds[0] or bounds[1] < interval[0]
        )
        if not certain:
            return Verdict.INCONCLUSIVE
        return Verdict.PASSED if holds(interval[0], bounds[0]) else Verdict.DEVIATED
    answers = {holds(value, bound) for value in interval for bound in bounds}
    if len(answers) > 1:
        return Verdict.INCONCLUSIVE
    return Verdict.PASSED if answers.pop() else Verdict.DEVIATED


def phase_of(term: Term, measurements: Measurements) -> PhaseSlis | None:
    """The indicators of the phase, or of the stretch relative to a fault, that a term is about."""
    if term.stretch is None:
        return measurements.phase(term.arguments[-1])
    stretch = term.stretch
    ends = stretch.origin == "after_end"
    return measurements.after(term.arguments[-1], stretch.from_s, stretch.to_s, ends=ends)


def _observed(term: Term, measurements: Measurements) -> _Observed:
    if term.name.startswith("recovery."):
        return _recovery(term, measurements)
    if term.name == "lost_requests":
        return _lost_requests(measurements)
    if term.name == "disturbances":
        found = measurements.disturbances
        return _Observed(None, reason=found.reason) if found.reason else _exactly(len(found.found))
    return _in_phase(term, measurements)


def _fired(alerts: Sequence[Alert] | None) -> _Observed:
    """How many alerts fired once the load had begun; what was firing before is nobody's doing here."""
    if alerts is None:
        return _Observed(None, reason="Prometheus was not asked for alerts")
    return _exactly(sum(alert.fired_s >= 0 for alert in alerts))


def _asked(term: Term, measurements: Measurements, promql: Expressions | None) -> _Observed:
    """The largest, or the smallest, value of an expression in a phase: of those that were scraped."""
    slis = phase_of(term, measurements)
    if slis is None:
        return _Observed(None, reason=f"the run has no {term.arguments[-1]} phase")
    if promql is None:
        return _Observed(None, reason="Prometheus was not asked")
    values = values_in(promql.get(term.promql or "", ()), slis.phase)
    if isinstance(values, str):
        return _Observed(None, reason=values)
    return _exactly((max if term.name == "promql_max" else min)(values))


def _exactly(value: float, n: int | None = None) -> _Observed:
    """What was counted is a fact about this run, and no estimate."""
    return _Observed(value, (value, value), n)


def _recovery(term: Term, measurements: Measurements) -> _Observed:
    if term.name == "recovery.capacity":
        time = measurements.capacity
    elif term.name == "recovery.service_after_end":
        if measurements.service_after_end is None:
            return _Observed(None, reason="a fault without an end: count from its start, recovery.service")
        time = measurements.service_after_end
    else:
        time = measurements.service
    if term.name == "recovery.cold_start":
        return _cold_start(measurements)
    if term.name == "recovery.detection":
        value, sign = slowest(measurements.timeline)
        return _Observed(None, reason=sign) if value is None else _exactly(value)
    if term.name == "recovery.first_touch":
        return _first_touch(time)
    return _Observed(time.value_s, time.interval_s, reason=time.reason or _between(time))


def _cold_start(measurements: Measurements) -> _Observed:
    """The longest time from the beginning of a new replica to its readiness."""
    timeline = measurements.timeline
    took_s = cold_starts_s(timeline)
    if took_s is None:
        return _Observed(None, reason=NOTHING_INJECTED)
    if not took_s:
        return _Observed(None, reason="no replica came into being after the fault")
    return _exactly(max(took_s.values()))


def _between(time: RecoveryTime) -> str:
    low_s, high_s = time.interval_s
    if math.isinf(high_s):
        return f"it took at least {low_s:.3f} s; too few requests followed to prove that it was over"
    return f"all that is proved is that it took {low_s:.3f} to {high_s:.3f} s: more requests per second would tell"


def _first_touch(time: RecoveryTime) -> _Observed:
    if time.first_touch_s is None:
        return _Observed(None, time.interval_s, reason=time.reason)
    return _Observed(
        time.first_touch_s, (max(0.0, time.first_touch_s - (time.resolution_s or 0.0)), time.first_touch_s)
    )


def _lost_requests(measurements: Measurements) -> _Observed:
    lost, all_requests = measurements.lost_requests, measurements.phase("all")
    if lost is None or all_requests is None:
        return _Observed(None, reason=NOTHING_INJECTED)
    return _exactly(lost, all_requests.n)


def _in_phase(term: Term, measurements: Measurements) -> _Observed:
    name, slis = term.arguments[-1], phase_of(term, measurements)
    if slis is None:
        what = f"no {name} phase" if term.stretch is None else "no fault with such an instant to count from"
        return _Observed(None, reason=f"the run has {what}")
    if slis.n == 0 and term.name not in ("requests", "ready"):
        return _Observed(None, n=0, reason=f"no planned arrival in the {name} phase")
    found, places = measurements.evidence, measurements.evidence.within(slis.phase)
    match term.name:
        case "ready":
            observed = _fewest_ready(measurements, slis)
        case "requests":
            observed = _exactly(slis.n, slis.n)
        case "outcome":
            of_it = found.rows.ended_as(term.arguments[0])[places]
            observed = _exactly(int(np.sum(of_it)), slis.n)
        case "goodput":
            observed = _share(found.good[places], found.unknown[places])
        case "smooth_goodput":
            smooth = found.good[places] & on_time(found.rows, places, measurements.objectives)
            observed = _share(smooth, found.unknown[places])
        case "goodput_rate":
            observed = _per_second(_share(found.good[places], found.unknown[places]), slis)
        case "error_ratio":
            observed = _share(found.failed[places], found.unknown[places])
        case _:
            observed = _of_samples(term, measurements, places)
    return observed


def _share(flags: Flags, unknown: Flags) -> _Observed:
    """A share of requests; those that say nothing of the service may have been either."""
    lowest = share_interval(flags & ~unknown, steady=False)
    highest = share_interval(flags | unknown, steady=False)
    reason = lowest.reason or highest.reason
    interval = None if reason else (lowest.low, highest.high)
    return _Observed(float(np.mean(flags)), interval, len(flags), reason)


def _per_second(share: _Observed, slis: PhaseSlis) -> _Observed:
    if share.interval is None or share.value is None or slis.phase.length_s <= 0:
        return _Observed(None, n=slis.n, reason="the phase has no length")
    rate = slis.n / slis.phase.length_s
    low, high = share.interval
    return _Observed(share.value * rate, (low * rate, high * rate), slis.n)


def _fewest_ready(measurements: Measurements, slis: PhaseSlis) -> _Observed:
    steps = ready_steps(measurements.timeline)
    if not steps:
        return _Observed(None, reason="no event tells which replicas were ready")
    return _exactly(fewest_ready(steps, slis.phase.start_s, slis.phase.end_s))


def _of_samples(term: Term, measurements: Measurements, places: Ints) -> _Observed:
    metric, rows = term.arguments[0], measurements.timeline.rows
    # To the precision of stamps: the noise of floats repeats itself, and seems a dependence of requests.
    values = np.round(samples(rows, metric, places), 6)
    # Gaps of one answer are not independent of each other: requests are what a claim about ITL rests on.
    n = len(places) if metric == "itl" else len(values)
    if not len(values):
        return _Observed(None, n=n, reason=f"no request has a {metric}")
    if term.percent is None:
        return _exactly(float(np.max(values)), n)
    value = quantile(np.sort(values), term.percent)
    if metric == "itl":
        bounds, reason = quantile_bounds(np.sort(values), term.percent, n), None
    else:
        found = quantile_interval(values, term.percent, steady=False)
        bounds, reason = (max(found.low, 0.0), found.high), found.reason
    if reason:
        return _Observed(value, n=n, reason=reason)
    needed = needed_for_interval(term.percent)
    wide = (
        f"{term.name} needs {needed} requests to be bounded from above, there are {n}" if n < needed else None
    )
    return _Observed(value, bounds, n, wide)
