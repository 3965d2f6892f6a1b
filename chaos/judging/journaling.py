"""From the measurements of a run and the verdict on it to its journal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from pydantic import JsonValue

from chaos.assertions.asked import Expressions
from chaos.events import EventKind
from chaos.judging import phase_section, recovery_section
from chaos.judging.definitions import definitions
from chaos.judging.verdict import AssertionResult, Judgement
from chaos.measuring import detection
from chaos.measuring.disturbances import Disturbances
from chaos.measuring.failures import CommonAge, Refusal
from chaos.measuring.measurements import Measurements
from chaos.measuring.quantiles import quantile
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record import details
from chaos.record.cluster import Alert, Reconciliation
from chaos.record.costs import Processor
from chaos.record.details import StatusCheckDetail
from chaos.record.journal import SCHEMA, Journal
from chaos.record.load import Capacity, Generator, Load
from chaos.record.sections import Assertion, Disturbance, Fault, Slo, UsualLevel
from loadtests.rows import OK

_UNBOUNDED = {"itl_s": "gaps have no bound", "tpot_s": "the mean time per token has no bound"}
_NOT_THERE = {
    "engine": "the replicas were not asked",
    "alerts": "Prometheus was not asked",
    "parts": "the load is of one kind and of nobody's in particular",
    "cut_short": "the run came to its end",
    "reconciliation": "no gateway told of itself, or the run did not come to ask it",
    "processor": "the run kept no samples of the processor over any of its phases",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run besides its timeline."""

    experiment: str
    hypothesis: str
    target: str
    """The target's kind."""
    seed: int
    started_at: str
    """UTC, ISO 8601; for display only."""
    versions: Mapping[str, str]
    generator: Generator = field(default_factory=Generator)
    """What the load said of itself when it ended."""
    reconciliation: Reconciliation | None = None
    """Requests as the gateway and the replicas counted them, beside the rows; None when they were not asked."""
    engine: Mapping[str, JsonValue] | None = None
    """What the replicas are, and what a foreign engine can tell; None when they were not asked."""
    alerts: Sequence[Alert] | None = None
    """Every alert that fired; None when Prometheus was not asked."""
    promql: Expressions | None = None
    """What Prometheus had of the expressions and signals that the run asked; None when it was not asked."""
    processor: Processor | None = None
    """What a request cost and how full the machine was; None without samples."""
    rate_per_s: float | None = None
    """The rate of the plan."""
    partly_open: bool = False
    """Whether turns of sessions wait for answers."""
    planned: int = 0
    """Arrivals in the plan."""
    sent: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Of every arrival, those too that were never sent because the run was cut short."""
    refusals: Sequence[Refusal] = ()
    """What servers said when they refused."""
    common_age: CommonAge | None = None
    """Of most requests that were cut, where they have one."""
    cut_short: str | None = None
    """Why the run ended before its plan did; None when it did not."""
    capacity: Capacity | None = None
    """What the rate was made of; None when it is a number of its author's."""


def build(run: RunFacts, measurements: Measurements, judgement: Judgement) -> Journal:
    """The journal of a run."""
    timeline, told = measurements.timeline, measurements.disturbances
    values = {
        "schema": SCHEMA,
        "experiment": run.experiment,
        "hypothesis": run.hypothesis,
        "target": run.target,
        "wanted_replicas": timeline.wanted_replicas,
        "seed": run.seed,
        "started_at": run.started_at,
        "verdict": judgement.verdict,
        "exit_code": judgement.exit_code,
        "reasons": judgement.reasons,
        "slo": Slo.of(asdict(measurements.objectives), _UNBOUNDED),
        "load": _load(timeline, run),
        "faults": [_fault(fault, timeline) for fault in timeline.faults],
        "status_checks": [*_status_checks(timeline)],
        "phases": [phase_section.section(slis, measurements, run.promql) for slis in measurements.phases],
        "parts": phase_section.parts(measurements),
        "recovery": recovery_section.section(measurements, run.promql),
        "observes": timeline.observes,
        "disturbances": _disturbances(told),
        "usual_level": None if told.level is None else UsualLevel.of(asdict(told.level)),
        "assertions": [_assertion(result) for result in judgement.assertions],
        "engine": run.engine,
        "alerts": run.alerts,
        "processor": run.processor,
        "reconciliation": run.reconciliation,
        "cut_short": run.cut_short,
        "definitions": definitions(measurements.objectives, measurements.criteria),
        "versions": run.versions,
    }
    looked_for = {"disturbances": told.reason, "usual_level": told.reason}
    return Journal.of(values, {**_NOT_THERE, **looked_for})


def _load(timeline: Timeline, run: RunFacts) -> Load:
    lags_s = timeline.rows.lag_s
    lags_s = np.sort(lags_s[~np.isnan(lags_s)])
    load = {
        "planned": run.planned,
        "sent": run.sent,
        "ok": run.outcomes.get(OK, 0),
        "outcomes": run.outcomes,
        "refusals": [asdict(each) for each in run.refusals] or None,
        "common_age": None if run.common_age is None else asdict(run.common_age),
        "loop": "partly open" if run.partly_open else "open",
        "rate": run.rate_per_s,
        "capacity": run.capacity,
        "offered_rate": len(lags_s) / timeline.plan_end_s if timeline.plan_end_s > 0 else None,
        "lag_p99_s": quantile(lags_s, 99) if len(lags_s) else None,
        "warmup_s": timeline.warmup_s,
        "plan_end_s": timeline.plan_end_s,
        "generator": run.generator,
    }
    reasons = {
        "rate": "not known",
        "capacity": "not measured: the rate is a number of the experiment file",
        "offered_rate": "the plan is empty",
        "lag_p99_s": "no arrival was dispatched",
    }
    return Load.of(load, reasons)


def _fault(fault: FaultWindow, timeline: Timeline) -> Fault:
    known = detection.detection(timeline, fault)
    one_shot = "a one-shot fault: its disturbance lasts until capacity has recovered"
    reasons = {
        "ended_s": "it was in force when the run ended" if fault.lasts else one_shot,
        "undone": "nobody looked, for the run ended" if fault.lasts else "nothing was to be undone",
        "condition": "it had its instant",
        **dict.fromkeys(("detection_s", "detection"), detection.UNNOTICED),
    }
    found = (
        {"detection_s": None, "detection": None}
        if known is None
        else {"detection_s": known.after_s, "detection": known.sign}
    )
    return Fault.of({**asdict(fault), **found}, reasons)


def _status_checks(timeline: Timeline) -> Iterator[dict[str, object]]:
    began_s = {
        check.id: event.at_s
        for event, check in details.told(timeline.events, StatusCheckDetail, EventKind.STATUS_CHECK_BEGAN)
    }
    for event, check in details.told(timeline.events, StatusCheckDetail, EventKind.STATUS_CHECK_OVER):
        yield {**check.model_dump(), "began_s": began_s[check.id], "ended_s": event.at_s}


def _disturbances(told: Disturbances) -> list[Disturbance] | None:
    reasons = {
        "ended_s": "the observation ended before a full hold",
        "good_again_s": "no hold was cut short by the end of the observation",
    }
    return None if told.reason else [Disturbance.of(asdict(one), reasons) for one in told.found]


def _assertion(result: AssertionResult) -> Assertion:
    no_n = "it does not rest on a number of requests"
    nothing = result.reason or "nothing is known of it"
    return Assertion.of(asdict(result), {"observed": nothing, "interval": nothing, "n": no_n})
