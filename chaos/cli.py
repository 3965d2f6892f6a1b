"""The command `aftershock`: where options are read, errors end, and exit codes are made."""

import argparse
import importlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.errors import EXIT_CODES, AftershockError, ExitCode
from chaos.interrupts import Interrupted

DESCRIPTION = """\
Shake an LLM inference cluster under load, and prove how fast it recovers.

  aftershock run chaos/experiments/pod-kill-30.yaml       the main job: load, fault, verdict, report
  aftershock run chaos/experiments                        every experiment of a folder, one summary
  aftershock load http://127.0.0.1:8000 --sweep           no fault: latencies, tokens/s, how much it carries
  aftershock observe http://127.0.0.1:8000                load a service of yours, report every disturbance
  aftershock init --url http://127.0.0.1:8000             write a first experiment of your own, commented
  aftershock validate chaos/experiments/*.yaml            is every key understood? touches nothing
  aftershock lint deploy/                                 are these manifests fit for an inference cluster?
  aftershock plan chaos/experiments/pod-kill-30.yaml      which replicas could be hit? touches nothing
  aftershock run EXPERIMENT --trials 20                   the same 20 times, with shams among them
  aftershock compare runs/A runs/B                        which of two series recovers faster?
  aftershock report runs/pod-kill-30-20260101T000000Z     write the reports again from the raw records
  aftershock recover                                      end whatever a lost run left behind
"""

_NOBODY_READS = 128 + signal.SIGPIPE
"""What a shell makes of a program that ends so; none of the codes that say something of a cluster."""
_RAW = argparse.RawDescriptionHelpFormatter


@dataclass(frozen=True, slots=True)
class _Verb:
    """A word of the command, and where the rest of it is: what it takes to run one is not read for the others."""

    name: str
    help: str
    added_by: str
    """A module, and the function in it that declares the verb's options."""

    def declare(self, verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        """All of its options."""
        module, _, function = self.added_by.partition(":")
        getattr(importlib.import_module(module), function)(verbs)


VERBS = (
    _Verb("run", "run an experiment: load, fault, observation, verdict, report", "chaos.run_options:add_run"),
    _Verb(
        "load",
        "load a service at one rate or several, with no fault: latencies, tokens/s, goodput, the knee",
        "chaos.service_options:add_load",
    ),
    _Verb(
        "observe",
        "load a service that runs already, inject nothing, report every disturbance",
        "chaos.service_options:add_observe",
    ),
    _Verb(
        "init",
        "write a commented experiment for a URL, a command or a cluster of yours",
        "chaos.first.command:add_init",
    ),
    _Verb("validate", "check experiments and bare Chaos Mesh manifests", "chaos.run_options:add_validate"),
    _Verb(
        "plan",
        "say which replicas a fault could hit, and which it will with this seed",
        "chaos.run_options:add_plan",
    ),
    _Verb("lint", "check Kubernetes manifests of an inference cluster", "chaos.lint.command:add_lint"),
    _Verb("report", "write the reports of a run or a series again", "chaos.run_options:add_report"),
    _Verb("recover", "end whatever lost runs left behind", "chaos.run_options:add_recover"),
    _Verb(
        "compare",
        "say whether B recovers later than A: two series of trials, of two builds or two settings",
        "chaos.trial_options:add_compare",
    ),
    _Verb(
        "trend",
        "show series and runs of one experiment over time: does the last differ from those before?",
        "chaos.trial_options:add_trend",
    ),
)


def _parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The whole command, or, where it is known which verb is wanted, of the others no more than their names."""
    parser = argparse.ArgumentParser(
        prog="aftershock", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=_RAW
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say the installed version, and end")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for each in VERBS:
        if verb in (None, each.name):
            each.declare(verbs)
        else:
            verbs.add_parser(each.name, help=each.help)
    return parser


class _Version(argparse.Action):
    """Says the version: what is installed is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        print(f"aftershock {version()}")
        parser.exit()


def version() -> str:
    """The installed version; `(not installed)` of a tree that is only on the path."""
    from importlib import metadata

    try:
        return metadata.version("aftershock")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    # No verb has a look at another's options: an import of all of them takes seconds on a small machine.
    given = _parser(next((word for word in words if not word.startswith("-")), "")).parse_args(words)
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
