"""Two series side by side: does B take longer than A, by how much, and what difference would have been found?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.errors import ExitCode
from chaos.measuring.quantiles import quantile
from chaos.record.comparison import COMPARISON_SCHEMA, Comparison, Difference, Finding, Side
from chaos.record.trials import Trial
from chaos.record.verdict import Verdict
from chaos.report.words import plain, seconds, share
from chaos.trials import rank_test
from chaos.trials.loading import Sample, changes

_REASONS = {
    **dict.fromkeys(("middle_a", "middle_b"), "no trial has a value"),
    **dict.fromkeys(("shift", "shift_low", "shift_high"), "censored values or too few trials leave it open"),
    **dict.fromkeys(("ratio", "ratio_interval"), "a value is not positive, or censored"),
    "detectable": "too few trials, no spread among them, or a share",
}


_DEVIATED = {Verdict.PASSED: 0.0, Verdict.DEVIATED: 1.0}


@dataclass(frozen=True, slots=True)
class Measure:
    """Something of a trial that is worse when it is larger."""

    title: str
    unit: str
    of: Callable[[Trial], float | None]
    says: Callable[[float | None], str]
    larger: str
    smaller: str
    """What B does, where it is larger or smaller by so much."""
    censored: bool
    """Whether inf means: not by the end of the watching."""


MEASURES = {
    "service": Measure(
        "service recovery",
        "s",
        lambda trial: trial.service_s,
        seconds,
        "B recovers{} later",
        "B recovers{} earlier",
        censored=True,
    ),
    "capacity": Measure(
        "capacity recovery",
        "s",
        lambda trial: trial.capacity_s,
        seconds,
        "B recovers{} later",
        "B recovers{} earlier",
        censored=True,
    ),
    "lost": Measure(
        "lost requests",
        "requests",
        lambda trial: trial.lost_requests,
        plain,
        "B loses{} more",
        "B loses{} fewer",
        censored=False,
    ),
    "deviated": Measure(
        "deviations",
        "share",
        lambda trial: _DEVIATED.get(trial.verdict) if trial.verdict else None,
        share,
        "B deviates in{} more of its trials",
        "B deviates in{} fewer of its trials",
        censored=False,
    ),
}


def compare(a: Sample, b: Sample, names: Sequence[str] = tuple(MEASURES)) -> Comparison:
    """Both samples in every measure; p-values are adjusted after Holm for the number of measures."""
    found = differences(a.trials, b.trials, names)
    return Comparison(
        schema=COMPARISON_SCHEMA,
        a=side(a),
        b=side(b),
        changes=changes(a, b),
        differences=found,
        exit_code=exit_code(found),
    )


def differences(a: Sequence[Trial], b: Sequence[Trial], names: Sequence[str]) -> tuple[Difference, ...]:
    """Each measure of two lots of trials, with the same adjustment."""
    values = [_values(MEASURES[name], a, b) for name in names]
    adjusted = holm([rank_test.p_value(one, other) for one, other, _ in values])
    return tuple(
        _difference(MEASURES[name], *both, p, len(names))
        for name, both, p in zip(names, values, adjusted, strict=True)
    )


def exit_code(found: Sequence[Difference]) -> ExitCode:
    """What differences come to: a B that is worse in any measure is a weakness."""
    findings = [one.finding for one in found]
    if Finding.LARGER in findings:
        return ExitCode.DEVIATED
    undecidable = all(finding == Finding.UNDECIDABLE for finding in findings)
    return ExitCode.INCONCLUSIVE if undecidable else ExitCode.PASSED


def side(sample: Sample) -> Side:
    """What is told of one sample beside the differences."""
    verdicts = [trial.verdict for trial in sample.trials]
    passed, deviated = verdicts.count(Verdict.PASSED), verdicts.count(Verdict.DEVIATED)
    return Side(
        folder=str(sample.folder),
        experiment=sample.experiment,
        started_at=sample.started_at,
        trials=len(verdicts),
        passed=passed,
        deviated=deviated,
        inconclusive=len(verdicts) - passed - deviated,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that all of them together are wrong in 5 % of cases at most (Holm, Scand. J. Statist. 6, 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _values(
    measure: Measure, a: Sequence[Trial], b: Sequence[Trial]
) -> tuple[list[float], list[float], float | None]:
    """The values of both sides, those beyond the shorter watching as inf, and how long that was."""
    one, other = ([v for trial in side if (v := measure.of(trial)) is not None] for side in (a, b))
    if not measure.censored:
        return one, other, None
    watched = [trial.within_s for trial in (*a, *b) if trial.within_s is not None]
    within_s = min(watched, default=math.inf)
    one, other = ([v if v <= within_s else math.inf for v in values] for values in (one, other))
    return one, other, within_s if math.isfinite(within_s) else None


def _difference(
    measure: Measure,
    one: list[float],
    other: list[float],
    within_s: float | None,
    p_adjusted: float,
    measures: int,
) -> Difference:
    of_shares = measure.unit == "share"
    shift, ratio, detectable = rank_test.Shift(None, -math.inf, math.inf), None, None
    if one and other and of_shares:
        shift = rank_test.share_shift(one, other)
    elif one and other:
        shift, ratio = rank_test.shift(one, other), rank_test.ratio(one, other)
        detectable = rank_test.detectable(one, other)
    finding = _finding(one, other, p_adjusted, measures)
    bounded = [None if math.isinf(end) else end for end in (shift.low, shift.high)]
    ratio_bounds = (ratio.low, ratio.high) if ratio and math.isfinite(ratio.high) and ratio.low > 0 else None
    values = {
        "name": measure.title,
        "unit": measure.unit,
        "n_a": len(one),
        "n_b": len(other),
        "not_recovered_a": sum(map(math.isinf, one)),
        "not_recovered_b": sum(map(math.isinf, other)),
        "within_s": within_s,
        "middle_a": _middle(one, of_shares=of_shares),
        "middle_b": _middle(other, of_shares=of_shares),
        "p": rank_test.p_value(one, other),
        "p_adjusted": p_adjusted,
        "finding": finding,
        "shift": shift.estimate,
        "shift_low": bounded[0],
        "shift_high": bounded[1],
        "ratio": ratio.estimate if ratio else None,
        "ratio_interval": ratio_bounds,
        "detectable": detectable,
        "sentence": _sentence(measure, (len(one), len(other)), finding, shift, p_adjusted, detectable),
    }
    return Difference.of(values, _REASONS)


def _middle(values: Sequence[float], *, of_shares: bool) -> float | None:
    if not values:
        return None
    return sum(values) / len(values) if of_shares else quantile(sorted(values), 50)


def _finding(one: Sequence[float], other: Sequence[float], p: float, measures: int) -> Finding:
    if not one or not other or measures * rank_test.least_p_value(len(one), len(other)) > rank_test.LEVEL:
        return Finding.UNDECIDABLE
    if p > rank_test.LEVEL:
        return Finding.NONE
    return Finding.LARGER if rank_test.second_is_larger(one, other) else Finding.SMALLER


def _sentence(
    measure: Measure,
    numbers: tuple[int, int],
    finding: Finding,
    shift: rank_test.Shift,
    p: float,
    detectable: float | None,
) -> str:
    tail = f"p {_p(p)}, {numbers[0]} against {numbers[1]} trials"
    if finding == Finding.UNDECIDABLE:
        return f"{measure.title}: nothing can be told by {tail.partition(', ')[2]}"
    if finding == Finding.NONE:
        spread = (
            ""
            if detectable is None
            else f"; one of {measure.says(detectable)} would have been, in 4 of 5 cases"
        )
        return f"{measure.title}: no difference was found, {tail}{spread}"
    clause = measure.larger if finding == Finding.LARGER else measure.smaller
    sign = 1 if finding == Finding.LARGER else -1
    size = "" if shift.estimate is None else f" {measure.says(sign * shift.estimate)}"
    low, high = sorted((sign * shift.low, sign * shift.high))
    return f"{measure.title}: {clause.format(size)}{_between(measure, low, high)}, {tail}"


def _between(measure: Measure, low: float, high: float) -> str:
    """An interval in brackets; the end that nothing bounds is left out."""
    if math.isinf(low):
        return ""
    return f" ({measure.says(low)} {'or more' if math.isinf(high) else f'to {measure.says(high)}'})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"
