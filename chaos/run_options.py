"""The verbs about experiments and what they leave: their options, and what each calls."""

import argparse
from pathlib import Path

from chaos import catalogue_commands, commands, trial_commands, trial_options, validation
from chaos.errors import EXIT_CODES, InputError
from chaos.faults.kinds import NAMESPACE
from chaos.options import Verbs, seed
from chaos.publishing.outlets import Outlets
from chaos.publishing.textfile import require_folder

_RAW = argparse.RawDescriptionHelpFormatter


def add_run(verbs: Verbs) -> None:
    """`aftershock run`."""
    run = verbs.add_parser(
        "run",
        help="run an experiment: load, fault, observation, verdict, report",
        description="Start the target, load it, wait for a healthy baseline, inject, observe, judge, report.",
        epilog=f"example:\n  aftershock run chaos/experiments/pod-kill-30.yaml --seed 7\n\n{EXIT_CODES}",
        formatter_class=_RAW,
    )
    run.add_argument("experiment", type=Path, help="an experiment file, or a folder of them")
    run.add_argument("--list", action="store_true", help="say what there is to run, and run nothing")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="say whom it could hit, as `plan` does, and have a cluster check each object; changes nothing",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME-UTC)")
    run.add_argument(
        "--seed", type=seed, help="replaces the file's seed: arrivals, names and victims follow it"
    )
    _add_slo(run)
    run.add_argument(
        "--grafana",
        metavar="URL",
        help="show fault windows there as annotations while they last; token in $GRAFANA_TOKEN",
    )
    run.add_argument(
        "--keep",
        action="store_true",
        help="leave gateway, replicas and Prometheus up after the load, until Ctrl-C; the report follows",
    )
    run.add_argument(
        "--textfile",
        type=Path,
        metavar="DIR",
        help="verdict, recoveries and error budgets as series there too, for node_exporter's textfile collector",
    )
    trial_options.add_series(run)
    run.set_defaults(command=_run)


def _run(given: argparse.Namespace) -> int:
    if given.keep and (given.experiment.is_dir() or given.trials is not None or given.dry_run or given.list):
        raise InputError("--keep is about one run of one experiment")
    asked = {name: value for name in ("shams", "jitter") if (value := getattr(given, name)) is not None}
    if given.textfile is not None and given.trials is not None:
        raise InputError("--textfile is about runs: of a series it would show the last trial alone")
    textfile = None if given.textfile is None else require_folder(given.textfile)
    shown = Outlets(given.grafana, textfile)
    if given.experiment.is_dir():
        if given.list:
            return catalogue_commands.show(given.experiment)
        if given.trials is not None or given.dry_run:
            raise InputError(f"expected one experiment with this option, got a folder: {given.experiment}")
        return catalogue_commands.run(given.experiment, given.out, given.seed, shown, given.slo)
    if given.list:
        raise InputError(f"--list is about a folder of experiments, this is none: {given.experiment}")
    if given.dry_run:
        return commands.dry_run(given.experiment, given.seed, given.slo)
    if given.trials is not None:
        series = trial_commands.SeriesOptions(given.trials, slo=given.slo, **asked)
        return trial_commands.run(given.experiment, given.out, given.seed, given.grafana, series)
    if asked:
        raise InputError(f"--{next(iter(asked))} is about a series: expected --trials N with it")
    return commands.run(given.experiment, given.out, given.seed, shown, keep=given.keep, slo=given.slo)


def _add_slo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--slo",
        type=Path,
        metavar="FILE",
        help="objectives in place of the file's `slo`, for verdict, panels, alerts and report alike (docs/slo.md)",
    )


def add_validate(verbs: Verbs) -> None:
    """`aftershock validate`."""
    validate = verbs.add_parser(
        "validate",
        help="check experiments and bare Chaos Mesh manifests",
        description=(
            "Read files as `run` would, say every key that is not understood, what the traffic would be like (rate, "
            "burstiness, lengths, open loop, or partly open where turns of sessions wait for answers), and what the "
            "run could show. With --slo also what a file of objectives says, by itself or for these experiments. "
            "Touches nothing."
        ),
    )
    validate.add_argument("files", type=Path, nargs="*", metavar="PATH", help="a file, or a folder of such")
    validate.add_argument(
        "--slo",
        type=Path,
        metavar="FILE",
        help="a file of objectives (docs/slo.md), which experiments are held to in place of their own `slo`",
    )
    validate.add_argument(
        "--namespace",
        default=NAMESPACE,
        metavar="NAME",
        help="of manifests that name none, as kubectl takes that of your context (default: %(default)s)",
    )
    validate.set_defaults(command=lambda given: validation.validate(given.files, given.namespace, given.slo))


def add_plan(verbs: Verbs) -> None:
    """`aftershock plan`."""
    plan = verbs.add_parser(
        "plan",
        help="say which replicas a fault could hit, and which it will with this seed",
        description="Select and draw as `run` would, on the replicas that there would be. Touches nothing.",
    )
    plan.add_argument("experiment", type=Path, help="an experiment file")
    plan.add_argument("--seed", type=seed, help="replaces the file's seed")
    _add_slo(plan)
    plan.set_defaults(command=lambda given: commands.plan(given.experiment, given.seed, given.slo))


def add_report(verbs: Verbs) -> None:
    """`aftershock report`."""
    report = verbs.add_parser(
        "report",
        help="write the reports of a run or a series again",
        description="Judge the raw records of a run again; rewrite journal, report, summary and JUnit XML.",
    )
    report.add_argument("folder", type=Path, help="a run folder, or that of a series of trials")
    report.set_defaults(command=lambda given: trial_commands.report(given.folder))


def add_recover(verbs: Verbs) -> None:
    """`aftershock recover`."""
    recover = verbs.add_parser(
        "recover",
        help="end whatever lost runs left behind",
        description=(
            "Find processes and faults of runs whose runner is gone, end the ones and undo the others, and say what "
            "was done. With --namespace: what runs of any machine left in that namespace of a Kubernetes."
        ),
    )
    recover.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="only runs of this name, as --dry-run has it; 'pod-kill-30-*' works",
    )
    recover.add_argument("--dry-run", action="store_true", help="only say what would be ended")
    recover.add_argument("--namespace", help="look here, for every run that does not hold its lease")
    recover.add_argument("--context", help="of the kubeconfig, with --namespace; default: the current one")
    recover.set_defaults(
        command=lambda given: commands.recover(
            dry_run=given.dry_run, names=given.runs, namespace=given.namespace, context=given.context
        )
    )
