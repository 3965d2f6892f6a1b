"""From the raw files of a run folder to its journal: what `run` does at its end, and `report` at any later time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chaos.errors import InputError
from chaos.events import Event, read_events
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.experiment.file import ExperimentSpec
from chaos.judging import journal
from chaos.judging.contention import excused
from chaos.judging.evaluation import evaluate
from chaos.judging.processor_section import section
from chaos.judging.verdict import judge
from chaos.measuring.measurements import measure
from chaos.measuring.processor import read_samples
from chaos.measuring.recovery import Criteria
from chaos.measuring.slis import Objectives
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.run_folder import RunFolder
from loadtests.rows import read_rows


def judge_folder(folder: RunFolder) -> dict[str, Any]:
    """Measure and judge the records of a run; the same records give the same journal.

    Raises:
        InputError: a file of the folder is missing, or is not what a run writes.
    """
    experiment = read_experiment(folder.experiment)
    generator = _read_json(folder, "load.json")
    counted = _read_json(folder, "metrics.json")
    try:
        events = read_events(folder.events)
        timeline = _timeline(folder, experiment.spec, generator, events)
        samples = read_samples(folder.processor, float(generator["start_monotonic_s"]))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder.path}: not the records of a run: {error}") from error
    measurements = measure(timeline, objectives(experiment.spec), criteria(experiment.spec))
    results = [
        excused(each, evaluate(each, measurements), measurements, samples) for each in experiment.assertions
    ]
    judgement = judge(measurements, results, counted["reconciliation"]["problems"])
    run = _facts(experiment, generator, counted, events)
    run = replace(
        run,
        rate_per_s=experiment.spec.load.rate_per_s,
        capacity=_capacity(experiment.spec, folder),
        processor=section(samples, measurements),
    )
    return journal.build(run, measurements, judgement)


def objectives(spec: ExperimentSpec) -> Objectives:
    """The SLO of one request."""
    return Objectives(spec.slo.ttft_s, spec.slo.e2e_s, spec.slo.itl_s)


def criteria(spec: ExperimentSpec) -> Criteria:
    """When the service counts as recovered."""
    recovery = spec.recovery
    return Criteria(
        recovery.goodput, recovery.error_ratio, recovery.window_s, recovery.hold_s, recovery.within_s
    )


def _timeline(
    folder: RunFolder, spec: ExperimentSpec, generator: Mapping[str, Any], events: Sequence[Event]
) -> Timeline:
    return Timeline(
        rows=tuple(read_rows(folder.requests)),
        events=tuple(events),
        planned=int(generator["planned"]),
        warmup_s=spec.phases.warmup_s,
        plan_end_s=float(generator["duration_s"]),
        wanted_replicas=_opened(events, spec)[1],
        faults=tuple(_fault(event, events) for event in events if event.kind == "fault_injected"),
    )


def _fault(injected: Event, events: Sequence[Event]) -> FaultWindow:
    fault = injected.detail
    # A run of an earlier version had one fault, and tied what was seen of it to its name.
    occurrence = fault.get("id", fault["name"])
    mine = [e for e in events if e.detail.get("id", e.detail.get("fault")) == occurrence]
    looked = [e for e in mine if e.kind in ("fault_verified", "fault_unverified")]
    verified = {event.replica for event in looked if event.kind == "fault_verified"}
    ended_s = min((event.at_s for event in mine if event.kind == "fault_ended"), default=None)
    after = [e.kind for e in mine if e.kind in ("end_verified", "end_unverified")]
    return FaultWindow(
        id=occurrence,
        name=fault["name"],
        kind=fault["kind"],
        fidelity=fault["fidelity"],
        fidelity_reason=fault.get("fidelity_reason", ""),
        plane=fault.get("plane", "process"),
        done=fault.get("done", "were killed"),
        started_s=injected.at_s,
        ended_s=ended_s,
        targets=tuple(fault["targets"]),
        candidates=fault["candidates"],
        verified=bool(fault["targets"]) and verified >= set(fault["targets"]),
        evidence=tuple(f"{event.replica}: {event.detail['how']}" for event in looked),
        undone=None if ended_s is None else "end_unverified" not in after,
    )


def _opened(events: Sequence[Event], spec: ExperimentSpec) -> tuple[str, int]:
    """Which kind of target it was, and how many replicas it should have had."""
    opened = next((event.detail for event in events if event.kind == "target_opened"), None)
    if opened is None:  # a run of an earlier version, which had one kind of target
        return "local", spec.target.chosen.wanted_replicas
    return opened["target"], opened["wanted_replicas"]


def _facts(
    experiment: Experiment, generator: Mapping[str, Any], counted: Mapping[str, Any], events: Sequence[Event]
) -> journal.RunFacts:
    spec = experiment.spec
    started = next((event.detail["wall"] for event in events if event.kind == "load_started"), "")
    return journal.RunFacts(
        experiment=spec.experiment,
        hypothesis=spec.hypothesis,
        target=_opened(events, spec)[0],
        seed=spec.seed or 0,
        started_at=started,
        versions=spec.versions,
        generator=generator,
        reconciliation=counted["reconciliation"],
        engine=counted.get("engine"),
        alerts=counted.get("alerts"),
    )


def _capacity(spec: ExperimentSpec, folder: RunFolder) -> dict[str, Any] | None:
    """What the rate was made of, and whether this run found it out or repeats one that did."""
    made_of = spec.load.capacity
    if made_of is None:
        return None
    kept = {key: value for key, value in made_of if value is not None}
    return {**kept, "by_this_run": folder.capacity_rows(1).is_file()}


def _read_json(folder: RunFolder, name: str) -> dict[str, Any]:
    path = folder.path / name
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the records of a run: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object, got {type(value).__name__}")
    return value
