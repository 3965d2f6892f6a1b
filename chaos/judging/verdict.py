"""The verdict on a run: is its data sound, and what do its assertions make of it?

Precedence: unsound data is inconclusive whatever the assertions say; then one deviated assertion decides,
then one inconclusive; only then is the run passed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chaos.assertions.term import Dimension
from chaos.errors import ExitCode
from chaos.events import EventKind
from chaos.measuring.drift import drift
from chaos.measuring.evidence import LATE_SHARE
from chaos.measuring.measurements import Measurements, PhaseSlis, phase_slis
from chaos.measuring.quantiles import quantile
from chaos.measuring.recovery_time import NOTHING_INJECTED
from chaos.measuring.scan import FALSE_ALARM, PRUDENT, chance_below, share_at_most
from chaos.measuring.slis import samples
from chaos.measuring.timeline import Phase, fewest_ready, ready_steps
from chaos.record.details import ConditionDetail, OfWatch, ProcessEnded, StatusCheckDetail, told
from chaos.record.verdict import Verdict

NOT_OFFERED_SHARE = 0.001
"""This share of the arrivals may be dropped by the client, or leave later than the whole TTFT bound."""
DRIFT_SHARE = 0.1
"""Median TTFT of the baseline's halves may differ by this share of the TTFT bound."""

_MANY_DEVIATIONS = 3.3
"""Standard deviations that two halves of one service differ by once in a thousand baselines."""

EXIT_CODES = {
    Verdict.PASSED: ExitCode.PASSED,
    Verdict.DEVIATED: ExitCode.DEVIATED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class AssertionResult:
    """One assertion and what became of it."""

    expression: str
    verdict: Verdict
    dimension: Dimension
    observed: float | None
    """In seconds, per second, or a plain number; +inf is a value, None is not."""
    interval: tuple[float, float] | None
    """At least and at most so much, with at least 95 % confidence; equal where counted; None where unknown."""
    bound: float
    n: int | None
    """Requests that the observed value rests on; None for a recovery time or a count of replicas."""
    reason: str | None
    """Why it is inconclusive; None when it is not."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a run."""

    verdict: Verdict
    exit_code: ExitCode
    assertions: tuple[AssertionResult, ...]
    reasons: tuple[str, ...]
    """Why the data is not sound; empty when it is."""


def judge(
    measurements: Measurements, results: Sequence[AssertionResult], found: Sequence[str] = ()
) -> Judgement:
    """The verdict on a run from its measurements and evaluated assertions.

    `found` is why the data is not sound where the timeline cannot show it, such as counts that disagree.
    """
    reasons = (*unsound(measurements), *found)
    verdicts = {result.verdict for result in results}
    if reasons or not results:
        verdict = Verdict.INCONCLUSIVE
    elif Verdict.DEVIATED in verdicts:
        verdict = Verdict.DEVIATED
    elif Verdict.INCONCLUSIVE in verdicts:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASSED
    return Judgement(verdict, EXIT_CODES[verdict], tuple(results), reasons)


def unsound(measurements: Measurements) -> Iterator[str]:
    """Why the run cannot be believed, one sentence each."""
    faults, observes = measurements.timeline.faults, measurements.timeline.observes
    if not faults and not observes:
        yield NOTHING_INJECTED
    for _, unmet in told(measurements.timeline.events, ConditionDetail, EventKind.CONDITION_UNMET):
        known = "nothing was known of it" if unmet.value is None else f"it was {unmet.value:g} at last"
        yield f"fault {unmet.id}: its condition was never met ({unmet.condition}; {known})"
    for _, check in told(measurements.timeline.events, StatusCheckDetail, EventKind.STATUS_CHECK_OVER):
        if check.withheld:
            who = ", ".join(check.withheld)
            yield f"StatusCheck {check.id} aborted its Workflow ({check.how}): {who} was not injected"
    for fault in faults:
        if not fault.verified:
            yield f"fault {fault.id}: not every target is proved to have been hit"
        if fault.undone is False:
            yield f"fault {fault.id}: it was undone, and is not proved to be over"
    yield from _unsound_target(measurements)
    yield from _unsound_rows(measurements)
    yield from _unsound_generator(measurements)
    if not observes:
        yield from _unsound_baseline(measurements)


def _unsound_target(measurements: Measurements) -> Iterator[str]:
    for event, standby in told(measurements.timeline.events, ProcessEnded, EventKind.STANDBY_GONE):
        yield (
            f"the process that replicas are forked from ended by itself at {event.at_s:.1f} s ({standby.how}): "
            "the start of another one ran beside the replicas"
        )
    back_s = [event.at_s for event in measurements.timeline.events if event.kind == EventKind.WATCH_BACK]
    for event, watch in told(measurements.timeline.events, OfWatch, EventKind.WATCH_LOST):
        until_s = min((at_s for at_s in back_s if at_s > event.at_s), default=None)
        until = "to its end" if until_s is None else f"to {until_s:.1f} s"
        yield (
            f"nobody knows what became of {watch.watched} from {event.at_s:.1f} s of the run {until}: "
            f"their watch was lost ({watch.why})"
        )


def _unsound_rows(measurements: Measurements) -> Iterator[str]:
    timeline = measurements.timeline
    if not timeline.complete:
        return
    arrivals, counts = np.unique(timeline.rows.index, return_counts=True)
    foreign = int(np.sum((arrivals < 0) | (arrivals >= timeline.planned)))
    missing = timeline.planned - (len(arrivals) - foreign)
    if missing:
        yield f"{missing} of {timeline.planned} planned arrivals have no row"
    repeated = int(np.sum(counts > 1))
    if repeated:
        yield f"{repeated} planned arrivals have more than one row"
    if foreign:
        yield f"{foreign} rows are of no planned arrival"


def _unsound_generator(measurements: Measurements) -> Iterator[str]:
    timeline, bound_s = measurements.timeline, measurements.objectives.ttft_s
    rows = timeline.rows
    # A turn whose session has not come to it when the plan ends is planned for the end: nobody was to send it any more.
    lags_s = samples(rows, "lag", rows.between(timeline.warmup_s, timeline.plan_end_s))
    dispatched_s = np.sort(lags_s[lags_s < math.inf])
    if len(dispatched_s) and (lag_s := quantile(dispatched_s, 99)) > LATE_SHARE * bound_s:
        yield f"the generator lagged: p99 {1000 * lag_s:.1f} ms, more than {LATE_SHARE:.0%} of the TTFT bound"
    not_offered = int(np.sum(lags_s > bound_s))
    if not_offered > NOT_OFFERED_SHARE * len(lags_s):
        yield (
            f"offered rate not held: {not_offered} of {len(lags_s)} arrivals were dropped by the client "
            "or left later than the TTFT bound"
        )


def _unsound_baseline(measurements: Measurements) -> Iterator[str]:
    criteria, timeline = measurements.criteria, measurements.timeline
    baseline = measurements.phases[0]
    if not baseline.n:
        yield "the baseline has no planned arrival that was decided before the fault"
        return
    # In whole requests: 0.55 * 100 is a little more than 55 in floats.
    if baseline.good < round(criteria.goodput * baseline.n, 6):
        found, wanted = (
            f"{baseline.good} of {baseline.n} requests good",
            f"{criteria.goodput:.6g} of them wanted",
        )
        yield f"unhealthy baseline: {found}, {wanted}"
    if baseline.failed > round(criteria.error_ratio * baseline.n, 6):
        found, worst = (
            f"{baseline.failed} of {baseline.n} requests failed",
            f"{criteria.error_ratio:.6g} of them",
        )
        yield f"unhealthy baseline: {found}, at most {worst} may"
    yield from _failing_before(measurements, baseline)
    steps = ready_steps(timeline)
    ready = fewest_ready(steps, baseline.phase.start_s, baseline.phase.end_s)
    if steps and ready < timeline.wanted_replicas:
        yield f"unhealthy baseline: {ready} of {timeline.wanted_replicas} replicas ready at its lowest"
    yield from _drift(measurements, baseline.phase)


def _failing_before(measurements: Measurements, baseline: PhaseSlis) -> Iterator[str]:
    """Whether the service was failing already between the baseline's end and the fault."""
    found, timeline = measurements.evidence, measurements.timeline
    fault_s = timeline.fault_start_s
    if fault_s is None:
        return
    after = found.between(baseline.phase.end_s, fault_s)
    bad = int(np.sum(~found.good[after] & ~found.unknown[after]))
    planned = timeline.rows.between(baseline.phase.end_s, fault_s)
    usual = share_at_most(baseline.n - baseline.good, baseline.n, PRUDENT)
    if bad and chance_below(bad, planned.stop - planned.start, usual) > 1 - FALSE_ALARM:
        before_s = fault_s - baseline.phase.end_s
        yield f"unhealthy baseline: {bad} requests had gone bad in the {before_s:.1f} s before the fault"


def _drift(measurements: Measurements, baseline: Phase) -> Iterator[str]:
    """Whether the halves of the baseline disagree by as much as would count as an impact."""
    middle_s = (baseline.start_s + baseline.end_s) / 2
    first, second = (
        phase_slis(measurements.evidence, Phase("half", start_s, end_s))
        for start_s, end_s in ((baseline.start_s, middle_s), (middle_s, baseline.end_s))
    )
    if first.goodput is None or second.goodput is None:
        yield "unstable baseline: one half has no planned arrival"
        return
    differs = abs(first.goodput - second.goodput)
    pooled = (first.good + second.good) / (first.n + second.n)
    by_chance = _MANY_DEVIATIONS * math.sqrt(pooled * (1 - pooled) * (1 / first.n + 1 / second.n))
    if differs > max(1 - measurements.criteria.goodput, by_chance):
        yield f"unstable baseline: goodput {first.goodput:.1%} in one half, {second.goodput:.1%} in the other"
    yield from _trend(measurements, baseline)
    low_s, high_s = sorted((first.ttft_p50_s or 0.0, second.ttft_p50_s or 0.0))
    if high_s - low_s > DRIFT_SHARE * measurements.objectives.ttft_s:
        yield f"unstable baseline: median TTFT {low_s:.3f} s in one half, {high_s:.3f} s in the other"


def _trend(measurements: Measurements, baseline: Phase) -> Iterator[str]:
    """Whether what the baseline is heading for would be blamed on the fault."""
    timeline, rows = measurements.timeline, measurements.timeline.rows
    places = rows.between(baseline.start_s, baseline.end_s)
    tolerated = 1 - measurements.criteria.goodput
    bound_s = measurements.objectives.ttft_s
    found = drift(
        rows.intended_s[places], samples(rows, "ttft", places), bound_s, timeline.plan_end_s, tolerated
    )
    if found is not None and found.reason is not None:
        yield f"unstable baseline: {found.reason}"
