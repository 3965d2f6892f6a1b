"""What an assertion comes to on the measurements of a run: missing data and few samples are inconclusive."""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.experiment.assertions import Assertion, Term
from chaos.judging.verdict import AssertionResult
from chaos.measuring.measurements import Measurements, PhaseSlis
from chaos.measuring.quantiles import needed_for_claim, quantile
from chaos.measuring.recovery import NOTHING_INJECTED, RecoveryTime, Status
from chaos.measuring.slis import samples
from chaos.measuring.timeline import fewest_ready, ready_steps
from chaos.record.verdict import Verdict
from loadtests.rows import Row

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
    """A value, or none; with a reason it decides nothing."""

    value: float | None
    n: int | None = None
    reason: str | None = None


def evaluate(assertion: Assertion, measurements: Measurements) -> AssertionResult:
    """The verdict on one assertion: what could not be had, or claimed, is inconclusive, never passed."""
    if assertion.term.name.startswith("recovery."):
        observed = _recovery(assertion, measurements)
    elif assertion.term.name == "lost_requests":
        observed = _lost_requests(measurements)
    elif assertion.term.name == "disturbances":
        found = measurements.disturbances
        observed = _Observed(None if found.reason else len(found.found), reason=found.reason)
    else:
        observed = _in_phase(assertion.term, measurements)
    # Differences of stamps carry the noise of floats: 0.3 s must not exceed 300 ms.
    value = None if observed.value is None else round(observed.value, 9)
    if observed.reason is not None or value is None:
        verdict = Verdict.INCONCLUSIVE
    elif _COMPARE[assertion.operator](value, assertion.bound):
        verdict = Verdict.PASSED
    else:
        verdict = Verdict.DEVIATED
    return AssertionResult(
        expression=assertion.expression,
        verdict=verdict,
        dimension=assertion.term.dimension,
        observed=value,
        bound=assertion.bound,
        n=observed.n,
        reason=observed.reason,
    )


def _recovery(assertion: Assertion, measurements: Measurements) -> _Observed:
    if assertion.term.name == "recovery.capacity":
        time = measurements.capacity
    elif assertion.term.name == "recovery.service_after_end":
        if measurements.service_after_end is None:
            return _Observed(None, reason="a fault without an end: count from its start, recovery.service")
        time = measurements.service_after_end
    else:
        time = measurements.service
    value_s = time.first_touch_s if assertion.term.name == "recovery.first_touch" else time.value_s
    if value_s is not None and value_s < math.inf:
        return _Observed(value_s)
    return _not_seen(time, assertion.bound)


def _not_seen(time: RecoveryTime, bound_s: float) -> _Observed:
    """A recovery that was not seen decides only against bounds that the observation has ruled out."""
    proved_longer = bound_s < time.at_least_s or (
        bound_s == time.at_least_s and time.status is Status.NOT_RECOVERED
    )
    if proved_longer:
        return _Observed(math.inf)
    if time.status is Status.NOT_RECOVERED:
        return _Observed(math.inf, reason=f"{time.reason}: the bound of {bound_s:g} s lies beyond")
    return _Observed(None, reason=time.reason)


def _lost_requests(measurements: Measurements) -> _Observed:
    lost, all_requests = measurements.lost_requests, measurements.phase("all")
    if lost is None or all_requests is None:
        return _Observed(None, reason=NOTHING_INJECTED)
    return _Observed(lost, all_requests.n)


def _in_phase(term: Term, measurements: Measurements) -> _Observed:
    name = term.arguments[-1]
    slis = measurements.phase(name)
    if slis is None:
        return _Observed(None, reason=f"the run has no {name} phase")
    if slis.n == 0 and term.name not in ("requests", "ready"):
        return _Observed(None, 0, f"no planned arrival in the {name} phase")
    if term.name == "ready":
        return _fewest_ready(measurements, slis)
    rows = measurements.timeline.within(slis.phase)
    value: float | None
    match term.name:
        case "requests":
            value = slis.n
        case "outcome":
            value = sum(row.outcome == term.arguments[0] for row in rows)
        case "goodput":
            value = slis.goodput
        case "goodput_rate":
            value = slis.goodput_rate
        case "error_ratio":
            value = slis.error_ratio
        case _:
            return _of_samples(term, rows)
    return _Observed(value, slis.n)


def _fewest_ready(measurements: Measurements, slis: PhaseSlis) -> _Observed:
    steps = ready_steps(measurements.timeline)
    if not steps:
        return _Observed(None, reason="no event tells which replicas were ready")
    return _Observed(fewest_ready(steps, slis.phase.start_s, slis.phase.end_s))


def _of_samples(term: Term, rows: Sequence[Row]) -> _Observed:
    metric = term.arguments[0]
    values = samples(rows, metric)
    # Gaps of one answer are not independent of each other: requests are what a claim about ITL rests on.
    n = len(rows) if metric == "itl" else len(values)
    if not values:
        return _Observed(None, n, f"no request has a {metric}")
    if term.percent is None:
        return _Observed(values[-1], n)
    needed = needed_for_claim(term.percent)
    too_few = f"{term.name} needs {needed} requests, there are {n}" if n < needed else None
    return _Observed(quantile(values, term.percent), n, too_few)
