"""From the trials of a series to what they show together: counts, bounds, curves, the verdict, and one sentence.

A series deviates when one of its trials did: the weakness was seen. It passes when none did and at least nine of ten
were decided; undecided trials are counted apart, and the bound beside says what would be if they had all deviated. It
decides nothing where its shams prove that the measurement sees what is not there.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaos.errors import ExitCode
from chaos.measuring.quantiles import needed_for_claim, quantile, quantile_interval
from chaos.measuring.recovery_time import Status
from chaos.record.trials import (
    SERIES_SCHEMA,
    AssertionCounts,
    Claim,
    CurvePoint,
    QuantileBound,
    RecoveryOfTrials,
    Series,
    Shams,
    Trial,
    TrialCounts,
    TrialState,
)
from chaos.record.verdict import Verdict
from chaos.report.series import sentences
from chaos.trials import bounds

UNDECIDED_SHARE = 0.1
"""More undecided trials than this, and the series decides nothing."""
ALARM_RATE = 0.05
"""A measurement whose shams prove a rate of false alarms above this decides nothing."""
PERCENTS = (50, 80, 90, 95, 99)
_NO_TRIALS = "no trial was decided"
_CODES = {
    Verdict.PASSED: ExitCode.PASSED,
    Verdict.DEVIATED: ExitCode.DEVIATED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What is known of a series beside its trials."""

    experiment: str
    hypothesis: str
    target: str
    seed: int
    jitter_s: float
    started_at: str
    versions: Mapping[str, str]
    expressions: Sequence[str]
    """The assertions, as written."""


def summarise(
    facts: SeriesFacts,
    trials: Sequence[Trial],
    cut_short: str | None = None,
    exit_code: ExitCode | None = None,
) -> Series:
    """The record of a series.

    Args:
        facts: of the series.
        trials: all of them, those too that were never run.
        cut_short: why the series ended before its plan did.
        exit_code: what it then says to its caller, in place of the verdict's.
    """
    faulty = [trial for trial in trials if not trial.sham]
    counts, shams = _counts(faulty), _shams([trial for trial in trials if trial.sham])
    reasons = [*([cut_short] if cut_short else []), *_reasons(faulty, counts, shams)]
    verdict = _verdict(counts, reasons)
    recoveries = tuple(_recovery(name, faulty) for name in ("service", "capacity"))
    return Series(
        schema=SERIES_SCHEMA,
        experiment=facts.experiment,
        hypothesis=facts.hypothesis,
        target=facts.target,
        seed=facts.seed,
        jitter_s=facts.jitter_s,
        started_at=facts.started_at,
        verdict=verdict,
        exit_code=exit_code or _CODES[verdict],
        reasons=tuple(reasons),
        sentence=sentences.of_series(counts, recoveries, shams),
        counts=counts,
        assertions=tuple(_assertion(expression, faulty) for expression in facts.expressions),
        recoveries=recoveries,
        shams=shams,
        claims=tuple(_claims(counts)),
        trials=tuple(trials),
        cut_short=cut_short,
        versions=dict(facts.versions),
    )


def _run(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state != TrialState.PLANNED]


def _verdict(counts: TrialCounts, reasons: Sequence[str]) -> Verdict:
    if counts.deviated:
        return Verdict.DEVIATED
    return Verdict.INCONCLUSIVE if reasons else Verdict.PASSED


def _reasons(faulty: Sequence[Trial], counts: TrialCounts, shams: Shams) -> Iterator[str]:
    """Why the series decides nothing."""
    ended = len(_run(faulty))
    if not counts.passed + counts.deviated:
        yield _NO_TRIALS
    elif counts.inconclusive > UNDECIDED_SHARE * ended:
        yield (
            f"{counts.inconclusive} of {ended} trials were not decided, more than {UNDECIDED_SHARE:.0%}: "
            "the others may not stand for them"
        )
    if shams.decided and bounds.rate_above(shams.alarms, shams.decided) > ALARM_RATE:
        yield (
            f"{shams.alarms} of {shams.decided} sham trials raised an alarm: more than {ALARM_RATE:.0%} of what is "
            "measured here is no fault's doing"
        )


def _counts(faulty: Sequence[Trial]) -> TrialCounts:
    ended = _run(faulty)
    passed, deviated = (
        sum(trial.verdict == verdict for trial in ended) for verdict in (Verdict.PASSED, Verdict.DEVIATED)
    )
    decided = passed + deviated
    values = {
        "planned": len(faulty),
        "passed": passed,
        "deviated": deviated,
        "inconclusive": len(ended) - decided,
        "deviated_rate_interval": bounds.rate_interval(deviated, decided) if decided else None,
        "deviated_rate_below": bounds.rate_below(deviated, decided) if decided else None,
        "deviated_rate_below_at_worst": bounds.rate_below(len(ended) - passed, len(ended)) if ended else None,
    }
    return TrialCounts.of(values, dict.fromkeys(values, _NO_TRIALS))


def _assertion(expression: str, faulty: Sequence[Trial]) -> AssertionCounts:
    found = [one.verdict for trial in faulty for one in trial.assertions if one.expression == expression]
    passed, deviated = found.count(Verdict.PASSED), found.count(Verdict.DEVIATED)
    decided = passed + deviated
    values = {
        "expression": expression,
        "passed": passed,
        "deviated": deviated,
        "inconclusive": len(_run(faulty)) - decided,
        "deviated_rate_below": bounds.rate_below(deviated, decided) if decided else None,
    }
    return AssertionCounts.of(values, {"deviated_rate_below": _NO_TRIALS})


def _recovery(name: str, faulty: Sequence[Trial]) -> RecoveryOfTrials:
    found = [(trial, getattr(trial, f"{name}_s"), getattr(trial, f"{name}_status")) for trial in _run(faulty)]
    known = [(trial, value, status) for trial, value, status in found if value is not None]
    ordered = sorted(value for _, value, _ in known)
    watched = [trial.within_s for trial, _, _ in known if trial.within_s is not None]
    interval = quantile_interval(ordered, 50)
    curve = bounds.kaplan_meier(
        (value, True) if math.isfinite(value) else (trial.within_s or math.inf, False)
        for trial, value, _ in known
    )
    missing = "no trial has a value"
    values = {
        "name": name,
        "n": len(known),
        "unknown": len(found) - len(known),
        "no_impact": sum(status == Status.NO_IMPACT for _, _, status in known),
        "not_recovered": sum(math.isinf(value) for value in ordered),
        "within_s": min(watched, default=None),
        "median_s": quantile(ordered, 50) if ordered else None,
        "median_interval_s": interval,
        "largest_s": max(ordered, default=None),
        "largest_bounds_share": bounds.share_below_maximum(len(ordered)),
        "bounds": tuple(_bound(ordered, percent) for percent in PERCENTS),
        "curve": tuple(CurvePoint(at_s=at_s, share=share) for at_s, share in curve),
    }
    reasons = {**dict.fromkeys(values, missing), "median_interval_s": "a 95 % interval needs 6 trials"}
    return RecoveryOfTrials.of(values, reasons)


def _bound(ordered: Sequence[float], percent: float) -> QuantileBound:
    at_most = bounds.quantile_at_most(ordered, percent)
    needs = f"needs {needed_for_claim(percent)} trials"
    return QuantileBound.of({"percent": percent, "at_most_s": at_most}, {"at_most_s": needs})


def _claims(counts: TrialCounts) -> Iterator[Claim]:
    for percent in PERCENTS:
        rate = 1 - percent / 100
        below = counts.deviated_rate_below
        yield Claim(
            passes_share=percent / 100,
            needs=bounds.trials_needed(rate),
            met=below is not None and below <= rate + 1e-9,
        )


def _shams(trials: Sequence[Trial]) -> Shams:
    decided = [trial for trial in _run(trials) if trial.service_s is not None]
    alarms = sum(trial.service_status != Status.NO_IMPACT for trial in decided)
    values = {
        "planned": len(trials),
        "decided": len(decided),
        "alarms": alarms,
        "deviated": sum(trial.verdict == Verdict.DEVIATED for trial in trials),
        "alarm_rate_interval": bounds.rate_interval(alarms, len(decided)) if decided else None,
        "alarm_rate_below": bounds.rate_below(alarms, len(decided)) if decided else None,
    }
    return Shams.of(values, dict.fromkeys(values, "no sham trial was decided"))
