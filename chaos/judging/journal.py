"""The journal of a run: everything that was measured and decided, as one JSON object, written and read back.

Seconds are floats on the run clock, +inf is the string "inf". Beside a null, `<key>_reason` says why.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.errors import InputError
from chaos.judging.verdict import AssertionResult, Judgement
from chaos.measuring.measurements import Measurements, PhaseSlis
from chaos.measuring.processor import FULL_AT, FULL_SHARE
from chaos.measuring.quantiles import needed_for_interval, quantile
from chaos.measuring.recovery import Criteria
from chaos.measuring.slis import Objectives
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import OK

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the runner knows of a run besides its timeline."""

    experiment: str
    hypothesis: str
    target: str
    """The target's kind: local or kubernetes."""
    seed: int
    started_at: str
    """UTC, ISO 8601; for display only."""
    versions: Mapping[str, str]
    generator: Mapping[str, Any] = field(default_factory=dict)
    """What the load said of itself when it ended: `load.json`."""
    reconciliation: Mapping[str, Any] | None = None
    """Requests as the gateway and the replicas counted them, beside the rows; None when they were not asked."""
    engine: Mapping[str, Any] | None = None
    """What the replicas are, and what a foreign engine can tell; None when they were not asked."""
    alerts: Sequence[Mapping[str, Any]] | None = None
    """Every alert that fired; None when Prometheus was not asked."""
    processor: Mapping[str, Any] | None = None
    """What a request cost and how full the machine was; None without samples."""
    rate_per_s: float | None = None
    """The rate of the plan."""
    planned: int = 0
    """Arrivals in the plan."""
    sent: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Of every arrival, those too that were never sent because the run was cut short."""
    cut_short: str | None = None
    """Why the run ended before its plan did; None when it did not."""
    capacity: Mapping[str, Any] | None = None
    """What the rate was made of; None when it is a number of its author's."""


def build(run: RunFacts, measurements: Measurements, judgement: Judgement) -> dict[str, Any]:
    """The journal, ready for JSON."""
    timeline = measurements.timeline
    journal = {
        "schema": SCHEMA,
        "experiment": run.experiment,
        "hypothesis": run.hypothesis,
        "target": run.target,
        "wanted_replicas": timeline.wanted_replicas,
        "seed": run.seed,
        "started_at": run.started_at,
        "verdict": judgement.verdict,
        "exit_code": int(judgement.exit_code),
        "reasons": judgement.reasons,
        "slo": _with_reasons(asdict(measurements.objectives), {"itl_s": "gaps have no bound"}),
        "load": _load(timeline, run),
        "faults": [_fault(fault) for fault in timeline.faults],
        "phases": [_phase(slis) for slis in measurements.phases],
        "recovery": _recovery(measurements),
        "observes": timeline.observes,
        **_disturbances(measurements),
        "assertions": [_assertion(result) for result in judgement.assertions],
        **_observed(run),
        "definitions": definitions(measurements.objectives, measurements.criteria),
        "versions": run.versions,
    }
    encoded: dict[str, Any] = _encoded(journal)
    return encoded


def definitions(objectives: Objectives, criteria: Criteria) -> dict[str, str]:
    """The words of the journal in sentences, with the numbers of this run."""
    gap = "" if objectives.itl_s is None else f", no gap between tokens above {objectives.itl_s:g} s"
    return {
        "good arrival": (
            f"a planned arrival answered completely, first token within {objectives.ttft_s:g} s and last "
            f"within {objectives.e2e_s:g} s of its planned instant{gap}"
        ),
        "goodput": "good arrivals per planned arrivals, by planned instant",
        "error ratio": "failures, by the instant of the failure, per planned arrivals",
        "quantiles": "over every planned arrival, failures as +inf, rank ceil(q n), no interpolation",
        "baseline": (
            f"from the end of the warm-up to {objectives.e2e_s:g} s before the fault: what arrives then "
            "is good or bad before the fault strikes"
        ),
        "service recovery": (
            "from the start of the fault to the first good arrival from which every window of "
            f"{criteria.window_s:g} s passes for {criteria.hold_s:g} s: goodput at least "
            f"{criteria.goodput:g} of the baseline's, error ratio at most {criteria.error_ratio:g}; "
            f"later than {criteria.within_s:g} s is not recovered"
        ),
        "capacity recovery": (
            f"from the start of the fault to all wanted replicas ready for {criteria.hold_s:g} s, each new "
            "one having completed a request"
        ),
        "disturbance": (
            f"from the first request that went wrong in a failing window of {criteria.window_s:g} s to the first "
            f"good arrival from which every window passes for {criteria.hold_s:g} s: goodput at least "
            f"{criteria.goodput:g} of the usual level, error ratio at most {criteria.error_ratio:g}"
        ),
        "lost requests": "arrivals after the warm-up that failed once the fault had started",
        "full": (
            f"between two samples: {FULL_AT:.0%} of the cores busy or kept by a hypervisor, or of a CPU quota used "
            f"by this run; and every period that ended with the quota used up. A phase is full from "
            f"{FULL_SHARE:.0%} of its time on"
        ),
    }


def write(path: Path, journal: Mapping[str, Any]) -> None:
    """Write a journal whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(journal, indent=2, allow_nan=False) + "\n")
    unfinished.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read a journal; infinities stay the string "inf", see `number`.

    Raises:
        InputError: there is none, it is not JSON, or of another schema.
    """
    try:
        journal = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}", hint="a run folder has one once its run ended"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    schema = journal.get("schema") if isinstance(journal, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema: expected {SCHEMA}, not {schema!r}")
    return dict(journal)


def number(value: float | str | None) -> float | None:
    """A number of the journal, with "inf" as infinity."""
    return None if value is None else float(value)


def _load(timeline: Timeline, run: RunFacts) -> dict[str, Any]:
    rows = timeline.rows
    lags_s = sorted(row.lag_s for row in rows if row.lag_s is not None)
    load = {
        "planned": run.planned,
        "sent": run.sent,
        "ok": run.outcomes.get(OK, 0),
        "outcomes": dict(run.outcomes),
        "rate": run.rate_per_s,
        "capacity": run.capacity,
        "offered_rate": len(lags_s) / timeline.plan_end_s if timeline.plan_end_s > 0 else None,
        "lag_p99_s": quantile(lags_s, 99) if lags_s else None,
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
    return _with_reasons(load, reasons)


def _fault(fault: FaultWindow) -> dict[str, Any]:
    reason = "a one-shot fault: its disturbance lasts until capacity has recovered"
    return _with_reasons(asdict(fault), {"ended_s": reason, "undone": "nothing was to be undone"})


def _phase(slis: PhaseSlis) -> dict[str, Any]:
    phase = asdict(slis.phase)
    indicators = {key: value for key, value in asdict(slis).items() if key != "phase"}
    empty = dict.fromkeys(indicators, "no planned arrival in this phase")
    too_few = f"an interval for P99 needs {needed_for_interval(99)} arrivals"
    return _with_reasons({**phase, **indicators}, {**empty, "ttft_p99_interval_s": too_few})


def _recovery(measurements: Measurements) -> dict[str, Any]:
    service, capacity = measurements.service, measurements.capacity
    after_end = measurements.service_after_end
    entry = {
        "service_s": service.value_s,
        "service_status": service.status,
        "service_after_end_s": None if after_end is None else after_end.value_s,
        "capacity_s": capacity.value_s,
        "capacity_status": capacity.status,
        "first_touch_s": service.first_touch_s,
        "resolution_s": service.resolution_s,
        "relapse_s": service.relapse_s,
        "lost_requests": measurements.lost_requests,
    }
    one_shot = "a one-shot fault has no end to count from"
    reasons = {
        **dict.fromkeys(entry, service.reason),
        "service_after_end_s": one_shot if after_end is None else after_end.reason,
        "capacity_s": capacity.reason,
        "relapse_s": service.reason or "no window failed after the full hold",
    }
    never = {f"{key}_reason": reasons[key] for key in ("service_s", "capacity_s") if entry[key] == math.inf}
    return {**_with_reasons(entry, reasons), **never, **asdict(measurements.criteria)}


def _disturbances(measurements: Measurements) -> dict[str, Any]:
    """Every disturbance, or why they could not be looked for."""
    told = measurements.disturbances
    if told.reason is not None or told.level is None:
        return _with_reasons({"disturbances": None}, {"disturbances": told.reason})
    reasons = {
        "ended_s": "the observation ended before a full hold",
        "good_again_s": "no hold was cut short by the end of the observation",
    }
    return {
        "disturbances": [_with_reasons(asdict(one), reasons) for one in told.found],
        "usual_level": asdict(told.level),
    }


def _observed(run: RunFacts) -> dict[str, Any]:
    """What the run saw beside its rows."""
    firing = {"resolved_s": "it was firing when the run ended"}
    alerts = None if run.alerts is None else [_with_reasons(dict(alert), firing) for alert in run.alerts]
    asked = {
        "engine": "the replicas were not asked",
        "alerts": "Prometheus was not asked",
        "cut_short": "the run came to its end",
        "reconciliation": "no gateway told of itself, or the run did not come to ask it",
        "processor": "the run kept no samples of the processor over any of its phases",
    }
    observed = {
        "engine": run.engine,
        "alerts": alerts,
        "processor": run.processor,
        "reconciliation": run.reconciliation,
        "cut_short": run.cut_short,
    }
    return _with_reasons(observed, asked)


def _assertion(result: AssertionResult) -> dict[str, Any]:
    entry = asdict(result)
    reason = entry.pop("reason")
    if reason is not None:
        entry["reason"] = reason
    return _with_reasons(entry, {"observed": reason, "n": "it does not rest on a number of requests"})


def _with_reasons(entry: dict[str, Any], reasons: Mapping[str, str | None]) -> dict[str, Any]:
    """The entry with `<key>_reason` after each key that is null."""
    told: dict[str, Any] = {}
    for key, value in entry.items():
        told[key] = value
        if value is None:
            told[f"{key}_reason"] = reasons[key]
    return told


def _encoded(value: Any) -> Any:
    """A value in JSON's types: microseconds at the finest, infinity as a string."""
    if isinstance(value, float):
        return "inf" if value == math.inf else round(value, 6)
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_encoded(item) for item in value]
    return value
