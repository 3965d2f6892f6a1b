"""The verdict on a run: is its data sound, and what do its assertions make of it?

Precedence: unsound data is inconclusive whatever the assertions say; then one deviated assertion decides,
then one inconclusive; only then is the run passed.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.errors import ExitCode
from chaos.events import EventKind
from chaos.experiment.assertions import Dimension
from chaos.measuring.measurements import Measurements, phase_slis
from chaos.measuring.quantiles import quantile
from chaos.measuring.recovery import NOTHING_INJECTED
from chaos.measuring.slis import samples
from chaos.measuring.timeline import Phase, fewest_ready, ready_steps
from chaos.record.details import ProcessEnded, told
from chaos.record.verdict import Verdict

LAG_SHARE = 0.05
"""P99 of the generator's lag may be this share of the TTFT bound."""
NOT_OFFERED_SHARE = 0.001
"""This share of the arrivals may be dropped by the client, or leave later than the whole TTFT bound."""
DRIFT_SHARE = 0.1
"""Median TTFT of the baseline's halves may differ by this share of the TTFT bound."""

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


def _unsound_rows(measurements: Measurements) -> Iterator[str]:
    timeline = measurements.timeline
    if not timeline.complete:
        return
    counts = Counter(row.index for row in timeline.rows)
    missing = sum(index not in counts for index in range(timeline.planned))
    if missing:
        yield f"{missing} of {timeline.planned} planned arrivals have no row"
    repeated = sum(count > 1 for count in counts.values())
    if repeated:
        yield f"{repeated} planned arrivals have more than one row"
    foreign = sum(not 0 <= index < timeline.planned for index in counts)
    if foreign:
        yield f"{foreign} rows are of no planned arrival"


def _unsound_generator(measurements: Measurements) -> Iterator[str]:
    timeline, bound_s = measurements.timeline, measurements.objectives.ttft_s
    lags_s = samples(timeline.between(timeline.warmup_s, math.inf), "lag")
    dispatched_s = [lag_s for lag_s in lags_s if lag_s < math.inf]
    if dispatched_s and quantile(dispatched_s, 99) > LAG_SHARE * bound_s:
        lag_ms = 1000 * quantile(dispatched_s, 99)
        yield f"the generator lagged: p99 {lag_ms:.1f} ms, more than {LAG_SHARE:.0%} of the TTFT bound"
    not_offered = sum(lag_s > bound_s for lag_s in lags_s)
    if not_offered > NOT_OFFERED_SHARE * len(lags_s):
        yield (
            f"offered rate not held: {not_offered} of {len(lags_s)} arrivals were dropped by the client "
            "or left later than the TTFT bound"
        )


def _unsound_baseline(measurements: Measurements) -> Iterator[str]:
    criteria, timeline = measurements.criteria, measurements.timeline
    baseline = measurements.phases[0]
    if baseline.goodput is None or baseline.error_ratio is None:
        yield "the baseline has no planned arrival that must have ended before the fault"
        return
    if baseline.goodput < criteria.goodput:
        yield f"unhealthy baseline: goodput {baseline.goodput:.1%}, less than {criteria.goodput:.1%}"
    if baseline.error_ratio > criteria.error_ratio:
        worst = f"{criteria.error_ratio:.1%}"
        yield f"unhealthy baseline: error ratio {baseline.error_ratio:.1%}, more than {worst}"
    steps = ready_steps(timeline)
    ready = fewest_ready(steps, baseline.phase.start_s, baseline.phase.end_s)
    if steps and ready < timeline.wanted_replicas:
        yield f"unhealthy baseline: {ready} of {timeline.wanted_replicas} replicas ready at its lowest"
    yield from _drift(measurements, baseline.phase)


def _drift(measurements: Measurements, baseline: Phase) -> Iterator[str]:
    """Whether the halves of the baseline disagree by as much as would count as an impact."""
    middle_s = (baseline.start_s + baseline.end_s) / 2
    first, second = (
        phase_slis(measurements.timeline, measurements.objectives, Phase("half", start_s, end_s))
        for start_s, end_s in ((baseline.start_s, middle_s), (middle_s, baseline.end_s))
    )
    if first.goodput is None or second.goodput is None:
        yield "unstable baseline: one half has no planned arrival"
        return
    if abs(first.goodput - second.goodput) > 1 - measurements.criteria.goodput:
        yield f"unstable baseline: goodput {first.goodput:.1%} in one half, {second.goodput:.1%} in the other"
    low_s, high_s = sorted((first.ttft_p50_s or 0.0, second.ttft_p50_s or 0.0))
    if high_s - low_s > DRIFT_SHARE * measurements.objectives.ttft_s:
        yield f"unstable baseline: median TTFT {low_s:.3f} s in one half, {high_s:.3f} s in the other"
