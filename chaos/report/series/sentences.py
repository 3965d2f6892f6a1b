"""What trials showed, in sentences: for the record, the terminal, and every report."""

import math
from collections.abc import Sequence

from chaos.record.trials import RecoveryOfTrials, Shams, Trial, TrialCounts, TrialState
from chaos.record.verdict import Verdict
from chaos.report.words import count, seconds, share

_NAMES = {"service": "goodput was back", "capacity": "capacity was back"}


def of_series(counts: TrialCounts, recoveries: Sequence[RecoveryOfTrials], shams: Shams) -> str:
    """`20 of 20 trials passed, so that fewer than 13.9 % of such trials deviate (95 % confidence); …`."""
    clauses = [_passed(counts), *filter(None, (of_recovery(one) for one in recoveries)), _shams(shams)]
    return "; ".join(clause for clause in clauses if clause)


def of_trial(trial: Trial) -> str:
    """`passed: service 1.2 s (0.9 s to 1.4 s), capacity 3.1 s, 4 lost`."""
    if trial.state == TrialState.PLANNED:
        return "not run"
    word = str(trial.verdict) if trial.verdict else "left no journal"
    if trial.state == TrialState.CUT_SHORT or trial.verdict is None:
        return f"{word}: {'; '.join(trial.reasons[:1])}"
    found = [f"{name} {recovery(trial, name)}" for name in ("service", "capacity")]
    lost = [] if trial.lost_requests is None else [f"{trial.lost_requests} lost"]
    return "; ".join([f"{word}: {', '.join([*found, *lost])}", *_why(trial)[:1]])


def _why(trial: Trial) -> list[str]:
    """Why a trial did not pass."""
    if trial.verdict == Verdict.DEVIATED:
        return [
            f"{one.expression} did not hold" for one in trial.assertions if one.verdict == Verdict.DEVIATED
        ]
    undecided = [one for one in trial.assertions if one.verdict == Verdict.INCONCLUSIVE]
    return [*trial.reasons, *(f"{one.expression}: {one.reason or 'undecided'}" for one in undecided)]


def recovery(trial: Trial, name: str) -> str:
    """One trial's recovery with its interval: `1.2 s (0.9 s to 1.4 s)`, `no impact`, `> 25 s`, or `unknown`."""
    value, interval = (
        (trial.service_s, trial.service_interval_s)
        if name == "service"
        else (trial.capacity_s, trial.capacity_interval_s)
    )
    status = trial.service_status if name == "service" else trial.capacity_status
    if value is None:
        return "unknown"
    if math.isinf(value):
        return f"> {seconds(trial.within_s)}"
    if status == "no impact":
        return status
    return seconds(value) + (f" ({seconds(interval[0])} to {seconds(interval[1])})" if interval else "")


def at_most(value: float | None, within_s: float | None) -> str:
    """A bound that may be censored: `3.4 s`, or `> 25 s` where it is known no better."""
    return seconds(value) if value is None or math.isfinite(value) else f"> {seconds(within_s)}"


def between(interval: tuple[float, float] | None, within_s: float | None) -> str:
    """`0.9 s to 1.6 s`; empty where there is none."""
    return " to ".join(at_most(end, within_s) for end in interval or ())


def _passed(counts: TrialCounts) -> str:
    decided = counts.passed + counts.deviated
    if not decided:
        return f"none of {count(counts.planned, 'trial')} was decided"
    said = f"{counts.passed} of {count(decided, 'decided trial' if counts.inconclusive else 'trial')} passed"
    more = f"; {counts.inconclusive} inconclusive" if counts.inconclusive else ""
    return f"{said}: {_deviate(counts)} of such trials deviate (95 % confidence){more}"


def _deviate(counts: TrialCounts) -> str:
    if counts.deviated and counts.deviated_rate_interval:
        low, high = counts.deviated_rate_interval
        return f"{share(math.floor(100 * low) / 100)} to {_up(high)}"
    return f"fewer than {_up(counts.deviated_rate_below)}"


def _up(rate: float | None) -> str:
    """An upper bound in whole percent: never rounded down."""
    return share(None if rate is None else math.ceil(100 * rate) / 100)


def of_recovery(of: RecoveryOfTrials) -> str:
    """One recovery over the trials; empty where no trial has a value."""
    if not of.n:
        return ""
    if of.no_impact == of.n:
        return f"no impact on {of.name} in {count(of.n, 'trial')}"
    parts = [f"{_NAMES[of.name]} after {at_most(of.median_s, of.within_s)} in the median"]
    if interval := between(of.median_interval_s, of.within_s):
        parts[0] += f" ({interval})"
    covers = share(math.floor(100 * of.largest_bounds_share) / 100)
    parts.append(
        f"{at_most(of.largest_s, of.within_s)} at most, which bounds {covers} of such trials"
        if of.not_recovered == 0
        else f"{of.not_recovered} of {of.n} not within {seconds(of.within_s)}"
    )
    if of.no_impact:
        parts.append(f"no impact in {of.no_impact} of {of.n}")
    return ", ".join(parts)


def _shams(shams: Shams) -> str:
    if not shams.planned:
        return ""
    if not shams.decided:
        return f"none of {count(shams.planned, 'sham')} was decided"
    raised = f"{shams.alarms} of {count(shams.decided, 'sham')} raised an alarm"
    return f"{raised} (rate below {_up(shams.alarm_rate_below)})"
