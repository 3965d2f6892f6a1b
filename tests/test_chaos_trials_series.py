"""A series as it is run: many targets one after another, shams among them, and a record that is true at any time."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.cli import main
from chaos.display.progress import Progress, QuietProgress
from chaos.display.trials import SeriesProgress, clock_text
from chaos.errors import AftershockError, CleanupError, ExitCode, InputError, RefusedError
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.interrupts import Interrupted
from chaos.publishing.annotations import GrafanaAnnotations
from chaos.record.trials import Series, TrialState, read_series
from chaos.run_folder import RunFolder, create_series
from chaos.runner import Run
from chaos.targets import Target
from chaos.targets.options import Opening
from chaos.trials.series import NOT_FINISHED, Asked, TrialSeries
from tests.conftest import wait_until
from tests.support.fake_target import FakeTarget
from tests.support.quick_experiment import QUICK
from tests.support.scripted_server import ScriptedServer
from tests.test_chaos_run import processes_marked, write_experiment
from tests.test_chaos_runner import DELAY

SMALL = {
    "experiment": "small",
    "hypothesis": "It holds.",
    "target": {"local": {"replicas": 2}},
    "load": {"rate": 40, "arrivals": "constant", "timeouts": {"ttft": "2s", "deadline": "4s"}},
    "phases": {"warmup": "500ms", "baseline": "2s", "observe": "4s"},
    "fault": {"manifest": "delay.yaml", "max_targets": 1},
    "slo": {"ttft": "500ms", "e2e": "1s"},
    "recovery": {"window": "1s", "hold": "1s", "within": "2s"},
    "assertions": ["recovery.service <= 3s", "lost_requests <= 400"],
}


@dataclass
class Targets:
    """A new target for each trial; what is to be raised in place of some."""

    url: str = ""
    errors: dict[int, BaseException] = field(default_factory=dict)
    opened: list[Opening] = field(default_factory=list)

    def make_run(
        self,
        experiment: Experiment,
        folder: RunFolder,
        progress: Progress,
        grafana: GrafanaAnnotations | None,
    ) -> Run:
        return Run(experiment, folder, progress, grafana, open_target=self._open)

    def _open(self, opening: Opening) -> Target:
        self.opened.append(opening)
        if error := self.errors.get(len(self.opened)):
            raise error
        return FakeTarget(url=self.url)


def series_of(folder: Path, targets: Targets, *, faults: int, shams: int, screen: Any) -> TrialSeries:
    folder.mkdir(parents=True)
    (folder / "delay.yaml").write_text(yaml.safe_dump(DELAY))
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return TrialSeries(
        read_experiment(folder / "small.yaml"),
        Asked(faults=faults, shams=shams, jitter_s=None, seed=4),
        create_series("small", folder / "series"),
        lambda: QuietProgress(screen),
        {"aftershock": "1"},
        make_run=targets.make_run,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Series, Targets, str]]:
    """Two trials and a sham on scripted services."""
    folder = tmp_path_factory.mktemp("series") / "of three"
    with ScriptedServer() as server, (folder.parent / "screen").open("w+") as screen:
        targets = Targets(server.url("ok"))
        series = series_of(folder, targets, faults=2, shams=1, screen=screen).run()
        screen.seek(0)
        yield folder / "series", series, targets, screen.read()


def test_each_trial_has_a_target_a_seed_an_instant_and_a_plan_of_its_own(
    finished: tuple[Path, Series, Targets, str],
) -> None:
    folder, series, targets, _ = finished
    assert [opening.seed for opening in targets.opened] == [trial.seed for trial in series.trials]
    trials = [RunFolder(folder / trial.folder) for trial in series.trials]
    assert len({trial.plan.read_text() for trial in trials}) == 3
    for trial, planned in zip(trials, series.trials, strict=True):
        inject = json.loads(trial.timetable.read_text())["steps"][0]
        assert planned.fault_after_s is not None
        assert inject["at_s"] == pytest.approx(2.5 + planned.fault_after_s)
        assert trial.report.is_file()


def test_shams_run_the_same_load_and_inject_nothing(finished: tuple[Path, Series, Targets, str]) -> None:
    folder, series, _, _ = finished
    kinds = {
        trial.sham: json.loads((folder / trial.folder / "journal.json").read_text())["faults"][0]["kind"]
        for trial in series.trials
    }
    assert kinds == {True: "Sham", False: "NetworkChaos/delay"}
    assert (series.shams.planned, series.shams.decided, series.shams.alarms) == (1, 1, 0)


def test_the_record_in_the_folder_is_what_was_returned(finished: tuple[Path, Series, Targets, str]) -> None:
    folder, series, _, _ = finished
    assert read_series(folder / "trials.json") == series
    assert [trial.state for trial in series.trials] == [TrialState.FINISHED] * 3
    assert series.counts.planned == 2
    assert series.recovery("service").n == 2
    assert all(trial.targets and trial.took_s for trial in series.trials)


def test_a_watcher_learns_which_trial_it_is_and_how_long_it_may_take(
    finished: tuple[Path, Series, Targets, str],
) -> None:
    told = finished[3]
    for number in (1, 2, 3):
        assert re.search(rf"trial {number} of 3, .*seed \d+, .* elapsed, (at least|about) \d+ s left", told)
        assert re.search(rf"trial {number} (passed|deviated|inconclusive): ", told)
        assert f"baseline: trial {number} of 3" in told


def test_report_judges_every_trial_again_and_comes_to_the_same(
    finished: tuple[Path, Series, Targets, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, series, _, _ = finished
    (folder / series.trials[1].folder / "journal.json").unlink()
    assert main(["report", str(folder)]) == series.exit_code
    assert read_series(folder / "trials.json") == series
    assert (folder / "report.html").is_file()
    assert "of 2" in capsys.readouterr().out


def test_a_trial_that_does_not_start_is_recorded_and_the_next_one_is_run(tmp_path: Path) -> None:
    targets = Targets(errors=dict.fromkeys((1, 2, 3), RefusedError("prometheus is not on PATH")))
    with (tmp_path / "screen").open("w") as screen:
        record = series_of(tmp_path / "in", targets, faults=2, shams=1, screen=screen).run()
    assert [trial.state for trial in record.trials] == [TrialState.CUT_SHORT] * 3
    assert all("prometheus is not on PATH" in trial.reasons[0] for trial in record.trials)
    assert (record.counts.inconclusive, record.exit_code) == (2, ExitCode.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Interrupted("SIGINT"), ExitCode.INTERRUPTED),
        (CleanupError("a replica is still there"), ExitCode.CLEANUP_INCOMPLETE),
        (InputError("no such key"), ExitCode.WRONG_INPUT),
    ],
    ids=["interrupted", "cleanup incomplete", "wrong input"],
)
def test_what_ends_a_series_is_in_its_record_with_the_trials_that_were_run(
    error: AftershockError | Interrupted, code: ExitCode, tmp_path: Path
) -> None:
    targets = Targets(errors={1: RefusedError("refused"), 2: error})
    with (tmp_path / "screen").open("w") as screen:
        series = series_of(tmp_path / "in", targets, faults=4, shams=0, screen=screen)
        with pytest.raises(type(error)):
            series.run()
    record = read_series(tmp_path / "in/series/trials.json")
    cut, planned = TrialState.CUT_SHORT, TrialState.PLANNED
    assert [trial.state for trial in record.trials] == [cut, cut, planned, planned]
    assert record.exit_code == code
    assert record.cut_short
    assert main(["report", str(tmp_path / "in/series")]) == code
    assert read_series(tmp_path / "in/series/trials.json").cut_short == record.cut_short


def started(folder: Path, out: Path, trials: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "chaos", "run", str(write_experiment(folder, QUICK)), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--trials", str(trials), "--shams", "0", "--jitter", "0s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AFTERSHOCK_TEST_MARK": str(out)},
    )


@pytest.mark.slow
def test_an_interrupt_ends_the_current_trial_cleanly_and_the_finished_ones_are_reported(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with started(tmp_path / "in", out, 3) as runner:
        wait_until((out / "trial-02/load.json").exists, within_s=120, what="the load of the second trial")
        runner.send_signal(signal.SIGINT)
        told, complaint = runner.communicate(timeout=60)
    assert runner.returncode == ExitCode.INTERRUPTED, complaint
    assert processes_marked(str(out)) == []
    record = read_series(out / "trials.json")
    finished, cut, planned = TrialState.FINISHED, TrialState.CUT_SHORT, TrialState.PLANNED
    assert [trial.state for trial in record.trials] == [finished, cut, planned]
    assert "interrupted by SIGINT" in told
    assert (out / "report.html").is_file()
    assert (out / "trial-02/report.html").is_file()


def test_a_killed_series_leaves_nothing_running_and_a_record_that_says_it_was_not_finished(
    tmp_path: Path, eventually: Callable[..., object]
) -> None:
    out = tmp_path / "out"
    with started(tmp_path / "in", out, 2) as runner:
        wait_until((out / "trial-01/load.json").exists, within_s=60, what="the load")
        runner.kill()
        runner.communicate(timeout=60)
    eventually(lambda: not processes_marked(str(out)), within_s=30, what="everything to be gone")
    assert read_series(out / "trials.json").cut_short == NOT_FINISHED


@pytest.mark.parametrize("option", [("--shams", "3"), ("--jitter", "1s")], ids=lambda option: option[0])
def test_an_option_of_a_series_without_one_is_refused(
    option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment(tmp_path / "in", QUICK)
    assert main(["run", str(path), "--out", str(tmp_path / "out"), *option]) == ExitCode.WRONG_INPUT
    assert "--trials" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_remaining_time_is_estimated_from_the_trials_that_are_over(tmp_path: Path) -> None:
    now = iter([0.0, 120.0, 200.0])
    with (tmp_path / "screen").open("w+") as screen:
        progress = SeriesProgress(
            3, planned_s=90, display=lambda: QuietProgress(screen), clock=lambda: next(now)
        )
        for number in (1, 2, 3):
            progress.trial(number, "seed 1")
            progress.over()
        screen.seek(0)
        told = screen.read().splitlines()
    assert [line.rsplit(", ", 1)[1] for line in told] == [
        "at least 4 min left",
        "about 4 min left",
        "about 2 min left",
    ]
    assert [clock_text(lasts_s) for lasts_s in (45, 720, 4800)] == ["45 s", "12 min", "1 h 20 min"]
