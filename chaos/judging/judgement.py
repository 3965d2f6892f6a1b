"""From the raw files of a run folder to its journal: what `run` does at its end, and `report` at any later time."""

from collections import Counter
from dataclasses import replace
from typing import Any

from chaos.errors import ExitCode
from chaos.experiment.file import ExperimentSpec
from chaos.judging import journal, records
from chaos.judging.contention import excused
from chaos.judging.evaluation import evaluate
from chaos.judging.processor_section import section
from chaos.judging.records import Records
from chaos.judging.verdict import judge
from chaos.measuring.measurements import measure
from chaos.measuring.recovery import Criteria
from chaos.measuring.slis import Objectives
from chaos.run_folder import RunFolder


def judge_folder(folder: RunFolder) -> dict[str, Any]:
    """Measure and judge the records of a run; the same records give the same journal.

    Raises:
        InputError: a file of the folder is missing, or is not what a run writes.
    """
    run = records.read(folder)
    experiment, timeline, samples, cut_short = run.experiment, run.timeline, run.samples, run.cut_short
    measurements = measure(timeline, objectives(experiment.spec), criteria(experiment.spec))
    results = [
        excused(each, evaluate(each, measurements), measurements, samples) for each in experiment.assertions
    ]
    reconciliation = run.counted.get("reconciliation")
    found = [*([cut_short.why] if cut_short else []), *(reconciliation or {}).get("problems", ())]
    judgement = judge(measurements, results, found)
    if cut_short is not None:
        judgement = replace(judgement, exit_code=ExitCode(cut_short.exit_code))
    facts = replace(
        _facts(run),
        planned=run.planned,
        sent=sum(row.sent_s is not None for row in run.rows),
        outcomes=dict(sorted(Counter(row.outcome for row in run.rows).items())),
        cut_short=None if cut_short is None else cut_short.why,
        rate_per_s=experiment.spec.load.rate_per_s,
        capacity=_capacity(experiment.spec, folder),
        processor=section(samples, measurements),
    )
    return journal.build(facts, measurements, judgement)


def objectives(spec: ExperimentSpec) -> Objectives:
    """The SLO of one request."""
    return Objectives(spec.slo.ttft_s, spec.slo.e2e_s, spec.slo.itl_s)


def criteria(spec: ExperimentSpec) -> Criteria:
    """When the service counts as recovered."""
    recovery = spec.recovery
    return Criteria(
        recovery.goodput, recovery.error_ratio, recovery.window_s, recovery.hold_s, recovery.within_s
    )


def _facts(run: Records) -> journal.RunFacts:
    spec, events = run.experiment.spec, run.timeline.events
    started = next((event.detail["wall"] for event in events if event.kind == "load_started"), "")
    return journal.RunFacts(
        experiment=spec.experiment,
        hypothesis=spec.hypothesis,
        target=run.target,
        seed=spec.seed or 0,
        started_at=started,
        versions=spec.versions,
        generator=run.generator,
        reconciliation=run.counted.get("reconciliation"),
        engine=run.counted.get("engine"),
        alerts=run.counted.get("alerts"),
    )


def _capacity(spec: ExperimentSpec, folder: RunFolder) -> dict[str, Any] | None:
    """What the rate was made of, and whether this run found it out or repeats one that did."""
    made_of = spec.load.capacity
    if made_of is None:
        return None
    kept = {key: value for key, value in made_of if value is not None}
    return {**kept, "by_this_run": folder.capacity_rows(1).is_file()}
