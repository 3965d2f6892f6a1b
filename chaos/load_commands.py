"""What the verb `load` does: load a service at one rate or at several, with no fault, and say what it does there."""

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import SystemRandom

from chaos import run_folder
from chaos.display.progress import for_stream
from chaos.errors import ExitCode
from chaos.interrupts import interruptible
from chaos.levels import running
from chaos.levels.folder import LoadFolder
from chaos.levels.running import Levels
from chaos.observe import Observation
from chaos.record.load_run import LoadRun, read_load_run
from chaos.report.levels import write_load_reports
from chaos.report.levels.terminal import print_load
from chaos.versions import versions

NAME = "load"
HYPOTHESIS = "The service at {url} answers within its objectives for {lasts}."


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What is asked of a load besides what each of its levels is."""

    sweep: bool = False
    rates: tuple[float, ...] = ()
    """Those of a sweep; empty: those that show what the service carries."""
    goal: float = 0.99
    """Least goodput of a rate that counts as carried."""
    seed: int | None = None


def load(asked: Observation, options: LoadOptions, out: Path | None) -> int:
    """Load a service, write the record of it, print it; returns the exit code.

    Ctrl-C ends it early: what was measured by then is reported all the same.
    """
    seed = SystemRandom().randrange(2**31) if options.seed is None else options.seed
    said = replace(
        asked,
        seed=seed,
        experiment=NAME,
        hypothesis=HYPOTHESIS,
        assertion=f"goodput(all) >= {options.goal * 100:g}%",
    )
    folder = LoadFolder(run_folder.create(NAME, out).path)
    levels = Levels(said, options.goal, folder, versions(), partial(for_stream, sys.stderr))
    with interruptible(levels.end):
        record = levels.several(options.rates) if options.sweep else levels.one()
    return _told(folder, record)


def report(path: Path) -> int | None:
    """Make the record of a load anew from its raw rows, and its reports; None where the folder is none of a load."""
    folder = LoadFolder(path)
    if not folder.record.is_file():
        return None
    return _told(folder, running.again(folder, read_load_run(folder.record)))


def _told(folder: LoadFolder, record: LoadRun) -> int:
    write_load_reports(folder, record)
    print_load(record, folder)
    sound = any(not level.unsound for level in record.levels)
    return ExitCode.PASSED if sound else ExitCode.INCONCLUSIVE
