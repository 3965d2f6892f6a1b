import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.errors import InconclusiveError, InputError, RefusedError
from chaos.targets import Target
from chaos.targets.identity import REPLICA_UID, RUN_ID, of_run
from chaos.targets.local import naming
from chaos.targets.local.spec import LocalSpec, RestartSpec
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import (
    all_ready,
    complete,
    gateway_port,
    gateway_total,
    kinds,
    last,
    named,
    request,
    tell,
    toy_spec,
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> LocalSpec:
    environment = {"GREETING": "from {name}", REPLICA_UID: "forged"}
    return toy_spec(tmp_path_factory.mktemp("local"), 4, name_seed=11, labels={"team": "a"}, env=environment)


@pytest.fixture(scope="module")
def cluster(spec: LocalSpec) -> Iterator[LocalTarget]:
    with LocalTarget(spec) as started:
        yield started
    assert of_run(spec.run_id) == []


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    """The module's one cluster of four, whole again after whatever the test before did to it."""
    wait_until(lambda: all_ready(cluster), within_s=30, what="four ready replicas")
    return cluster


def test_replicas_look_like_pods_of_a_deployment_and_are_those_that_were_planned(
    target: LocalTarget, spec: LocalSpec
) -> None:
    replicas = target.replicas()
    planned = naming.planned(spec)
    assert [(r.name, r.labels, r.node) for r in replicas] == [(r.name, r.labels, r.node) for r in planned]
    assert {(r.namespace, r.phase, r.ready, r.terminating) for r in replicas} == {
        ("inference", "Running", True, False)
    }
    assert len({r.uid for r in replicas}) == 4
    assert {node.name for node in target.nodes()} == {"node-zone-a", "node-zone-b", "node-zone-c"}


def test_the_gateway_reaches_every_replica_as_soon_as_the_target_is_entered(target: LocalTarget) -> None:
    answers = [complete(gateway_port(target)) for _ in range(60)]
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-aftershock-replica"] for answer in answers} == {
        r.name for r in target.replicas()
    }


def test_replicas_carry_the_marks_and_their_log_is_named_after_them(
    target: LocalTarget, spec: LocalSpec
) -> None:
    replica = target.replicas()[0]
    environment = tell(last(target, replica.name)["port"])["environment"]
    assert environment["GREETING"] == f"from {replica.name}"
    assert environment[REPLICA_UID] == replica.uid
    assert environment[RUN_ID] == target.marks[RUN_ID]
    assert (spec.log_folder / f"{replica.name}.log").exists()


def test_a_replica_that_ends_by_itself_restarts_under_its_own_name(
    target: LocalTarget, eventually: Eventually
) -> None:
    replica = target.replicas()[0]
    first = last(target, replica.name)
    with pytest.raises(ConnectionError):
        tell(first["port"], exit=3)
    eventually(lambda: kinds(target, replica.name).count("replica_ready") == 2, within_s=30)
    assert kinds(target, replica.name)[-4:] == [
        "replica_gone",
        "replica_unready",
        "replica_restarted",
        "replica_ready",
    ]
    again = last(target, replica.name)
    assert again["restarts"] == 1
    assert again["pid"] != first["pid"]
    assert (again["port"], again["metrics_port"]) == (first["port"], first["metrics_port"])
    assert named(target, replica.name) == replica
    (gone,) = [e for e in target.events() if e.kind == "replica_gone" and e.replica == replica.name]
    assert gone.detail["how"] == "exit code 3"


def test_a_replica_that_hangs_its_health_is_killed_and_restarted_in_place(
    target: LocalTarget, eventually: Eventually
) -> None:
    replica = target.replicas()[1]
    tell(last(target, replica.name)["port"], hang_health=True)
    eventually(lambda: last(target, replica.name).get("restarts") == 1, within_s=30)
    (killed,) = [e for e in target.events() if e.kind == "replica_killed" and e.replica == replica.name]
    assert killed.detail["reason"].startswith("liveness probe: no answer within 0.2 s")
    eventually(lambda: all_ready(target), within_s=30)


def test_a_replica_that_says_so_is_unready_and_gets_no_request_until_it_is_ready_again(
    target: LocalTarget, eventually: Eventually
) -> None:
    replica = target.replicas()[2]
    port = last(target, replica.name)["port"]
    tell(port, ready=False)
    eventually(lambda: gateway_total(target, "replicas_ready") == 3, within_s=30)
    assert replica.name not in {
        complete(gateway_port(target)).headers["x-aftershock-replica"] for _ in range(20)
    }
    tell(port, ready=True)
    eventually(
        lambda: complete(gateway_port(target)).headers["x-aftershock-replica"] == replica.name, within_s=30
    )
    # The gateway knows first: what the supervisor tells comes a moment later.
    eventually(lambda: kinds(target, replica.name)[-2:] == ["replica_unready", "replica_ready"], within_s=30)


def test_a_replica_that_only_stumbled_gets_requests_again_after_its_next_probe(
    target: LocalTarget, eventually: Eventually
) -> None:
    replica = target.replicas()[3]
    tell(last(target, replica.name)["port"], drop_next=True)

    def attempts(outcome: str) -> float:
        return gateway_total(target, "attempts_total", replica.name, outcome)

    while not attempts('"unreachable"'):
        assert complete(gateway_port(target)).status == 200
    served = attempts('"ok"')
    eventually(lambda: complete(gateway_port(target)) and attempts('"ok"') > served, within_s=30)


def test_a_replica_whose_port_was_taken_starts_again_on_another_at_once(
    tmp_path: Path, eventually: Eventually
) -> None:
    with LocalTarget(toy_spec(tmp_path, 1, restart=RestartSpec(initial_s=60, max_s=60))) as target:
        replica = target.replicas()[0]
        first = last(target, replica.name)
        supervisor = psutil.Process(psutil.Process(first["pid"]).ppid())
        thief = socket.socket()
        with thief:
            supervisor.suspend()  # nobody starts again before the thief is there
            os.kill(first["pid"], signal.SIGKILL)
            wait_until(lambda: taken(thief, first["port"]), within_s=30, what="the port")
            supervisor.resume()
            eventually(lambda: last(target, replica.name)["port"] != first["port"], within_s=30)
            eventually(lambda: all_ready(target), within_s=30)
            assert complete(gateway_port(target)).status == 200


def taken(thief: socket.socket, port: int) -> bool:
    try:
        thief.bind(("127.0.0.1", port))
        thief.listen()
    except OSError:
        return False
    return True


def test_the_local_target_is_a_target(tmp_path: Path) -> None:
    target: Target = LocalTarget(toy_spec(tmp_path, 5))
    assert (target.kind, target.wanted_replicas) == ("local", 5)


def test_progress_counts_up_to_all_ready(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with LocalTarget(toy_spec(tmp_path, 2), on_progress=lambda ready, wanted: seen.append((ready, wanted))):
        assert seen[-1] == (2, 2)
        assert [ready for ready, _ in seen] == sorted(ready for ready, _ in seen)


@pytest.mark.parametrize(
    ("flags", "changes", "message"),
    [
        (("--unready",), {"ready_within_s": 0.5}, "0 of 2 replicas were ready within 0.5 s"),
        (("--exit", "9"), {"restart": RestartSpec(0.01, 0.01)}, "ends again and again"),
    ],
    ids=["never ready", "crash loop"],
)
def test_a_cluster_that_does_not_come_up_is_refused_and_leaves_nothing(
    tmp_path: Path, flags: tuple[str, ...], changes: dict[str, Any], message: str
) -> None:
    spec = toy_spec(tmp_path, 2, *flags, **changes)
    with pytest.raises(RefusedError, match=message) as refusal, LocalTarget(spec):
        pass
    assert str(spec.log_folder) in (refusal.value.hint or "")
    assert of_run(spec.run_id) == []


def test_a_command_that_does_not_exist_is_wrong_input(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, 1, command=("no-such-program-anywhere",))
    with pytest.raises(InputError, match="no-such-program-anywhere"), LocalTarget(spec):
        pass
    assert not spec.log_folder.exists()


def test_leaving_twice_changes_nothing_and_questions_afterwards_have_no_answer(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, 2)
    target = LocalTarget(spec)
    with target:
        url_port = gateway_port(target)
    target.__exit__(None, None, None)
    assert of_run(spec.run_id) == []
    assert [event.kind for event in target.events()].count("target_stopped") == 1
    assert target.events()[-1].kind == "target_stopped"
    assert "replica_killed" not in {event.kind for event in target.events()}
    with pytest.raises(InconclusiveError):
        target.replicas()
    with pytest.raises(ConnectionRefusedError):
        request(url_port, "GET", "/healthz")
