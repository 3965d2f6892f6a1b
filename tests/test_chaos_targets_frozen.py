"""Nobody stays stopped: whoever dies while replicas are frozen, and however, their processes go on or end."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from chaos.targets.engine_effects import Freeze
from chaos.targets.identity import ProcessId, of_group, of_run
from chaos.targets.local.spec import LIVENESS
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, has_ended
from tests.support.local_cluster import all_ready, complete, gateway_port, last, toy_spec

RUNNER = """
import sys, time
from chaos.targets.effects import Freeze
from chaos.targets.local.spec import LIVENESS
from chaos.targets.local.target import LocalTarget
from chaos.targets.local.spec import LIVENESS
from tests.support.local_cluster import last, toy_spec
from pathlib import Path
spec = toy_spec(Path(sys.argv[1]), 2, "--fork", liveness=LIVENESS)
with LocalTarget(spec) as target:
    victims = target.replicas()
    target.aim("freeze#1", [Freeze()], victims)
    target.inject("freeze#1", victims)
    assert all(each.verified for each in target.verify("freeze#1", 10))
    leaders = [last(target, each.name)["pid"] for each in victims]
    print(spec.run_id, target.pids()["supervisor"][0], *leaders, flush=True)
    time.sleep(600)
"""


def stopped(processes: list[ProcessId]) -> list[ProcessId]:
    return [
        each
        for each in processes
        if each.alive() and psutil.Process(each.pid).status() == psutil.STATUS_STOPPED
    ]


def guardians_of(run_id: str) -> list[ProcessId]:
    return [each for each in of_run(run_id) if "thawing" in " ".join(psutil.Process(each.pid).cmdline())]


@pytest.mark.parametrize("who", ["runner", "supervisor", "both"])
def test_a_kill_in_the_middle_of_a_freeze_leaves_no_process(
    tmp_path: Path, who: str, eventually: Eventually
) -> None:
    command = [sys.executable, "-c", RUNNER, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as runner,
        ExitStack() as cleanup,
    ):
        cleanup.callback(runner.kill)
        assert runner.stdout is not None
        run_id, *pids = runner.stdout.readline().decode().split()
        supervisor, *leaders = map(int, pids)
        frozen = [each for leader in leaders for each in of_group(leader)]
        for each in frozen:
            cleanup.callback(each.kill)
        assert len(stopped(frozen)) == 4  # a leader and its worker, twice
        guardians = guardians_of(run_id)
        assert len(guardians) == 1
        victims = {"runner": [runner.pid], "supervisor": [supervisor], "both": [runner.pid, supervisor]}[who]
        if who == "supervisor":
            os.kill(runner.pid, signal.SIGSTOP)  # so that nobody else looks after them
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: not any(each.alive() for each in frozen), within_s=60, what="the end of all frozen"
        )
        eventually(
            lambda: not any(each.alive() for each in guardians), within_s=30, what="the guardian's end"
        )
    eventually(lambda: of_run(run_id) == [], within_s=60, what="the end of the run")


def test_a_thawed_replica_serves_again_and_its_guardian_is_gone(
    tmp_path: Path, eventually: Eventually
) -> None:
    with LocalTarget(toy_spec(tmp_path, 2, "--fork", liveness=LIVENESS)) as target:
        victims = target.replicas()
        leaders = [psutil.Process(last(target, each.name)["pid"]) for each in victims]
        target.aim("freeze#1", [Freeze()], victims)
        target.inject("freeze#1", victims)
        assert all(each.verified for each in target.verify("freeze#1", 10))
        guardians = guardians_of(target._spec.run_id)
        target.recover("freeze#1")
        assert not any(each.alive() for each in guardians)
        assert all(each.verified for each in target.verify_recovered("freeze#1", 10))
        eventually(lambda: all_ready(target), within_s=20)
        assert complete(gateway_port(target)).status == 200
    assert all(has_ended(each) for each in leaders)
