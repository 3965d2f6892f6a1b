"""From the raw files of a run folder to its journal: what `run` does at its end, and `report` at any later time."""

import math
from dataclasses import replace

import numpy as np

from chaos.errors import ExitCode
from chaos.experiment.file import ExperimentSpec
from chaos.judging import journaling, records
from chaos.judging.contention import excused
from chaos.judging.evaluation import evaluate
from chaos.judging.processor_section import section
from chaos.judging.records import Records
from chaos.judging.verdict import judge
from chaos.measuring import design, failures
from chaos.measuring.columns import Ints
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from chaos.record.costs import Processor
from chaos.record.journal import Journal
from chaos.record.load import Capacity
from chaos.run_folder import RunFolder
from loadtests.rows import OUTCOMES


def judge_folder(folder: RunFolder) -> Journal:
    """Measure and judge the records of a run; the same records give the same journal.

    Raises:
        InputError: a file of the folder is missing, or is not what a run writes.
    """
    return judge_records(records.read(folder))


def judge_records(run: Records) -> Journal:
    """The same of records that were read already."""
    experiment, timeline, samples, cut_short = run.experiment, run.timeline, run.samples, run.cut_short
    measurements = measure(timeline, objectives(experiment.spec), criteria(experiment.spec))
    results = [
        excused(
            each,
            evaluate(each, measurements, run.observed.alerts, run.observed.promql),
            measurements,
            samples,
        )
        for each in experiment.assertions
    ]
    counts = run.observed.reconciliation
    found = [*([cut_short.why] if cut_short else []), *run.discord, *(counts.problems if counts else ())]
    judgement = judge(measurements, results, found)
    if cut_short is not None:
        judgement = replace(judgement, exit_code=ExitCode(cut_short.exit_code))
    return journaling.build(_facts(run, section(samples, measurements)), measurements, judgement)


def objectives(spec: ExperimentSpec) -> Objectives:
    """The SLO of one request."""
    return Objectives(spec.slo.ttft_s, spec.slo.e2e_s, spec.slo.itl_s, spec.slo.tpot_s)


def criteria(spec: ExperimentSpec) -> Criteria:
    """When the service counts as recovered."""
    recovery = spec.recovery
    chosen_s = recovery.window_s
    if chosen_s is None:
        chosen_s = min(recovery.hold_s, design.window_s(spec.load.rate_per_s or math.inf))
    return Criteria(
        recovery.goodput, recovery.error_ratio, chosen_s, recovery.hold_s, recovery.within_s, recovery.cache
    )


def _facts(run: Records, processor: Processor | None) -> journaling.RunFacts:
    spec = run.experiment.spec
    return journaling.RunFacts(
        experiment=spec.experiment,
        hypothesis=spec.hypothesis,
        target=run.target,
        seed=spec.seed or 0,
        started_at=run.started_at,
        versions=spec.versions,
        generator=run.generator,
        reconciliation=run.observed.reconciliation,
        engine=run.observed.engine,
        alerts=run.observed.alerts,
        promql=run.observed.promql,
        processor=processor,
        rate_per_s=spec.load.rate_per_s,
        partly_open=spec.load.partly_open,
        planned=run.planned,
        sent=int(np.sum(~np.isnan(run.rows.sent_s))),
        outcomes=counted(run.rows.outcome),
        refusals=failures.refusals(run.rows),
        common_age=failures.common_age(run.rows),
        cut_short=None if run.cut_short is None else run.cut_short.why,
        capacity=made_of(spec, by_this_run=run.measured_capacity),
    )


def counted(outcomes: Ints) -> dict[str, int]:
    """How many requests had which outcome, by name; those that occurred."""
    counts = np.bincount(outcomes, minlength=len(OUTCOMES))
    return {name: int(count) for name, count in sorted(zip(OUTCOMES, counts, strict=True)) if count}


def made_of(spec: ExperimentSpec, *, by_this_run: bool) -> Capacity | None:
    """What the rate was made of, and whether this run found it out or repeats one that did; None where nothing."""
    found = spec.load.capacity
    return None if found is None else Capacity.model_validate({**dict(found), "by_this_run": by_this_run})
