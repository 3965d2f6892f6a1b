"""When the machine was full: which deviations it may have caused, and what to say beside the verdict.

Contention takes time from everybody, so it can only have made a passed run worse. A deviation where the machine was
full measures the machine, and is inconclusive.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from chaos.assertions.grammar import Assertion
from chaos.assertions.stretches import phase_of
from chaos.assertions.term import Term
from chaos.judging.verdict import AssertionResult
from chaos.measuring.disturbances import SLOW
from chaos.measuring.measurements import Measurements
from chaos.measuring.processor import FULL_SHARE, Sample, Usage, of_phase
from chaos.measuring.timeline import Phase
from chaos.record.verdict import Verdict
from loadtests.rows import SILENT_OUTCOMES


def excused(
    assertion: Assertion, result: AssertionResult, measurements: Measurements, samples: Sequence[Sample]
) -> AssertionResult:
    """The same result, or inconclusive where it deviated and a full machine may have done that."""
    if result.verdict is not Verdict.DEVIATED or assertion.term.kind.machine_proof:
        return result
    if assertion.term.name == "disturbances" and _failed_outright(measurements):
        return result  # a refusal or a broken connection is no lack of processor time
    tolerated = tolerated_share(assertion.term)
    for phase in stretches(assertion.term, result, measurements):
        usage = of_phase(samples, measurements.timeline, phase)
        if usage is None or usage.phase.length_s < phase.length_s / 2:
            continue  # what was sampled does not speak for the whole
        if usage.full_share >= tolerated:
            reason = f"{_full(usage)}; this measures the machine, not the cluster"
            return replace(result, verdict=Verdict.INCONCLUSIVE, reason=reason)
    return result


def _failed_outright(measurements: Measurements) -> bool:
    """Whether some disturbance has failures that the service, or the network to it, spoke out."""
    return any(
        outcome not in SILENT_OUTCOMES and outcome != SLOW
        for one in measurements.disturbances.found
        for outcome in one.outcomes
    )


def tolerated_share(term: Term) -> float:
    """From which share of full time on a stretch may have decided an assertion on it.

    A quantile is decided by the slowest few: P99 by one arrival in a hundred, a maximum by one at all, as is
    the largest value of an expression.
    """
    if term.name == "max" or term.promql is not None:
        return math.ulp(0.0)
    return FULL_SHARE if term.percent is None else min(FULL_SHARE, 1 - term.percent / 100)


def stretches(term: Term, result: AssertionResult, measurements: Measurements) -> Iterator[Phase]:
    """The stretches of the run that an assertion is about, each named as a sentence goes on after `of the`."""
    baseline, fault = measurements.phase("baseline"), measurements.phase("fault")
    if term.name.startswith("recovery."):
        if fault is not None:
            yield _recovering(term, result, measurements, fault.phase.start_s)
        if baseline is not None:  # what recovery is held to
            yield replace(baseline.phase, name="baseline phase")
    elif term.name == "lost_requests":
        if fault is not None:
            yield replace(fault.phase, name="fault phase")
    elif term.name == "disturbances":
        for one in measurements.disturbances.found:
            yield Phase(f"disturbance at {one.start_s:.1f} s", one.start_s, one.start_s + one.length_s)
    elif term.arguments and (phase := phase_of(term, measurements)) is not None:
        named = phase.name if term.stretch is not None else f"{phase.name} phase"
        yield replace(phase, name="run" if phase.name == "all" else named)


def note(usages: Sequence[Usage]) -> str | None:
    """What has to be known of the machine beside any verdict, as a clause; None when it was full in no phase."""
    full = [
        usage
        for usage in usages
        if usage.full and usage.phase.name != "all" and usage.phase.of_occurrence is None
    ]
    if not full:
        return None
    # What most verdicts rest on, where it is among them.
    worst = max(full, key=lambda usage: (usage.phase.name == "fault", usage.full_share))
    others = [
        f"{usage.full_share:.0%} of the {usage.phase.name} phase" for usage in full if usage is not worst
    ]
    also = f"; also for {' and '.join(others)}" if others else ""
    return _full(replace(worst, phase=replace(worst.phase, name=f"{worst.phase.name} phase"))) + also


def _recovering(term: Term, result: AssertionResult, measurements: Measurements, start_s: float) -> Phase:
    """From the fault to the recovery, or for as long as it was waited for."""
    timeline = measurements.timeline
    if term.name == "recovery.service_after_end":
        start_s = max(
            (fault.ended_s for fault in timeline.faults if fault.ended_s is not None), default=start_s
        )
    took_s = result.observed if result.observed is not None else math.inf
    if math.isinf(took_s):
        took_s = measurements.criteria.within_s
    return Phase("time from the fault to the recovery", start_s, min(start_s + took_s, timeline.plan_end_s))


def _full(usage: Usage) -> str:
    return f"the machine was full for {usage.full_share:.0%} of the {usage.phase.name}: {usage.why}"
