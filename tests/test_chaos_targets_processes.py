import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaos.errors import CleanupError
from chaos.targets.identity import REPLICA_UID, RUN_ID, RUNNER, ProcessId, of_group, of_replica, of_run
from chaos.targets.local import lost_runs
from chaos.targets.local.lost_runs import end_lost_run, find_lost_runs
from chaos.targets.local.processes import ProcessTable
from tests.conftest import Eventually, wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
FORKS = """
import os, time
os.fork()
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def run_id() -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    yield name
    for process in of_run(name):
        process.kill()


def marked(run_id: str, runner: str, **more: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, RUN_ID: run_id, RUNNER: runner, **more}
    return subprocess.Popen(SLEEP, env=environment, start_new_session=True)


def gone_runner() -> str:
    """The identity of a process that has ended."""
    process = subprocess.Popen(SLEEP)
    identity = ProcessId.of(process.pid)
    process.kill()
    process.wait()
    return str(identity)


def test_an_identity_survives_its_way_through_text() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert ProcessId.parse(str(me)) == me
    assert me.alive()


def test_another_process_with_the_same_pid_is_neither_taken_for_alive_nor_killed() -> None:
    process = subprocess.Popen(SLEEP)
    now = ProcessId.of(process.pid)
    assert now is not None
    earlier = ProcessId(now.pid, now.started - 1)
    assert not earlier.alive()
    assert not earlier.kill()
    assert process.poll() is None
    assert now.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_zombie_is_not_alive(eventually: Eventually) -> None:
    process = subprocess.Popen(SLEEP)
    identity = ProcessId.of(process.pid)
    assert identity is not None
    process.kill()
    eventually(lambda: not identity.alive(), within_s=30)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    process.wait()


def test_killing_a_group_leader_kills_what_it_forked(tmp_path: Path, eventually: Eventually) -> None:
    async def kill() -> int:
        child = ProcessTable().start([sys.executable, "-c", FORKS], env=os.environ, log=tmp_path / "log")
        await asyncio.to_thread(wait_until, lambda: len(group(child.pid)) == 2, within_s=30)
        child.signal_group(signal.SIGKILL)
        end = await child.wait()
        assert str(end) == "SIGKILL"
        assert not child.signal_group(signal.SIGKILL)
        return child.pid

    assert group(asyncio.run(kill())) == []


def test_what_a_leader_leaves_behind_when_it_ends_by_itself_ends_too(tmp_path: Path) -> None:
    async def end() -> int:
        leader = "import os, time\nif os.fork() == 0: time.sleep(60)\nos._exit(7)"
        child = ProcessTable().start([sys.executable, "-c", leader], env=os.environ, log=tmp_path / "log")
        assert str(await child.wait()) == "exit code 7"
        return child.pid

    assert group(asyncio.run(end())) == []


def group(leader: int) -> list[ProcessId]:
    return list(of_group(leader))


def test_a_table_ends_polite_and_stubborn_children_alike(tmp_path: Path) -> None:
    async def end() -> list[str]:
        table = ProcessTable()
        commands = [SLEEP, [sys.executable, "-c", STUBBORN]]
        children = [
            table.start(command, env=os.environ, log=tmp_path / f"{index}.log")
            for index, command in enumerate(commands)
        ]
        await asyncio.to_thread(wait_until, (tmp_path / "1.log").read_text, within_s=30)
        await table.end_all(grace_s=0.2)
        return [str(child.end) for child in children]

    assert asyncio.run(end()) == ["SIGTERM", "SIGKILL"]


@pytest.mark.skipif(sys.platform != "linux", reason="parent death signals are Linux's")
def test_a_child_dies_with_its_parent_however_that_dies(tmp_path: Path, eventually: Eventually) -> None:
    parent_code = f"""
import asyncio, os, sys, time
from pathlib import Path
from chaos.targets.local.processes import ProcessTable
async def main():
    print(ProcessTable().start({SLEEP!r}, env=os.environ, log=Path({str(tmp_path / "log")!r})).pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE)
    assert parent.stdout
    child = ProcessId.of(int(parent.stdout.readline()))
    assert child is not None
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not child.alive(), within_s=30)


def test_a_replica_is_its_marked_processes_and_its_leaders_group(run_id: str) -> None:
    uid = str(uuid.uuid4())
    worker = marked(run_id, "1:1", **{REPLICA_UID: uid})
    leader = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        wait_until(lambda: len(of_replica(uid, leader.pid)) == 2, within_s=30)
        assert {process.pid for process in of_replica(uid, leader.pid)} == {worker.pid, leader.pid}
    finally:
        for process in (worker, leader):
            process.kill()
            process.wait()


def test_a_run_is_lost_when_its_runner_is_gone_and_only_then(run_id: str) -> None:
    me = str(ProcessId.of(os.getpid()))
    processes = [marked(run_id, gone_runner()), marked(f"{run_id}-watched", me)]
    wait_until(lambda: len(of_run(run_id)) == 1 and len(of_run(f"{run_id}-watched")) == 1, within_s=30)
    lost = [run for run in find_lost_runs() if run.run_id.startswith(run_id)]
    assert [run.run_id for run in lost] == [run_id]
    assert len(lost[0].processes) == 1
    assert lost[0].processes[0].startswith(f"{processes[0].pid} ")
    for process in processes:
        process.kill()
        process.wait()


def test_a_runner_whose_pid_was_given_to_another_is_gone(run_id: str) -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    left = marked(run_id, str(ProcessId(os.getppid(), me.started + 1)))
    wait_until(lambda: run_id in {run.run_id for run in find_lost_runs()}, within_s=30)
    left.kill()
    left.wait()


def test_ending_a_lost_run_says_what_it_ended_and_a_second_time_nothing(run_id: str) -> None:
    left = [marked(run_id, gone_runner()) for _ in range(2)]
    wait_until(lambda: len(of_run(run_id)) == 2, within_s=30)
    assert {int(line.split()[0]) for line in end_lost_run(run_id)} == {process.pid for process in left}
    assert [process.wait() for process in left] == [-signal.SIGKILL] * 2
    assert end_lost_run(run_id) == []


def test_what_cannot_be_ended_is_the_loudest_error(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = marked(run_id, gone_runner())
    wait_until(lambda: len(of_run(run_id)) == 1, within_s=30)
    monkeypatch.setattr(lost_runs, "_GONE_WITHIN_S", 0.1)
    monkeypatch.setattr(ProcessId, "kill", lambda _: True)  # a kernel that does not get round to it
    with pytest.raises(CleanupError, match=str(left.pid)):
        end_lost_run(run_id)
    left.kill()
    left.wait()
