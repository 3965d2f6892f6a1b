"""However a run ends, nothing of it is left: no process, no listening port, no scratch folder."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from chaos.errors import InconclusiveError
from chaos.targets.identity import RUNNER, ProcessId, marked, marks, of_run
from chaos.targets.local.lost_runs import end_lost_run, find_lost_runs
from chaos.targets.local.ports import is_free
from chaos.targets.local.processes import command
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import gateway_port, toy_spec

RUNNER_CODE = """
import json, resource, sys
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget
resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with LocalTarget(LocalSpec.from_wire(json.loads(sys.argv[1]))) as target:
    print(*target.pids()["supervisor"], flush=True)
    sys.stdin.read()
"""

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@dataclass(frozen=True)
class Run:
    spec: LocalSpec
    runner: "subprocess.Popen[bytes]"
    supervisor: psutil.Process
    ports: frozenset[int]
    """Every port that its processes listen on."""

    def nothing_left(self) -> bool:
        return not of_run(self.spec.run_id) and all(map(is_free, self.ports))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A cluster of three under a runner of its own process."""
    spec = toy_spec(tmp_path, 3, "--ignore-sigterm", lease_s=1.0)
    arguments = [sys.executable, "-c", RUNNER_CODE, json.dumps(spec.to_wire())]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runner:
        assert runner.stdout
        try:
            supervisor = psutil.Process(int(runner.stdout.readline()))
            ports = listening(of_run(spec.run_id))
            # Six processes: supervisor, proxy, gateway and three replicas. Fourteen ports: two of each replica and of
            # the gateway, six of the proxy.
            assert (len(of_run(spec.run_id)), len(ports)) == (6, 14)
            yield Run(spec, runner, supervisor, ports)
        finally:
            runner.kill()
            end_lost_run(spec.run_id)


def listening(processes: Iterable[ProcessId]) -> frozenset[int]:
    return frozenset(
        connection.laddr.port
        for process in processes
        for connection in psutil.Process(process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    )


def test_nothing_is_left_of_a_runner_that_is_killed(run: Run, eventually: Eventually) -> None:
    run.spec.scratch_folder.mkdir()
    stray = subprocess.Popen(SLEEP, env=psutil.Process(replica(run)).environ())  # as the load would be
    run.runner.kill()
    run.runner.wait()
    eventually(run.nothing_left, within_s=30)
    assert stray.wait() == -signal.SIGKILL
    assert not run.spec.scratch_folder.exists()
    assert "ending: the runner is gone" in (run.spec.log_folder / "supervisor.log").read_text()


def test_nothing_is_left_of_a_runner_that_stands_still_past_its_lease(
    run: Run, eventually: Eventually
) -> None:
    run.runner.send_signal(signal.SIGSTOP)
    eventually(run.nothing_left, within_s=30)
    log = (run.spec.log_folder / "supervisor.log").read_text()
    assert "nothing was heard from the runner for 1 s" in log


def test_a_runner_that_stands_still_for_less_than_its_lease_keeps_its_cluster(run: Run) -> None:
    run.runner.send_signal(signal.SIGSTOP)
    with pytest.raises(psutil.TimeoutExpired):
        run.supervisor.wait(0.3)
    run.runner.send_signal(signal.SIGCONT)
    with pytest.raises(psutil.TimeoutExpired):
        run.supervisor.wait(1.2)
    assert len(of_run(run.spec.run_id)) == 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_supervisor_that_is_told_to_end_ends_everything(
    run: Run, number: signal.Signals, eventually: Eventually
) -> None:
    assert len(of_run(run.spec.run_id)) == 6, "there is something to end"
    run.supervisor.send_signal(number)
    eventually(run.nothing_left, within_s=30)
    assert not of_run(run.spec.run_id)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_nothing_is_left_after_the_runner_leaves_a_target_whose_supervisor_was_killed(
    run: Run, state: str, eventually: Eventually
) -> None:
    if state == "stopped":
        os.kill(replica(run), signal.SIGSTOP)  # it cannot react to anything any more
    run.supervisor.kill()
    assert run.runner.stdin
    run.runner.stdin.close()
    assert run.runner.wait(20) == 0
    assert run.nothing_left()


def replica(run: Run) -> int:
    return next(
        process.pid
        for process, _ in marked(
            lambda environment: environment.get(RUNNER, "").startswith(f"{run.runner.pid}:")
        )
        if any("toy_replica" in word for word in psutil.Process(process.pid).cmdline())
    )


def test_what_outlives_both_runner_and_supervisor_is_found_and_ended_as_a_lost_run(
    run: Run, eventually: Eventually
) -> None:
    left = subprocess.Popen(SLEEP, env=psutil.Process(replica(run)).environ(), start_new_session=True)
    wait_until(lambda: len(of_run(run.spec.run_id)) == 7, within_s=30)
    assert run.spec.run_id not in {lost.run_id for lost in find_lost_runs()}
    run.supervisor.kill()
    run.runner.kill()
    run.runner.wait()
    eventually(lambda: run.spec.run_id in {lost.run_id for lost in find_lost_runs()}, within_s=30)
    assert str(left.pid) in " ".join(end_lost_run(run.spec.run_id))
    assert left.wait() == -signal.SIGKILL
    assert run.nothing_left()


def test_leaving_a_target_ends_what_others_started_for_the_run_though_its_supervisor_is_dead(
    tmp_path: Path,
) -> None:
    spec = toy_spec(tmp_path, 1)
    with LocalTarget(spec) as target:
        stray = subprocess.Popen(SLEEP, env={**os.environ, **target.marks})
        wait_until(lambda: stray.pid in {process.pid for process in of_run(spec.run_id)}, within_s=30)
        (supervisor,) = target.pids()["supervisor"]
        os.kill(supervisor, signal.SIGKILL)
    assert stray.wait() == -signal.SIGKILL
    assert of_run(spec.run_id) == []


@pytest.mark.parametrize("helper", ["gateway", "proxy"])
def test_a_helper_that_dies_ends_the_cluster_and_every_question_says_why(
    tmp_path: Path, helper: str, eventually: Eventually
) -> None:
    spec = toy_spec(tmp_path, 2)

    def ended(target: LocalTarget) -> str | None:
        try:
            target.replicas()
        except InconclusiveError as error:
            return str(error)
        return None

    with LocalTarget(spec) as target:
        (victim,) = [
            process
            for process in of_run(spec.run_id)
            if f"chaos.targets.local.{helper}" in psutil.Process(process.pid).cmdline()
        ]
        victim.kill()
        why = eventually(lambda: ended(target), within_s=30, what="the end of the cluster")
        assert f"the {helper} ended by itself: SIGKILL" in str(why)
        assert of_run(spec.run_id) == []


def test_a_supervisor_that_is_never_told_what_to_do_ends(tmp_path: Path) -> None:
    # Of a runner that lives: what a lost run left would be ended by whoever recovers one meanwhile.
    runner = ProcessId.of(os.getpid())
    assert runner is not None
    environment = {**os.environ, **marks("test-never-told", runner)}
    supervisor = subprocess.run(
        command("supervisor"), input=b"", stdout=subprocess.PIPE, env=environment, timeout=10, check=False
    )
    assert (supervisor.returncode, supervisor.stdout) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="psutil reads another process's limits on Linux alone")
def test_a_low_limit_of_open_files_is_raised_for_the_processes_that_carry_streams(run: Run) -> None:
    soft, hard = run.supervisor.rlimit(psutil.RLIMIT_NOFILE)
    assert soft >= min(10_240, hard)


def test_ten_replicas_that_ignore_sigterm_end_together_and_not_one_after_another(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, 10, "--ignore-sigterm")
    with LocalTarget(spec) as target:
        port = gateway_port(target)
    gone = sorted(event.at_s for event in target.events() if event.kind == "replica_gone")
    assert len(gone) == 10
    assert gone[-1] - gone[0] < 1.0  # one grace period, not ten
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
