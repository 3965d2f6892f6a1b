"""`pytest DIR` runs every experiment in DIR as a test: passed passes, deviated fails, inconclusive fails as itself.

An experiment file is collected where it, or the folder it lies in, is named: on the command line, or in `testpaths`.
So `pytest chaos/experiments` runs what it says, and `pytest tests` runs no file that lies somewhere below.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chaos.record.journal import Journal
    from chaos.run_folder import RunFolder

_EXPERIMENT = re.compile(r"^experiment\s*:", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")
_NAMED = (pytest.Config.ArgsSource.ARGS, pytest.Config.ArgsSource.TESTPATHS)


class Deviated(Exception):  # noqa: N818 - a finding, and no error of the tool
    """The experiment found a weakness."""


class Undecided(Exception):  # noqa: N818 - the same
    """It could not be known; a skip would let a job be green that has proved nothing."""

    def __init__(self, word: str, why: str) -> None:
        super().__init__(why)
        self.word = word
        """How it ended: inconclusive, wrong input, aborted, cleanup incomplete."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option, and none that a run does not need."""
    group = parser.getgroup("aftershock")
    group.addoption(
        "--aftershock-runs",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="where the run folders of experiments go (default: runs)",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ExperimentFile | None":
    """An experiment file that was named, or lies right in a folder that was."""
    if file_path.suffix not in _SUFFIXES or not _named(file_path, parent.config):
        return None
    try:
        text = file_path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return ExperimentFile.from_parent(parent, path=file_path) if _EXPERIMENT.search(text) else None


class ExperimentFile(pytest.File):
    """One experiment file."""

    def collect(self) -> Iterator["ExperimentItem"]:
        """The run of it."""
        yield ExperimentItem.from_parent(self, name=self.path.stem)


class ExperimentItem(pytest.Item):
    """One run of an experiment."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if self.config.pluginmanager.hasplugin("timeout"):
            # An experiment knows itself how long it takes, and ends itself in order.
            self.add_marker(pytest.mark.timeout(0))

    def runtest(self) -> None:
        """Run it as `aftershock run` does.

        Raises:
            Deviated: an assertion did not hold.
            Undecided: it decided nothing, was refused, or aborted.
            KeyboardInterrupt: somebody stopped it; everything was undone.
        """
        from chaos import commands
        from chaos.display.progress import QuietProgress
        from chaos.errors import AftershockError
        from chaos.experiment.experiment import read_experiment
        from chaos.interrupts import Interrupted
        from chaos.publishing.outlets import Outlets

        out = _free(self.config.getoption("--aftershock-runs"), self.path.stem)
        try:
            experiment = read_experiment(self.path)
            journal, folder = commands.perform(experiment, out, None, Outlets(), QuietProgress(_stderr()))
        except AftershockError as error:
            self.user_properties.append(("exit_code", int(error.exit_code)))
            hint = f"\nhint: {error.hint}" if error.hint else ""
            where = f"\nrun folder: {out}" if out.exists() else ""
            raise Undecided(_word(error.exit_code), f"{error}{hint}{where}") from error
        except Interrupted as interrupt:
            raise KeyboardInterrupt(str(interrupt)) from interrupt
        self._judge(journal, folder)

    def _judge(self, journal: "Journal", folder: "RunFolder") -> None:
        from chaos.record.verdict import Verdict
        from chaos.report.junit import figures

        self.user_properties += [
            ("exit_code", int(journal.exit_code)),
            ("run", str(folder.path)),
            *((name, value) for name, value in figures(journal).items() if value is not None),
        ]
        told = f"{_sentences(journal)}\nreport: {folder.report}"
        if journal.verdict == Verdict.DEVIATED:
            raise Deviated(told)
        if journal.exit_code != 0:
            raise Undecided(_word(journal.exit_code), told)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,
    ) -> Any:
        """The sentences of a finding, without the way through our code; all of it where that is at fault."""
        if isinstance(excinfo.value, Deviated):
            return f"deviated: {excinfo.value}"
        if isinstance(excinfo.value, Undecided):
            return f"{excinfo.value.word}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands, and what it is called in reports."""
        return self.path, 0, f"experiment {self.name}"


def _named(path: Path, config: pytest.Config) -> bool:
    """Whether somebody named the file, or the folder that it lies in."""
    if config.args_source not in _NAMED:
        return False
    named = {Path(config.invocation_params.dir, arg.split("::")[0]).resolve() for arg in config.args}
    return bool(named & {path.resolve(), path.parent.resolve()})


def _word(exit_code: int) -> str:
    from chaos.errors import ExitCode

    endings = (ExitCode.WRONG_INPUT, ExitCode.ABORTED, ExitCode.CLEANUP_INCOMPLETE)
    return ExitCode(exit_code).name.lower().replace("_", " ") if exit_code in endings else "inconclusive"


def _free(folder: Path, name: str) -> Path:
    """A folder that is not there yet: two items of one second must not share one."""
    from datetime import UTC, datetime

    base = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    numbered = (base.with_name(f"{base.name}-{number}") for number in range(2, 1000))
    return next(path for path in (base, *numbered) if not path.exists())


def _stderr() -> Any:
    import sys

    return sys.stderr


def _sentences(journal: "Journal") -> str:
    """What was found, and each assertion that did not pass."""
    from chaos.record.verdict import Verdict
    from chaos.report import story

    found = story.finding(journal)
    lines = [found, *(reason for reason in journal.reasons if reason not in found)]
    for one in journal.assertions:
        if one.verdict != Verdict.PASSED:
            told = (
                f"{one.expression}: {one.verdict}, observed {story.observed(one)}, bound {story.bound(one)}"
            )
            reason = story.reason(journal, one)
            lines.append(f"{told}: {reason}" if reason else told)
    return "\n  ".join(dict.fromkeys(lines))
