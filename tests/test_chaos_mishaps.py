"""Whatever goes wrong in whichever phase of a run: its effects are undone, and nobody else's."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from chaos import cli, commands, runner
from chaos.errors import ExitCode
from chaos.targets import Evidence
from chaos.targets.identity import of_run
from chaos.targets.local.lost_runs import end_lost_run, find_lost_runs
from chaos.targets.local.ports import is_free
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.fake_target import FakeTarget
from tests.support.local_cluster import complete, gateway_port, toy_spec
from tests.support.quick_experiment import QUICK
from tests.test_chaos_endings import load_processes
from tests.test_chaos_run import processes_marked, write_experiment
from tests.test_chaos_runner import run
from tests.test_chaos_targets_endings import RUNNER_CODE

FAULT = {"manifest": "NetworkChaos.yaml", "max_targets": 1}


class OurMistakeError(Exception):
    """Nothing that any code expects."""


def slip(*_: object, **__: object) -> None:
    raise OurMistakeError


@dataclass
class UnableToLook(FakeTarget):
    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:  # noqa: ARG002
        raise OurMistakeError


@dataclass
class UnableToUndoAtOnce(FakeTarget):
    tries: int = 0

    def recover(self, occurrence: str) -> None:
        self.tries += 1
        if self.tries == 1:
            raise OurMistakeError
        super().recover(occurrence)


@dataclass
class UnableToInject(FakeTarget):
    def inject(self, occurrence: str, victims: Sequence[object]) -> float:
        super().inject(occurrence, victims)  # type: ignore[arg-type]
        raise OurMistakeError


@pytest.mark.parametrize(
    ("target", "phase"),
    [
        pytest.param(FakeTarget, "baseline", marks=pytest.mark.slow),
        (UnableToInject, "inject"),
        pytest.param(UnableToLook, "hold", marks=pytest.mark.slow),
        (UnableToUndoAtOnce, "recover"),
        pytest.param(FakeTarget, "report", marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_of_ours_in_any_phase_leaves_no_effect(
    target: Callable[[], FakeTarget], phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if phase == "baseline":
        monkeypatch.setattr(runner, "require_healthy_baseline", slip)
    elif phase == "report":
        monkeypatch.setattr(runner.Run, "_count", slip)
    made = target()
    _, journal, error = run(tmp_path, made, FAULT)
    assert isinstance(error, OurMistakeError)
    assert journal is not None
    assert (journal.verdict, journal.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE)
    assert "a mistake of aftershock itself: OurMistakeError" in str(journal.cut_short)
    assert made.effects == {}
    if phase != "baseline":
        assert any(line.startswith("inject") for line in made.history)


def test_a_mistake_of_ours_is_no_weakness_of_the_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "recover", slip)
    assert cli.main(["recover"]) == ExitCode.INCONCLUSIVE
    complaint = capsys.readouterr().err
    assert "OurMistakeError" in complaint
    assert "a mistake of aftershock itself" in complaint


def test_a_runner_that_is_killed_while_it_cleans_up_leaves_nothing(
    tmp_path: Path, eventually: Eventually
) -> None:
    out = tmp_path / "out"
    arguments = ["run", str(write_experiment(tmp_path / "in", QUICK)), "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "chaos", *arguments],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AFTERSHOCK_TEST_MARK": str(out)},
    ) as killed:
        wait_until((out / "load.json").exists, within_s=60, what="the load")
        killed.send_signal(signal.SIGINT)
        wait_until(lambda: not load_processes(killed.pid), within_s=30, what="the end of the load")
        killed.kill()
        killed.wait()
    eventually(lambda: processes_marked(str(out)) == [], within_s=30, what="the end of every process")
    for lost in find_lost_runs():
        if lost.scratch is not None and lost.scratch.startswith(str(out)):
            end_lost_run(lost.run_id)
    assert not (out / "scratch").exists()


def test_a_run_that_crashes_and_its_recovery_leave_another_run_as_it_is(
    tmp_path: Path, eventually: Eventually
) -> None:
    crashing = toy_spec(tmp_path / "a", 2)
    arguments = [sys.executable, "-c", RUNNER_CODE, json.dumps(crashing.to_wire())]
    with LocalTarget(toy_spec(tmp_path / "b", 2)) as other:
        others = {process.pid for process in of_run(other.marks["AFTERSHOCK_RUN_ID"])}
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
            assert killed.stdout
            supervisor = psutil.Process(int(killed.stdout.readline()))
            supervisor.kill()
            killed.kill()
            killed.wait()
            end_lost_run(crashing.run_id)
        eventually(lambda: of_run(crashing.run_id) == [], within_s=30)
        assert {process.pid for process in of_run(other.marks["AFTERSHOCK_RUN_ID"])} == others
        assert complete(port := gateway_port(other)).status == 200
    assert is_free(port)
