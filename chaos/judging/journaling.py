"""From the measurements of a run and the verdict on it to its journal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from pydantic import JsonValue

from chaos.judging.verdict import AssertionResult, Judgement
from chaos.measuring import detection
from chaos.measuring.disturbances import Disturbances
from chaos.measuring.failures import CommonAge, Refusal
from chaos.measuring.measurements import Measurements, PhaseSlis
from chaos.measuring.objectives import Objectives
from chaos.measuring.processor import FULL_AT, FULL_SHARE
from chaos.measuring.quantiles import needed_for_interval, quantile
from chaos.measuring.recovery_time import NOTHING_INJECTED, Criteria
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record.cluster import Alert, Reconciliation
from chaos.record.costs import Processor
from chaos.record.journal import SCHEMA, Journal
from chaos.record.load import Capacity, Generator, Load
from chaos.record.sections import Assertion, Disturbance, Fault, Phase, Recovery, Slo, UsualLevel
from loadtests.rows import OK

_NOT_THERE = {
    "engine": "the replicas were not asked",
    "alerts": "Prometheus was not asked",
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
        "slo": Slo.of(asdict(measurements.objectives), {"itl_s": "gaps have no bound"}),
        "load": _load(timeline, run),
        "faults": [_fault(fault, timeline) for fault in timeline.faults],
        "phases": [_phase(slis) for slis in measurements.phases],
        "recovery": _recovery(measurements),
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


def definitions(objectives: Objectives, criteria: Criteria) -> dict[str, str]:
    """The words of the journal in sentences, with the numbers of this run."""
    gap = "" if objectives.itl_s is None else f", no gap between tokens above {objectives.itl_s:g} s"
    return {
        "good arrival": (
            f"a planned arrival answered completely, first token within {objectives.ttft_s:g} s and last "
            f"within {objectives.e2e_s:g} s of its planned instant{gap}"
        ),
        "goodput": "good arrivals per planned arrivals, by planned instant",
        "error ratio": "failures per planned arrivals, by planned instant",
        "instant": "a request counts when it was planned; one that a fault struck in flight counts when that started",
        "quantiles": "over every planned arrival, failures as +inf, rank ceil(q n), no interpolation",
        "baseline": (
            "from the end of the warm-up to the oldest request that was in flight when the fault struck: what was "
            "planned before is good or bad before the fault"
        ),
        "service recovery": (
            "from the start of the fault to the first arrival after its last disturbance: a stretch of requests of "
            f"which more are bad than {criteria.goodput:g} of the baseline's goodput allows, or more failed than the "
            f"baseline's share and {criteria.error_ratio:g}, and more than its noise explains; {criteria.hold_s:g} s "
            f"without one must follow; later than {criteria.within_s:g} s is not recovered"
        ),
        "capacity recovery": (
            f"from the start of the fault to all wanted replicas ready for {criteria.hold_s:g} s, each new "
            "one having completed a request"
        ),
        "disturbance": (
            "from the first request that went wrong to the first arrival after the last bad one of a stretch in which "
            f"more requests were bad than {criteria.goodput:g} of the usual goodput allows, or more failed than "
            f"{criteria.error_ratio:g} beyond the usual, and more than noise explains; less than {criteria.hold_s:g} s "
            "apart they are one"
        ),
        "lost requests": "requests that failed, in flight when the fault started or planned later",
        "interval": "at least and at most so much, with 95 % confidence; verdicts are decided on it",
        "full": (
            f"between two samples: {FULL_AT:.0%} of the cores busy or kept by a hypervisor, or of a CPU quota used "
            f"by this run; and every period that ended with the quota used up. A phase is full from "
            f"{FULL_SHARE:.0%} of its time on"
        ),
    }


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


def _phase(slis: PhaseSlis) -> Phase:
    phase = asdict(slis.phase)
    indicators = {key: value for key, value in asdict(slis).items() if key != "phase"}
    empty = dict.fromkeys(indicators, "no planned arrival in this phase")
    too_few = f"an interval for P99 needs {needed_for_interval(99)} arrivals"
    return Phase.of({**phase, **indicators}, {**empty, "ttft_p99_interval_s": too_few})


def _recovery(measurements: Measurements) -> Recovery:
    service, capacity = measurements.service, measurements.capacity
    after_end = measurements.service_after_end
    detection_s, sign = detection.slowest(measurements.timeline)
    entry = {
        "service_s": service.value_s,
        "service_interval_s": service.interval_s,
        "service_status": service.status,
        "service_after_end_s": None if after_end is None else after_end.value_s,
        "capacity_s": capacity.value_s,
        "capacity_status": capacity.status,
        "detection_s": detection_s,
        "first_touch_s": service.first_touch_s,
        "resolution_s": service.resolution_s,
        "relapse_s": service.relapse_s,
        "lost_requests": measurements.lost_requests,
    }
    reasons = {
        **dict.fromkeys(entry, service.reason),
        "service_after_end_s": _no_end(measurements.timeline.faults)
        if after_end is None
        else after_end.reason,
        "capacity_s": capacity.reason,
        "detection_s": sign,
        "relapse_s": service.reason or "nothing disturbed it after the full hold",
    }
    never = {f"{key}_reason": reasons[key] for key in ("service_s", "capacity_s") if entry[key] == math.inf}
    if detection_s is not None:
        never["detection_s_reason"] = sign
    return Recovery.of({**entry, **never, **asdict(measurements.criteria)}, reasons)


def _no_end(faults: Sequence[FaultWindow]) -> str:
    if not faults:
        return NOTHING_INJECTED
    if all(fault.lasts for fault in faults):
        return "a fault was in force when the run ended"
    return "a one-shot fault has no end to count from"


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
