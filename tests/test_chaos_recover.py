"""What a lost run left is found and removed by itself, nothing else is touched, and what cannot be undone is named."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from chaos import commands
from chaos.cli import main
from chaos.errors import CleanupError, ExitCode, RefusedError
from chaos.targets.identity import ProcessId
from chaos.targets.local.lost_runs import end_lost_run, find_lost_runs
from chaos.targets.local.run_record import RunRecord, on_record
from chaos.targets.local.target import LocalTarget
from chaos.targets.options import LostRun
from tests.conftest import wait_until
from tests.support.local_cluster import toy_spec
from tests.support.quick_experiment import QUICK
from tests.test_chaos_endings import load_processes
from tests.test_chaos_run import processes_marked, write_experiment

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is none of ours."""
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def lost(folder: Path, runner: ProcessId) -> RunRecord:
    scratch = folder / "run" / "scratch"
    scratch.mkdir(parents=True)
    (scratch / "prometheus.yml").write_text("x")
    record = RunRecord.of("lost-1", runner, scratch)
    record.write()
    return record


def test_after_a_reboot_what_a_run_left_on_disk_is_removed_and_the_second_time_there_is_nothing(
    state: Path, tmp_path: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    runner = ProcessId.of(stranger.pid)  # its pid, and even its start time, are somebody else's by now
    assert runner is not None
    record = replace(lost(tmp_path, runner), boot="another start of the machine")
    record.write()
    done = [
        subprocess.run(
            [sys.executable, "-m", "chaos", "recover", *options],
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for options in (["--dry-run"], [], [])
    ]
    assert f"would end folder {record.scratch}" in done[0]
    assert f"ended folder {record.scratch}" in done[1]
    assert "lost-1" not in done[2], "what other tests have just lost may be there"
    assert not Path(record.scratch).exists()
    assert not list(state.rglob("*.json"))
    assert stranger.poll() is None


def test_a_pid_that_was_given_to_another_process_is_not_the_runner_and_is_not_signalled(
    state: Path, tmp_path: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    now = ProcessId.of(stranger.pid)
    assert now is not None
    before = ProcessId(stranger.pid, now.started - 1)
    record = lost(tmp_path, before)
    assert [run.run_id for run in find_lost_runs() if run.run_id == record.run_id]
    assert not before.signal(signal.SIGKILL)
    assert not before.kill()
    assert end_lost_run(record.run_id) == [f"folder {record.scratch}"]
    assert stranger.poll() is None
    assert now.signal(signal.SIGKILL)
    assert stranger.wait() == -signal.SIGKILL
    assert not now.signal(signal.SIGKILL)


def test_a_run_whose_runner_lives_is_left_alone(state: Path, tmp_path: Path) -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    record = lost(tmp_path, me)
    assert record.run_id not in {run.run_id for run in find_lost_runs()}
    assert Path(record.scratch).is_dir()


def test_no_folder_but_a_scratch_folder_is_ever_removed(state: Path, tmp_path: Path) -> None:
    (precious := tmp_path / "precious").mkdir()
    replace(lost(tmp_path, ProcessId(1, -1.0)), scratch=str(precious)).write()
    assert list(on_record()) == []
    assert end_lost_run("lost-1") == []
    assert precious.is_dir()


def test_a_run_is_on_record_from_before_its_first_process_until_nothing_of_it_is_left(
    state: Path, tmp_path: Path
) -> None:
    with LocalTarget(toy_spec(tmp_path / "run", 1)) as target:
        assert [record.run_id for record in on_record()] == [target.marks["AFTERSHOCK_RUN_ID"]]
    assert list(on_record()) == []


def test_a_run_that_cannot_be_put_on_record_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/full")
    spec = toy_spec(tmp_path, 1)
    with pytest.raises(RefusedError, match="cannot be put on record"), LocalTarget(spec):
        pass
    assert end_lost_run(spec.run_id) == []


def test_recover_ends_the_runs_that_are_named_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undone: list[str] = []
    names = ("pod-kill-30-a1", "pod-kill-30-b2", "freeze-c3")
    runs = [LostRun(name, "left", (), lambda name=name: undone.append(name) or ()) for name in names]  # type: ignore[misc,func-returns-value]
    monkeypatch.setattr(commands, "lost_runs", lambda: runs)
    assert main(["recover", "pod-kill-30-*"]) == ExitCode.PASSED
    assert undone == list(names[:2])
    capsys.readouterr()
    assert main(["recover", "freeze", "sham-*"]) == ExitCode.PASSED
    assert (
        capsys.readouterr().out
        == "nothing to recover: no run of the name freeze or sham-* has lost its runner\n"
    )
    assert undone == list(names[:2])
    assert main(["recover"]) == ExitCode.PASSED
    assert undone[2:] == list(names)


def test_what_cannot_be_undone_is_named_with_exit_code_5_and_does_not_keep_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undone = []

    def fails() -> list[str]:
        raise CleanupError("run a still has processes: 4711 python")

    def works() -> list[str]:
        undone.append("b")
        return ["4712 python"]

    runs = [LostRun("a", "left: 1", ("4711",), fails), LostRun("b", "left: 1", ("4712",), works)]
    monkeypatch.setattr(commands, "lost_runs", lambda: runs)
    assert main(["recover"]) == ExitCode.CLEANUP_INCOMPLETE
    assert "run a still has processes: 4711 python" in capsys.readouterr().err
    assert undone == ["b"]


def test_a_second_interrupt_shortens_the_cleanup_and_skips_nothing(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "chaos",
            "run",
            str(write_experiment(tmp_path / "in", QUICK)),
            "--out",
            str(out),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AFTERSHOCK_TEST_MARK": str(out)},
    ) as runner:
        wait_until((out / "load.json").exists, within_s=60, what="the load")
        (supervisor,) = [
            child
            for child in psutil.Process(runner.pid).children()
            if "chaos.targets.local.supervisor" in child.cmdline()
        ]
        supervisor.send_signal(signal.SIGSTOP)  # it cannot end anything, and would be waited for
        runner.send_signal(signal.SIGINT)
        wait_until(lambda: not load_processes(runner.pid), within_s=30, what="the end of the load")
        runner.send_signal(signal.SIGINT)
        hurried_s = time.monotonic()
        runner.wait(60)
        took_s = time.monotonic() - hurried_s
        complaint = runner.stderr.read() if runner.stderr else ""
    assert runner.returncode == ExitCode.INTERRUPTED
    assert "hurrying" in complaint
    assert took_s < 12  # the supervisor alone would have been waited for 15 s
    assert processes_marked(str(out)) == []
    assert (out / "ending.json").exists()
    assert not (out / "scratch").exists()
