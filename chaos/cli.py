"""The command `aftershock`: where options are read, errors end, and exit codes are made."""

import argparse
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from chaos import catalogue_commands, commands, service_options, trial_commands, trial_options, validation
from chaos.errors import AftershockError, ExitCode, InputError
from chaos.faults.kinds import NAMESPACE
from chaos.interrupts import Interrupted
from chaos.lint.command import add_lint
from chaos.options import Verbs, seed

DESCRIPTION = """\
Shake an LLM inference cluster under load, and prove how fast it recovers.

  aftershock run chaos/experiments/pod-kill-30.yaml       the main job: load, fault, verdict, report
  aftershock run chaos/experiments                        every experiment of a folder, one summary
  aftershock load http://127.0.0.1:8000 --sweep           no fault: latencies, tokens/s, how much it carries
  aftershock observe http://127.0.0.1:8000                load a service of yours, report every disturbance
  aftershock validate chaos/experiments/*.yaml            is every key understood? touches nothing
  aftershock lint deploy/                                 are these manifests fit for an inference cluster?
  aftershock plan chaos/experiments/pod-kill-30.yaml      which replicas could be hit? touches nothing
  aftershock run EXPERIMENT --trials 20                   the same 20 times, with shams among them
  aftershock compare runs/A runs/B                        which of two series recovers faster?
  aftershock report runs/pod-kill-30-20260101T000000Z     write the reports again from the raw records
  aftershock recover                                      end whatever a lost run left behind
"""

EXIT_CODES = """\
exit codes:
  0    passed: every assertion held
  1    deviated: the experiment found a weakness
  2    the input is wrong; nothing was injected
  3    inconclusive, or refused by a guard before injecting
  4    aborted by a guard after injecting; everything was undone
  5    cleanup is incomplete: look now, then `aftershock recover`
  130  interrupted, and cleaned up
"""
_NOBODY_READS = 128 + signal.SIGPIPE
"""What a shell makes of a program that ends so; none of the codes that say something of a cluster."""
_RAW = argparse.RawDescriptionHelpFormatter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aftershock", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=_RAW
    )
    parser.add_argument("--version", action="version", version=f"aftershock {commands.version()}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    _add_run(verbs)
    service_options.add_load(verbs)
    service_options.add_observe(verbs)
    _add_checks(verbs)
    add_lint(verbs)
    _add_afterwards(verbs)
    trial_options.add_comparisons(verbs)
    return parser


def _add_run(verbs: Verbs) -> None:
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
        "--dry-run", action="store_true", help="say whom it could hit, as `plan` does; writes nothing"
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME-UTC)")
    run.add_argument(
        "--seed", type=seed, help="replaces the file's seed: arrivals, names and victims follow it"
    )
    run.add_argument(
        "--grafana",
        metavar="URL",
        help="show fault windows there as annotations while they last; token in $GRAFANA_TOKEN",
    )
    trial_options.add_series(run)
    run.set_defaults(command=_run)


def _run(given: argparse.Namespace) -> int:
    asked = {name: value for name in ("shams", "jitter") if (value := getattr(given, name)) is not None}
    if given.experiment.is_dir():
        if given.list:
            return catalogue_commands.show(given.experiment)
        if given.trials is not None or given.dry_run:
            raise InputError(f"expected one experiment with this option, got a folder: {given.experiment}")
        return catalogue_commands.run(given.experiment, given.out, given.seed, given.grafana)
    if given.list:
        raise InputError(f"--list is about a folder of experiments, this is none: {given.experiment}")
    if given.dry_run:
        return commands.plan(given.experiment, given.seed)
    if given.trials is not None:
        series = trial_commands.SeriesOptions(given.trials, **asked)
        return trial_commands.run(given.experiment, given.out, given.seed, given.grafana, series)
    if asked:
        raise InputError(f"--{next(iter(asked))} is about a series: expected --trials N with it")
    return commands.run(given.experiment, given.out, given.seed, given.grafana)


def _add_checks(verbs: Verbs) -> None:
    validate = verbs.add_parser(
        "validate",
        help="check experiments and bare Chaos Mesh manifests",
        description=(
            "Read files as `run` would, say every key that is not understood, what the traffic would be like (rate, "
            "burstiness, lengths, open loop, or partly open where turns of sessions wait for answers), and what the "
            "run could show. Touches nothing."
        ),
    )
    validate.add_argument("files", type=Path, nargs="+", metavar="PATH", help="a file, or a folder of such")
    validate.add_argument(
        "--namespace",
        default=NAMESPACE,
        metavar="NAME",
        help="of manifests that name none, as kubectl takes that of your context (default: %(default)s)",
    )
    validate.set_defaults(command=lambda given: validation.validate(given.files, given.namespace))

    plan = verbs.add_parser(
        "plan",
        help="say which replicas a fault could hit, and which it will with this seed",
        description="Select and draw as `run` would, on the replicas that there would be. Touches nothing.",
    )
    plan.add_argument("experiment", type=Path, help="an experiment file")
    plan.add_argument("--seed", type=seed, help="replaces the file's seed")
    plan.set_defaults(command=lambda given: commands.plan(given.experiment, given.seed))


def _add_afterwards(verbs: Verbs) -> None:
    report = verbs.add_parser(
        "report",
        help="write the reports of a run or a series again",
        description="Judge the raw records of a run again; rewrite journal, report, summary and JUnit XML.",
    )
    report.add_argument("folder", type=Path, help="a run folder, or that of a series of trials")
    report.set_defaults(command=lambda given: trial_commands.report(given.folder))

    recover = verbs.add_parser(
        "recover",
        help="end whatever lost runs left behind",
        description=(
            "Find processes and faults of runs whose runner is gone, end the ones and undo the others, and say what "
            "was done. With --namespace: what runs of any machine left in that namespace of a Kubernetes."
        ),
    )
    recover.add_argument("--dry-run", action="store_true", help="only say what would be ended")
    recover.add_argument("--namespace", help="look here, for every run that does not hold its lease")
    recover.add_argument("--context", help="of the kubeconfig, with --namespace; default: the current one")
    recover.set_defaults(
        command=lambda given: commands.recover(
            dry_run=given.dry_run, namespace=given.namespace, context=given.context
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        try:
            return int(given.command(given))
        finally:
            sys.stdout.flush()  # here, where it is known what to make of a reader that has gone
    except AftershockError as error:
        print(f"aftershock: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except Interrupted as interrupt:
        print(f"aftershock: interrupted by {interrupt.signal_name}, everything was undone", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except Exception as error:  # Python's own exit code for it, 1, would say that a weakness was found
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return _NOBODY_READS
        traceback.print_exc()
        print(
            "aftershock: this is a mistake of aftershock itself, and says nothing of the cluster",
            file=sys.stderr,
        )
        return ExitCode.INCONCLUSIVE


def _nobody_reads() -> bool:
    """Whether it is our own output that nobody takes any more, as behind `| head`; then the rest of it goes nowhere."""
    out = select.poll()
    out.register(sys.stdout.fileno(), 0)
    if not any(told & select.POLLERR for _, told in out.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
