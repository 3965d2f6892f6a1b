"""A folder of experiments, each run once, one after another: what came of them, and of all of them together."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import AftershockError, CleanupError, ExitCode, InputError
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.experiment.foreseen import require_sound
from chaos.experiment.needs import missing
from chaos.load.alike import to_be_measured
from chaos.reading import documents
from chaos.record.journal import Journal

_WORST_FIRST = (
    ExitCode.CLEANUP_INCOMPLETE,
    ExitCode.WRONG_INPUT,
    ExitCode.DEVIATED,
    ExitCode.ABORTED,
    ExitCode.INCONCLUSIVE,
)


_AROUND_S = 15.0
"""About what a run takes beside its load: the start of its cluster and of the generator, counts, clean-up, report."""
_MEASURING_S = 17.0
"""About what it takes to measure what a cluster carries, once for all experiments whose clusters are alike."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One experiment of a catalogue."""

    experiment: Experiment
    lacks: tuple[str, ...]
    """What this machine lacks for it."""

    @property
    def name(self) -> str:
        """Of its file, without the suffix: two files may hold experiments of one name."""
        return self.experiment.path.stem

    @property
    def faults(self) -> str:
        """What it injects."""
        return ", ".join(dict.fromkeys(one.fault.kind.label for one in self.experiment.faults)) or "nothing"

    @property
    def lasts_s(self) -> float:
        """How long its load goes on; `takes_s` has what comes on top."""
        return self.experiment.spec.planned_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one experiment."""

    listed: Listed
    exit_code: ExitCode | None
    """None where it was not run."""
    journal: Journal | None
    """None where the run left none."""
    why: str
    """Why it was not run, or did not come to a verdict; empty otherwise."""
    took_s: float = 0.0


def read(folder: Path, slo: Path | None = None) -> tuple[Listed, ...]:
    """Every experiment that lies right in a folder, by name; what is no experiment there is left alone.

    With `slo` each is held to the objectives of that file in place of its own.

    Raises:
        InputError: one of them is wrong, or there is none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    found = [
        read_experiment(path, slo)
        for path in paths
        if "experiment" in documents.read_documents(path)[0].values
    ]
    if not found:
        raise InputError(f"expected a folder with experiments in it: {folder}")
    for experiment in found:
        require_sound(experiment)
    return tuple(
        Listed(one, (*missing(one.spec.needs, one.target.service_url), *one.target.lacks())) for one in found
    )


def takes_s(listed: Sequence[Listed]) -> float:
    """About how long all of them take that can run here, on a machine that does nothing else."""
    here = [one for one in listed if not one.lacks]
    measured = to_be_measured(one.experiment for one in here)
    return sum(one.lasts_s + _AROUND_S for one in here) + _MEASURING_S * measured


def run(
    listed: Sequence[Listed],
    perform: Callable[[Listed], Journal],
    journal_of: Callable[[Listed], Journal | None],
    tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> list[Outcome]:
    """Run what this machine has everything for; one that fails is no reason to leave out the next.

    Args:
        listed: what to run, in order.
        perform: runs one to its journal.
        journal_of: what a run that raised left.
        tell: told which one comes next, and which are left out.

    Returns:
        What came of each. Where a clean-up was incomplete nothing more is run: the machine is not as it was.
    """
    outcomes: list[Outcome] = []
    stopped = ""
    for number, one in enumerate(listed, 1):
        if stopped or one.lacks:
            outcomes.append(Outcome(one, None, None, stopped or ", ".join(one.lacks)))
            continue
        tell(f"aftershock: {number} of {len(listed)}: {one.name}")
        began_s = time.monotonic()
        try:
            journal: Journal | None = perform(one)
            assert journal is not None
            code, why = ExitCode(journal.exit_code), ""
        except AftershockError as error:
            code, why, journal = error.exit_code, str(error), journal_of(one)
            if isinstance(error, CleanupError):
                stopped = f"the clean-up of {one.name} was incomplete"
        outcomes.append(Outcome(one, code, journal, why, time.monotonic() - began_s))
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """The worst of all; a catalogue of which nothing was run has shown nothing."""
    codes = {outcome.exit_code for outcome in outcomes} - {None}
    if not codes:
        return ExitCode.INCONCLUSIVE
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.PASSED)
