"""What each verb of `aftershock` does; options come in as values, errors go out to the CLI."""

import os
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from random import SystemRandom

from chaos import run_folder
from chaos.errors import ExitCode, InputError
from chaos.fault import blast_radius, selector
from chaos.fault.injection import victims_rng
from chaos.interrupts import interruptible
from chaos.judging import journal, judgement
from chaos.local_run import local_spec
from chaos.observing.annotations import TOKEN_VARIABLE, GrafanaAnnotations
from chaos.progress import for_stream, print_summary
from chaos.reading.chaos_mesh import PodKill
from chaos.reading.experiment import Experiment, read_experiment, read_file, write_as_run
from chaos.report import write_reports
from chaos.runner import Run
from chaos.targets.local import naming
from chaos.targets.local.lost_runs import end_lost_run, find_lost_runs
from chaos.versions import versions


def run(path: Path, out: Path | None, seed: int | None, grafana_url: str | None) -> int:
    """Run an experiment, write its reports, print the summary; returns the exit code."""
    experiment = read_experiment(path)
    grafana = None
    if grafana_url is not None:
        token = os.environ.get(TOKEN_VARIABLE, "")
        grafana = GrafanaAnnotations(grafana_url, token, experiment.spec.experiment)
        grafana.require_access(time.time())
    folder = run_folder.create(experiment.spec.experiment, out)
    drawn = SystemRandom().randrange(2**31)
    chosen = next(value for value in (seed, experiment.spec.seed, drawn) if value is not None)
    as_run = write_as_run(experiment, folder.experiment, seed=chosen, versions=versions())
    with interruptible():
        try:
            journaled = Run(as_run, folder, for_stream(sys.stderr), grafana).run()
        finally:
            if folder.journal.is_file():
                write_reports(folder)
    print_summary(journaled, folder)
    return int(journaled["exit_code"])


def validate(paths: Sequence[Path]) -> int:
    """Read every file as `run` would, and say of each whether it is understood."""
    wrong = 0
    for path in paths:
        try:
            found = read_file(path)
        except InputError as error:
            wrong += 1
            print(f"{error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
            continue
        if isinstance(found, Experiment):
            kill = found.kill
            print(
                f"{path}: experiment {found.spec.experiment}, {len(found.assertions)} assertions, {_of(kill)}"
            )
        else:
            print(f"{path}: " + "; ".join(_of(kill) for kill in found))
    return ExitCode.WRONG_INPUT if wrong else ExitCode.PASSED


def plan(path: Path, seed: int | None) -> int:
    """Say whom the experiment's fault could hit, and whom it will with this seed."""
    experiment = read_experiment(path)
    chosen = experiment.spec.seed if seed is None else seed
    spec = experiment.spec.model_copy(update={"seed": chosen})
    cluster = local_spec(spec, Path())
    kill, radius = experiment.kill, spec.fault.blast_radius
    replicas = naming.planned(cluster)
    found = selector.candidates(kill.selector, replicas, naming.nodes(cluster))
    reach = blast_radius.check(kill, found, radius)
    drawn: frozenset[str] = frozenset()
    if chosen is not None:
        drawn = frozenset(
            victim.name for victim in selector.draw(found, kill.mode, kill.value, victims_rng(chosen)).victims
        )
    count = str(reach.most) if reach.fewest == reach.most else f"{reach.fewest} to {reach.most}"
    print(f"{_of(kill)} would hit {count} of {len(found)} candidates (at most {radius.max_targets} allowed)")
    possible = {replica.name for replica in reach.replicas}
    for replica in replicas:
        name = replica.name if chosen is not None else f"{cluster.app}-…"
        fate = (
            "would be hit"
            if replica.name in drawn
            else "could be hit"
            if replica.name in possible
            else "safe"
        )
        print(f"  {replica.namespace}/{name}  zone={replica.labels['zone']}  {fate}")
    print(
        f"with seed {chosen}"
        if chosen is not None
        else "without a seed: names and victims are drawn anew by each run"
    )
    return ExitCode.PASSED


def report(path: Path) -> int:
    """Judge the raw records of a run folder again and rewrite its reports."""
    folder = run_folder.existing(path)
    journaled = judgement.judge_folder(folder)
    journal.write(folder.journal, journaled)
    write_reports(folder)
    print_summary(journaled, folder)
    return int(journaled["exit_code"])


def recover(*, dry_run: bool) -> int:
    """End what lost runs left, and say what that was."""
    lost = find_lost_runs()
    for each in lost:
        print(
            f"run {each.run_id}: its runner (pid {each.runner_pid}) is gone; left: {len(each.processes)} processes"
        )
        for line in each.processes if dry_run else end_lost_run(each.run_id):
            print(f"  {'would end' if dry_run else 'ended'} {line}")
    if not lost:
        print("nothing to recover: no run has lost its runner")
    return ExitCode.PASSED


def version() -> str:
    """The installed version."""
    return metadata.version("aftershock")


def _of(kill: PodKill) -> str:
    how = kill.mode if kill.mode in ("one", "all") else f"{kill.mode} {kill.value}"
    return f"PodChaos/pod-kill {kill.name} ({how})"
