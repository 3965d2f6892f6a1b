"""What an assertion comes to on the measurements of a run: it is decided on the interval of a value, not on the value.

Passed when the whole interval meets the bound, deviated when none of it does, inconclusive between the two. A claim is
about the service as it was in that stretch of this run; what the next run does is for a series of them to tell.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace

from chaos.assertions.asked import Expressions
from chaos.assertions.grammar import Assertion
from chaos.assertions.term import Observed, Recorded, Term
from chaos.judging.verdict import AssertionResult
from chaos.measuring.measurements import Measurements
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


def evaluate(
    assertion: Assertion,
    measurements: Measurements,
    alerts: Sequence[Alert] | None = None,
    promql: Expressions | None = None,
) -> AssertionResult:
    """The verdict on one assertion: what could not be had, or claimed, is inconclusive, never passed.

    `alerts` are those that fired in the run, `promql` what Prometheus had of it; None where it was not asked.
    """
    run = Recorded(measurements, alerts, promql)

    def observe(term: Term) -> Observed:
        return term.kind.observe(term, run)

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
    assertion: Assertion, observed: Observed, observe: Callable[[Term], Observed]
) -> tuple[Assertion, Observed, tuple[float, float]]:
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
