"""What each verb of `aftershock` does; options come in as values, errors go out to the CLI."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from random import SystemRandom

from chaos import run_folder
from chaos.display.progress import Progress, for_stream
from chaos.errors import CleanupError, ExitCode, InputError
from chaos.experiment.design import sentences
from chaos.experiment.experiment import Experiment, read_experiment, write_as_run
from chaos.experiment.foreseen import require_sound
from chaos.faults import blast_radius, selection
from chaos.faults.fault import Fault
from chaos.faults.injection import PlannedFault, victims_rng
from chaos.faults.timetable import Step
from chaos.interrupts import interruptible
from chaos.load import traffic
from chaos.observe import NAME, Observation, write_observation
from chaos.publishing import step_summary, textfile
from chaos.publishing.annotations import GrafanaAnnotations
from chaos.publishing.outlets import Outlets
from chaos.record.journal import Journal
from chaos.report import recorded, write, write_reports
from chaos.report.terminal import print_summary
from chaos.run_folder import RunFolder
from chaos.runner import Run
from chaos.staying import Stay
from chaos.targets import Replica
from chaos.targets.kinds import lost_runs, lost_runs_in
from chaos.targets.options import Planned, Rehearsed
from chaos.validation import about
from chaos.versions import versions
from dashboards.grafana.client import TOKEN_VARIABLE


def run(
    path: Path,
    out: Path | None,
    seed: int | None,
    shown: Outlets,
    *,
    keep: bool,
    slo: Path | None = None,
) -> int:
    """Run an experiment, write its reports, print the summary; returns the exit code.

    With `keep` gateway, replicas and Prometheus stay up after the load, until Ctrl-C. With `slo`, a file of objectives,
    the experiment is held to those in place of its own.
    """
    stay = Stay() if keep else None
    experiment, progress = read_experiment(path, slo), for_stream(sys.stderr)
    return perform(experiment, out, seed, shown, progress, stay)[0].exit_code


def perform(
    experiment: Experiment,
    out: Path | None,
    seed: int | None,
    shown: Outlets,
    progress: Progress,
    stay: Stay | None = None,
) -> tuple[Journal, RunFolder]:
    """The same of one that was read, telling `progress` how it goes: the journal and the folder of the run."""
    require_sound(experiment)
    for notice in traffic.notices(experiment):
        print(notice, file=sys.stderr)
    grafana = annotations(shown.grafana_url, experiment.spec.experiment)
    folder = run_folder.create(experiment.spec.experiment, out)
    chosen = chosen_seed(seed, experiment)
    as_run = write_as_run(experiment, folder.experiment, seed=chosen, versions=versions())
    with interruptible(stay.release if stay is not None else lambda: False):
        try:
            journal = Run(as_run, folder, progress, grafana, stay=stay).run()
        finally:
            if folder.journal.is_file():
                write_reports(folder)
                step_summary.append(folder.summary)
                if shown.textfile is not None:
                    textfile.publish(folder.outcome, shown.textfile, experiment.spec.experiment)
    print_summary(journal, folder)
    return journal, folder


def annotations(url: str | None, experiment: str) -> GrafanaAnnotations | None:
    """The Grafana that is told of faults, where one was named and lets us."""
    if url is None:
        return None
    grafana = GrafanaAnnotations(url, os.environ.get(TOKEN_VARIABLE, ""), experiment)
    grafana.require_access(time.time())
    return grafana


def chosen_seed(seed: int | None, experiment: Experiment) -> int:
    """The option's, else the file's, else one that is drawn."""
    drawn = SystemRandom().randrange(2**31)
    return next(value for value in (seed, experiment.spec.seed, drawn) if value is not None)


def observe(asked: Observation, out: Path | None) -> int:
    """Load a service, inject nothing, report every disturbance; returns the exit code.

    Ctrl-C ends an observation early: what was seen by then is reported all the same.
    """
    folder = run_folder.create(NAME, out)
    seeded = replace(asked, seed=SystemRandom().randrange(2**31))
    observation = Run(write_observation(seeded, folder, versions=versions()), folder, for_stream(sys.stderr))

    def ends() -> bool:
        if observation.under_load:
            observation.stopping.set()
        return observation.under_load

    with interruptible(ends):
        try:
            journal = observation.run()
        finally:
            if folder.journal.is_file():
                write_reports(folder)
    print_summary(journal, folder)
    return journal.exit_code


def plan(path: Path, seed: int | None, slo: Path | None = None) -> int:
    """Say when which replicas could be hit by the experiment's faults, and which will be with this seed."""
    experiment = read_experiment(path, slo)
    require_sound(experiment)
    chosen = experiment.spec.seed if seed is None else seed
    would_be = experiment.target.present(chosen)
    steps = _injections(experiment)
    for step in steps:
        when = experiment.injections[step.fault].entry.when
        if when is not None:
            print(
                f"{step.occurrence}, between {step.at_s:g} and {step.until_s:g} s on the run clock, once {when}:"
            )
        elif len(steps) > 1:
            after = "" if step.after_check is None else f" at the latest, once {step.after_check} is over"
            print(f"{step.occurrence}, {step.at_s:g} s on the run clock{after}:")
        _print_reach(experiment.faults[step.fault], would_be, chosen, step.draw)
    for check in experiment.checks:
        at_s = experiment.baseline_ends_s + check.check.at_s
        print(f"{check.id}, {at_s:g} s on the run clock at the latest: {check.check.asks}")
    for sentence in sentences(experiment):
        print(sentence)
    print(
        f"with seed {chosen}"
        if chosen is not None
        else "without a seed: names and victims are drawn anew by each run"
    )
    return ExitCode.PASSED


def dry_run(path: Path, seed: int | None, slo: Path | None = None) -> int:
    """The same, and have whatever would be created checked by whoever would take it."""
    plan(path, seed, slo)
    experiment = read_experiment(path, slo)
    chosen = experiment.spec.seed if seed is None else seed
    would_be = experiment.target.present(chosen)
    rehearsed = [
        Rehearsed(
            step.occurrence,
            experiment.faults[step.fault].fault.manifest,
            _drawn(experiment.faults[step.fault].fault, would_be, chosen or 0, step.draw),
        )
        for step in _injections(experiment)
    ]
    for line in experiment.target.rehearse(rehearsed):
        print(line)
    return ExitCode.PASSED


def _injections(experiment: Experiment) -> list[Step]:
    return [step for step in experiment.timetable().steps if step.action == "inject"]


def _drawn(fault: Fault, would_be: Planned, seed: int, number: int) -> tuple[Replica, ...]:
    chosen = fault.selection
    if chosen is None:
        return ()
    found = selection.candidates(chosen.selector, would_be.replicas, would_be.nodes)
    return selection.draw(found, chosen.mode, chosen.value, victims_rng(seed, number)).victims


def _print_reach(planned: PlannedFault, would_be: Planned, seed: int | None, number: int) -> None:
    """Who could be hit by one fault, of the replicas that there would be."""
    fault, chosen = planned.fault, planned.fault.selection
    if chosen is None:
        print(f"{about(fault)} would run its commands once")
        return
    found = selection.candidates(chosen.selector, would_be.replicas, would_be.nodes)
    reach = blast_radius.check(fault, found, planned.radius, would_be.nodes, len(would_be.replicas))
    drawn: frozenset[str] = frozenset()
    if seed is not None:
        draw = selection.draw(found, chosen.mode, chosen.value, victims_rng(seed, number))
        drawn = frozenset(victim.name for victim in draw.victims)
    count = str(reach.most) if reach.fewest == reach.most else f"{reach.fewest} to {reach.most}"
    allowed = planned.radius.max_targets
    print(f"{about(fault)} would hit {count} of {len(found)} candidates (at most {allowed} allowed)")
    possible = {replica.name for replica in reach.replicas}
    for replica in would_be.replicas:
        name = replica.name if seed is not None or would_be.there else f"{replica.labels['app']}-…"
        fate = (
            "would be hit"
            if replica.name in drawn
            else "could be hit"
            if replica.name in possible
            else "safe"
        )
        print(f"  {replica.namespace}/{name}  node={replica.node}  {fate}")


def report(path: Path) -> int:
    """Judge the raw records of a run folder again and rewrite its reports."""
    folder = run_folder.existing(path)
    run = recorded.judged(folder)
    run.journal.write(folder.journal)
    write(folder, run)
    print_summary(run.journal, folder)
    return run.journal.exit_code


def recover(
    *, dry_run: bool, names: Sequence[str] = (), namespace: str | None = None, context: str | None = None
) -> int:
    """End what lost runs left, here or in one namespace of a Kubernetes, and say what that was.

    With `names`, as shells match names of files, only what runs of such a name left.
    """
    if context is not None and namespace is None:
        raise InputError("--context says which cluster, and not where in it", hint="name a --namespace too")
    found = lost_runs() if namespace is None else lost_runs_in(namespace, context)
    lost = [run for run in found if not names or any(fnmatchcase(run.run_id, name) for name in names)]
    failures = []
    for run in lost:
        print(f"run {run.run_id}: {run.left}")
        try:
            for piece in run.pieces if dry_run else run.end():
                print(f"  {'would end' if dry_run else 'ended'} {piece}")
        except CleanupError as error:  # the others still have their turn
            failures.append(f"{error}")
    if failures:
        raise CleanupError("; ".join(failures), hint="see what holds it, then `aftershock recover` again")
    if not lost:
        which = f"no run of the name {' or '.join(names)}" if names else "no run"
        print(f"nothing to recover: {which} has lost its runner")
    return ExitCode.PASSED
