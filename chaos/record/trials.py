"""The record of a series of trials: what each was, what it showed, and what all of them allow to claim."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from chaos.errors import ExitCode, InputError
from chaos.record.entry import Entry, Number
from chaos.record.verdict import Verdict

SERIES_SCHEMA = 1


class TrialState(StrEnum):
    """How far a trial has come."""

    PLANNED = "planned"
    FINISHED = "finished"
    CUT_SHORT = "cut short"
    """Refused, aborted, interrupted, or its target did not start."""


class TrialAssertion(Entry):
    """What one assertion came to in one trial."""

    expression: str
    verdict: Verdict
    observed: Number | None = None
    reason: str | None = None
    """Why it is inconclusive."""


class Trial(Entry):
    """One run of the series."""

    number: int
    """From 1, in the order in which they are run."""
    folder: str
    """Its run folder, below the series'."""
    sham: bool
    """Whether nothing was done to its victims."""
    seed: int
    """Of this run: arrivals, names and victims follow it."""
    fault_after_s: Number | None = None
    """When its first fault is injected, after the end of the baseline: its seed draws that from the jitter."""
    state: TrialState
    verdict: Verdict | None = None
    exit_code: ExitCode | None = None
    reasons: tuple[str, ...] = ()
    """Why it was cut short, or decides nothing."""
    started_at: str = ""
    took_s: Number | None = None
    targets: tuple[str, ...] = ()
    """The replicas that were drawn."""
    within_s: Number | None = None
    """For how long after its fault it was watched: one that had not recovered by then is censored there."""
    service_s: Number | None = None
    """As in the run's journal: 0 without impact, inf when not recovered."""
    service_interval_s: tuple[Number, Number] | None = None
    """In which it lies."""
    service_status: str | None = None
    capacity_s: Number | None = None
    capacity_interval_s: tuple[Number, Number] | None = None
    capacity_status: str | None = None
    lost_requests: int | None = None
    requests_in_baseline: int | None = None
    requests_in_fault: int | None = None
    """How many requests its figures rest on."""
    ttft_p99_in_baseline_s: Number | None = None
    ttft_p99_in_fault_s: Number | None = None
    """Of its fault phase; inf where more than 1 % failed."""
    goodput_in_fault: Number | None = None
    """Good per planned arrivals of its fault phase."""
    rate: Number | None = None
    """Planned requests per second."""
    assertions: tuple[TrialAssertion, ...] = ()


class TrialCounts(Entry):
    """What became of the trials with a fault, and how often one is to be expected to deviate."""

    planned: int
    passed: int
    deviated: int
    inconclusive: int
    """Among them those that were cut short."""
    deviated_rate_interval: tuple[Number, Number] | None
    """Of those that were decided: the exact 95 % interval of Clopper and Pearson."""
    deviated_rate_interval_reason: str | None = None
    deviated_rate_below: Number | None
    """One-sided 95 % bound."""
    deviated_rate_below_reason: str | None = None
    deviated_rate_below_at_worst: Number | None
    """The same if every inconclusive trial had deviated."""
    deviated_rate_below_at_worst_reason: str | None = None


class AssertionCounts(Entry):
    """One assertion over the trials with a fault."""

    expression: str
    passed: int
    deviated: int
    inconclusive: int
    deviated_rate_below: Number | None
    """One-sided 95 % bound, of the trials in which it was decided."""
    deviated_rate_below_reason: str | None = None


class QuantileBound(Entry):
    """How long the recovery of so many of all trials to come takes at most, at 95 % confidence."""

    percent: Number
    at_most_s: Number | None
    """An order statistic of the trials."""
    at_most_s_reason: str | None = None


class CurvePoint(Entry):
    """A step of the curve of Kaplan and Meier."""

    at_s: Number
    share: Number
    """Of the trials that had recovered by then."""


class RecoveryOfTrials(Entry):
    """Service or capacity recovery over the trials with a fault; one that did not recover is the largest."""

    name: str
    n: int
    """Trials with a value, those that did not recover among them."""
    unknown: int
    """Trials without one."""
    no_impact: int
    not_recovered: int
    """Right-censored: they were watched for `within_s` and had not recovered."""
    within_s: Number | None
    """The shortest time for which one of them was watched."""
    within_s_reason: str | None = None
    median_s: Number | None
    median_s_reason: str | None = None
    median_interval_s: tuple[Number, Number] | None
    """Distribution-free 95 % interval, of order statistics."""
    median_interval_s_reason: str | None = None
    largest_s: Number | None
    largest_s_reason: str | None = None
    largest_bounds_share: Number
    """Which share of all trials to come takes no longer than the largest, at 95 % confidence."""
    bounds: tuple[QuantileBound, ...]
    curve: tuple[CurvePoint, ...]


class Shams(Entry):
    """The trials in which nothing was done: how often the measurement sees what is not there."""

    planned: int
    decided: int
    """With a service recovery that is known."""
    alarms: int
    """In which service was found impaired after the moment of the fault."""
    deviated: int
    """In which an assertion did not hold; one that asserts an impact is right to."""
    alarm_rate_interval: tuple[Number, Number] | None
    """The exact 95 % interval of Clopper and Pearson."""
    alarm_rate_interval_reason: str | None = None
    alarm_rate_below: Number | None
    """One-sided 95 % bound."""
    alarm_rate_below_reason: str | None = None


class Claim(Entry):
    """What a number of trials without a deviation would allow to say."""

    passes_share: Number
    """That at least this share of all trials passes, at 95 % confidence."""
    needs: int
    """So many decided trials, none of which deviated."""
    met: bool
    """Whether these trials carry it."""


class Series(Entry):
    """Everything that a series of trials showed."""

    schema_number: int = Field(alias="schema")
    """Grows when a key is renamed or goes."""
    experiment: str
    hypothesis: str
    target: str
    seed: int
    """Of the series: order, seeds and shifts of the trials follow it."""
    jitter_s: Number
    """A trial's faults are injected up to so much later than their `at`, uniformly."""
    started_at: str
    """UTC, ISO 8601, for display only."""
    verdict: Verdict
    exit_code: ExitCode
    reasons: tuple[str, ...]
    """Why the series is not passed."""
    sentence: str
    """What it came to."""
    counts: TrialCounts
    assertions: tuple[AssertionCounts, ...]
    recoveries: tuple[RecoveryOfTrials, ...]
    shams: Shams
    claims: tuple[Claim, ...]
    trials: tuple[Trial, ...]
    cut_short: str | None = None
    """Why the series ended before its plan did."""
    versions: dict[str, str]

    def recovery(self, name: str) -> RecoveryOfTrials:
        """Of `service` or `capacity`."""
        return next(one for one in self.recoveries if one.name == name)

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(self.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)


def read_series(path: Path) -> Series:
    """Read the record of a series.

    Raises:
        InputError: there is none, it is not JSON, or of another schema.
    """
    hint = "`aftershock report` on its folder makes it from the records of the trials"
    try:
        return Series.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        where = error.errors()[0]
        key = ".".join(map(str, where["loc"])) or "the file"
        raise InputError(f"{path}: {key}: {where['msg']}", hint=hint) from error
