"""What the verbs do with a folder of experiments: list it, or run all of it."""

import sys
from pathlib import Path

from chaos import catalogue, commands, run_folder
from chaos.catalogue import Listed
from chaos.display.progress import for_stream
from chaos.errors import ExitCode
from chaos.load.alike import Alike
from chaos.publishing import step_summary
from chaos.publishing.outlets import Outlets
from chaos.record import journal as journals
from chaos.record.journal import Journal
from chaos.report import catalogue as report
from chaos.run_folder import RunFolder


def show(folder: Path) -> int:
    """Say what there is to run; touches nothing."""
    report.print_list(catalogue.read(folder))
    return ExitCode.PASSED


def run(folder: Path, out: Path | None, seed: int | None, shown: Outlets, slo: Path | None = None) -> int:
    """Run every experiment of a folder that this machine has everything for; returns the worst exit code.

    Whatever ends it early, what was finished is in the folders of the runs.
    """
    listed = catalogue.read(folder, slo)
    kept = run_folder.create_catalogue(out)

    alike = Alike()

    def perform(one: Listed) -> Journal:
        experiment, out = alike.settled(one.experiment), kept.run(one.name)
        journal, folder = commands.perform(experiment, out, seed, shown, for_stream(sys.stderr))
        alike.learn(one.experiment, folder, journal.processor)
        return journal

    def left(one: Listed) -> Journal | None:
        journal = RunFolder(kept.run(one.name)).journal
        return journals.read(journal) if journal.is_file() else None

    outcomes = catalogue.run(listed, perform, left)
    kept.junit.write_text(report.junit(outcomes), encoding="utf-8")
    kept.summary.write_text(report.summary(outcomes), encoding="utf-8")
    step_summary.append(kept.summary)
    report.print_outcomes(outcomes)
    print(f"{kept.summary}\n{kept.junit}")
    return catalogue.exit_code(outcomes)
