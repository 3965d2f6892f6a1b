"""Replicas of the local target that are forked from a standby: they live and end as those that were started anew."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.errors import InconclusiveError
from chaos.targets.identity import ProcessId, of_run
from chaos.targets.local.options import DEFAULT_COMMAND, STANDBY
from chaos.targets.local.spec import LIVENESS, READINESS
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually
from tests.support.local_cluster import (
    all_ready,
    gateway_port,
    kinds,
    last,
    named,
    probe,
    request,
    terminate,
    toy_spec,
)


def spec(folder: Path, **changes: Any) -> Any:
    usual: dict[str, Any] = {
        "command": DEFAULT_COMMAND,
        "standby": STANDBY,
        "env": {"DS_TORCH_THREADS": "1", "DS_MAX_RUNNING": "2"},
        "readiness": probe(READINESS, period_s=0.05),
        "liveness": LIVENESS,
        "ready_within_s": 60.0,
    }
    return toy_spec(folder, 2, **usual | changes)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    with LocalTarget(spec(tmp_path)) as one:
        yield one


def standby_of(target: LocalTarget) -> psutil.Process:
    started = [event for event in target.events() if event.kind == "standby_started"]
    return psutil.Process(started[-1].detail["pid"])


def supervisor_of(target: LocalTarget) -> psutil.Process:
    (pid,) = target.pids()["supervisor"]
    return psutil.Process(pid)


def test_the_standby_has_a_role_of_its_own_and_its_forks_are_replicas(target: LocalTarget) -> None:
    pids = target.pids()
    assert pids["standby"] == [standby_of(target).pid]
    assert sorted(pids["replicas"]) == sorted(last(target, each.name)["pid"] for each in target.replicas())


def test_whatever_a_local_run_starts_listens_on_the_loopback_alone(target: LocalTarget) -> None:
    processes = [psutil.Process(pid) for pids in target.pids().values() for pid in pids]
    heard = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(heard) >= 2 * (2 + 2) + 2, (
        "replicas and what is in front of them, and the gateway: two ports each"
    )
    assert {*heard} == {"127.0.0.1"}


def test_a_killed_replica_is_verified_and_replaced_by_another_fork(
    target: LocalTarget, eventually: Eventually
) -> None:
    standby = standby_of(target)
    victim, other = target.replicas()
    process = psutil.Process(last(target, victim.name)["pid"])
    assert process.ppid() == supervisor_of(target).pid
    niceness = [process.nice(), psutil.Process(last(target, other.name)["pid"]).nice(), standby.nice()]
    assert niceness == [10, 10, os.nice(0)], "from their first readiness on"
    assert {os.getpriority(os.PRIO_PROCESS, thread.id) for thread in process.threads()} == {10}
    assert process.create_time() > standby.create_time()
    occurrence = terminate(target, [victim])
    (evidence,) = target.verify(occurrence, within_s=5)
    assert evidence.verified, evidence.how
    eventually(lambda: all_ready(target), within_s=10)
    assert {event.kind for event in target.events() if "standby" in event.kind} == {"standby_started"}
    assert standby.is_running()
    asked = {"prompt": "Hello", "max_tokens": 3}
    assert request(gateway_port(target), "POST", "/v1/completions", asked).status == 200


def test_a_replica_that_ends_by_itself_is_forked_again_in_its_place(
    target: LocalTarget, eventually: Eventually
) -> None:
    replica = target.replicas()[0]
    before = last(target, replica.name)
    os.kill(before["pid"], signal.SIGKILL)
    eventually(lambda: "replica_restarted" in kinds(target, replica.name), within_s=10)
    eventually(lambda: all_ready(target), within_s=10)
    after = last(target, replica.name)
    assert after["pid"] != before["pid"]
    assert (after["port"], after["metrics_port"]) == (before["port"], before["metrics_port"])
    log = target._spec.log_folder / f"{replica.name}.log"
    assert log.read_text().count("Model initialized") == 2


def test_a_standby_that_dies_takes_no_replica_along_is_told_and_replaced(
    target: LocalTarget, eventually: Eventually
) -> None:
    pids = {last(target, replica.name)["pid"] for replica in target.replicas()}
    victim = target.replicas()[0]
    standby_of(target).kill()
    terminate(target, [victim])
    eventually(lambda: named(target, victim.name) is None and all_ready(target), within_s=60)
    told = [event for event in target.events() if "standby" in event.kind]
    assert [event.kind for event in told] == ["standby_started", "standby_gone", "standby_started"]
    assert told[1].detail["how"] == "SIGKILL"
    assert len(pids & {last(target, replica.name)["pid"] for replica in target.replicas()}) == 1


def test_forked_replicas_die_with_a_supervisor_that_is_killed(
    target: LocalTarget, eventually: Eventually
) -> None:
    processes = [
        process
        for pid in (standby_of(target).pid, *(last(target, each.name)["pid"] for each in target.replicas()))
        if (process := ProcessId.of(pid))
    ]
    assert len(processes) == 3
    supervisor_of(target).kill()
    eventually(lambda: not any(process.alive() for process in processes), within_s=10)


def test_nothing_is_left_of_forked_replicas_when_a_target_was_left(tmp_path: Path) -> None:
    with LocalTarget(spec(tmp_path)) as target:
        assert len(of_run(target._spec.run_id)) == 6, "supervisor, proxy, gateway, standby, two replicas"
    assert of_run(target._spec.run_id) == []


def test_a_standby_that_cannot_start_is_told_with_its_log(tmp_path: Path) -> None:
    broken = ("python", "-c", "raise SystemExit('no torch here')")
    with pytest.raises(InconclusiveError, match=r"the standby ended by itself: exit code 1.*standby\.log"):
        LocalTarget(spec(tmp_path, standby=broken)).__enter__()
    assert "no torch here" in (tmp_path / "logs" / "standby.log").read_text()


def test_a_command_that_the_standby_does_not_serve_is_told(tmp_path: Path) -> None:
    command = ("python", "-m", "http.server", "{port}")
    with pytest.raises(
        InconclusiveError, match=r"argv: \[python, -m, reference_server, \.\.\.\] is expected"
    ):
        LocalTarget(spec(tmp_path, command=command)).__enter__()
