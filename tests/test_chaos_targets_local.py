import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.errors import InconclusiveError, InputError, RefusedError
from chaos.targets import Replica
from chaos.targets.local import naming
from chaos.targets.local.identity import REPLICA_UID, RUN_ID, of_run
from chaos.targets.local.spec import RestartSpec
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.local_cluster import (
    complete,
    gateway_metrics_port,
    gateway_port,
    kinds,
    last,
    request,
    tell,
    total,
    toy_spec,
)

Start = Callable[..., LocalTarget]


@dataclass(frozen=True)
class Kill:
    grace_period_s: int = 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a toy cluster; at the end it must leave nothing."""
    with ExitStack() as targets:
        specs = []

        def begin(replicas: int, *flags: str, **changes: Any) -> LocalTarget:
            specs.append(toy_spec(tmp_path, replicas, *flags, **changes))
            return targets.enter_context(LocalTarget(specs[-1]))

        yield begin
        targets.close()
        assert [process for spec in specs for process in of_run(spec.run_id)] == []


def all_ready(target: LocalTarget) -> bool:
    replicas = target.replicas()
    return sum(replica.ready for replica in replicas) == len(replicas) == target.wanted_replicas


def named(target: LocalTarget, name: str) -> Replica | None:
    return next((replica for replica in target.replicas() if replica.name == name), None)


def test_replicas_look_like_pods_of_a_deployment_and_are_those_that_were_planned(
    start: Start, tmp_path: Path
) -> None:
    target = start(4, name_seed=11, labels={"team": "a"})
    replicas = target.replicas()
    planned = naming.planned(toy_spec(tmp_path, 4, name_seed=11, labels={"team": "a"}))
    assert [(r.name, r.labels, r.node) for r in replicas] == [(r.name, r.labels, r.node) for r in planned]
    assert {(r.namespace, r.phase, r.ready, r.terminating) for r in replicas} == {
        ("inference", "Running", True, False)
    }
    assert len({r.uid for r in replicas}) == 4
    assert {node.name for node in target.nodes()} == {"node-zone-a", "node-zone-b", "node-zone-c"}


def test_the_gateway_reaches_every_replica_as_soon_as_the_target_is_entered(start: Start) -> None:
    target = start(3)
    answers = [complete(gateway_port(target)) for _ in range(60)]
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-aftershock-replica"] for answer in answers} == {
        r.name for r in target.replicas()
    }


def test_progress_counts_up_to_all_ready(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with LocalTarget(toy_spec(tmp_path, 2), on_progress=lambda ready, wanted: seen.append((ready, wanted))):
        assert seen[-1] == (2, 2)
        assert [ready for ready, _ in seen] == sorted(ready for ready, _ in seen)


def test_a_killed_replica_is_gone_and_replaced_under_a_new_name_that_serves(
    start: Start, eventually: Eventually
) -> None:
    target = start(4)
    before = target.replicas()
    victim = before[1]
    asked_s = time.monotonic()
    (injection,) = target.inject(Kill(), [victim])
    assert (injection.replica, injection.uid) == (victim.name, victim.uid)
    assert asked_s <= injection.at_s <= time.monotonic()
    (evidence,) = target.verify([injection], within_s=5)
    assert evidence.verified, evidence.how
    eventually(lambda: all_ready(target), within_s=5)
    (fresh,) = [r for r in target.replicas() if r.name not in {b.name for b in before}]
    assert fresh.uid not in {b.uid for b in before}
    assert fresh.labels["zone"] == victim.labels["zone"]
    assert named(target, victim.name) is None
    eventually(
        lambda: complete(gateway_port(target)).headers["x-aftershock-replica"] == fresh.name,
        within_s=5,
        what="a request served by the replacement",
    )
    assert kinds(target, victim.name)[-3:] == ["replica_killed", "replica_unready", "replica_gone"]
    assert kinds(target, fresh.name) == ["replica_created", "replica_running", "replica_ready"]


def test_victims_are_killed_one_after_another_and_events_tell_when(start: Start) -> None:
    target = start(4)
    victims = target.replicas()[:3]
    injections = target.inject(Kill(), victims)
    assert [injection.uid for injection in injections] == [victim.uid for victim in victims]
    stamps = [injection.at_s for injection in injections]
    assert stamps == sorted(stamps)
    killed = {event.detail["uid"]: event for event in target.events() if event.kind == "replica_killed"}
    assert [killed[injection.uid].at_s for injection in injections] == stamps
    assert {event.detail["signal"] for event in killed.values()} == {"SIGKILL"}
    assert all(evidence.verified for evidence in target.verify(injections, within_s=5))


def test_a_kill_takes_everything_that_the_replica_forked(start: Start, eventually: Eventually) -> None:
    target = start(2, "--fork")
    victim = target.replicas()[0]
    leader = psutil.Process(last(target, victim.name)["pid"])
    workers = leader.children()
    assert len(workers) == 1
    (injection,) = target.inject(Kill(), [victim])
    assert target.verify([injection], within_s=5)[0].verified
    eventually(lambda: not workers[0].is_running() or workers[0].status() == psutil.STATUS_ZOMBIE, within_s=5)


def test_an_incarnation_that_is_gone_is_refused_and_nothing_is_touched(start: Start) -> None:
    target = start(3)
    gone, bystander = target.replicas()[:2]
    target.verify(target.inject(Kill(), [gone]), within_s=5)
    with pytest.raises(RefusedError, match=gone.uid):
        target.inject(Kill(), [bystander, gone])
    assert named(target, bystander.name) == bystander


def test_a_mis_aimed_kill_fails_verification(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    target = start(3)
    aimed, hit = target.replicas()[:2]
    link = target._link
    assert link is not None
    honest = link.ask

    def lying(op: str, **fields: Any) -> dict[str, Any]:
        """An injector that hits another replica and claims the one it was asked for."""
        if op != "kill":
            return honest(op, **fields)
        (killed,) = honest(op, **{**fields, "uids": [hit.uid]})["killed"]
        return {"killed": [{**killed, "uid": aimed.uid, "name": aimed.name}]}

    monkeypatch.setattr(link, "ask", lying)
    (evidence,) = target.verify(target.inject(Kill(), [aimed]), within_s=0.5)
    assert not evidence.verified
    assert str(last(target, aimed.name)["pid"]) in evidence.how
    assert "still listed" in evidence.how


def test_a_kill_that_only_deletes_the_name_fails_verification(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = start(2)
    victim = target.replicas()[0]
    monkeypatch.setattr(target, "_ask", faithless(target, victim))
    (evidence,) = target.verify(target.inject(Kill(), [victim]), within_s=0.3)
    assert not evidence.verified
    assert "no longer listed" in evidence.how


def faithless(target: LocalTarget, victim: Replica) -> Callable[..., dict[str, Any]]:
    """An injector that kills nothing and hides its victim from the list afterwards."""
    honest, hidden = target._ask, False

    def ask(op: str, **fields: Any) -> dict[str, Any]:
        nonlocal hidden
        if op == "kill":
            hidden = True
            return {"killed": [{"uid": victim.uid, "name": victim.name, "at_s": time.monotonic()}]}
        answer = honest(op, **fields)
        if hidden and op == "describe":
            answer["replicas"] = [row for row in answer["replicas"] if row["replica"]["uid"] != victim.uid]
        return answer

    return ask


def test_a_grace_period_is_a_polite_signal_first_and_no_new_requests_meanwhile(
    start: Start, eventually: Eventually
) -> None:
    target = start(2, "--ignore-sigterm")
    victim, other = target.replicas()
    injections = target.inject(Kill(grace_period_s=1), [victim])
    dying = named(target, victim.name)
    assert dying is not None
    assert (dying.terminating, dying.ready, dying.phase) == (True, False, "Running")
    served = {complete(gateway_port(target)).headers["x-aftershock-replica"] for _ in range(20)}
    assert victim.name not in served
    assert other.name in served
    assert target.verify(injections, within_s=5)[0].verified
    signals = [(e.detail["signal"], e.at_s) for e in target.events() if e.kind == "replica_killed"]
    assert [name for name, _ in signals] == ["SIGTERM", "SIGKILL"]
    assert signals[1][1] - signals[0][1] >= 0.99
    eventually(lambda: all_ready(target), within_s=5)


def test_a_replica_that_obeys_the_polite_signal_is_gone_before_the_grace_is_over(start: Start) -> None:
    target = start(2)
    injections = target.inject(Kill(grace_period_s=30), target.replicas()[:1])
    assert target.verify(injections, within_s=5)[0].verified
    assert [e.detail["signal"] for e in target.events() if e.kind == "replica_killed"] == ["SIGTERM"]


def test_a_replica_that_ends_by_itself_restarts_under_its_own_name(
    start: Start, eventually: Eventually
) -> None:
    target = start(2)
    replica = target.replicas()[0]
    first = last(target, replica.name)
    with pytest.raises(ConnectionError):
        tell(first["port"], exit=3)
    eventually(lambda: kinds(target, replica.name).count("replica_ready") == 2, within_s=5)
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
    (gone,) = [e for e in target.events() if e.kind == "replica_gone"]
    assert gone.detail["how"] == "exit code 3"


def test_a_replica_that_hangs_its_health_is_killed_and_restarted_in_place(
    start: Start, eventually: Eventually
) -> None:
    target = start(2)
    replica = target.replicas()[0]
    tell(last(target, replica.name)["port"], hang_health=True)
    eventually(lambda: last(target, replica.name).get("restarts") == 1, within_s=5)
    (killed,) = [e for e in target.events() if e.kind == "replica_killed"]
    assert killed.detail["reason"].startswith("liveness probe: no answer within 0.2 s")
    eventually(lambda: all_ready(target), within_s=5)


def test_a_replica_that_says_so_is_unready_and_gets_no_request_until_it_is_ready_again(
    start: Start, eventually: Eventually
) -> None:
    target = start(2)
    replica = target.replicas()[0]
    port = last(target, replica.name)["port"]
    tell(port, ready=False)
    eventually(lambda: not all_ready(target), within_s=5)
    assert replica.name not in {
        complete(gateway_port(target)).headers["x-aftershock-replica"] for _ in range(20)
    }
    tell(port, ready=True)
    eventually(
        lambda: complete(gateway_port(target)).headers["x-aftershock-replica"] == replica.name, within_s=5
    )
    assert kinds(target, replica.name)[-2:] == ["replica_unready", "replica_ready"]


def test_a_replica_whose_port_was_taken_starts_again_on_another_at_once(
    start: Start, eventually: Eventually
) -> None:
    target = start(1, restart=RestartSpec(initial_s=60, max_s=60))
    replica = target.replicas()[0]
    first = last(target, replica.name)
    os.kill(first["pid"], signal.SIGSTOP)  # it cannot rebind before the thief is there
    thief = socket.socket()
    with thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        os.kill(first["pid"], signal.SIGKILL)
        wait_until(lambda: taken(thief, first["port"]), within_s=5, what="the port")
        eventually(lambda: last(target, replica.name)["port"] != first["port"], within_s=5)
        eventually(lambda: all_ready(target), within_s=5)
        assert complete(gateway_port(target)).status == 200


def taken(thief: socket.socket, port: int) -> bool:
    try:
        thief.bind(("127.0.0.1", port))
        thief.listen()
    except OSError:
        return False
    return True


def test_replicas_carry_the_marks_and_their_log_is_named_after_them(start: Start, tmp_path: Path) -> None:
    target = start(1, env={"GREETING": "from {name}", REPLICA_UID: "forged"})
    replica = target.replicas()[0]
    environment = tell(last(target, replica.name)["port"])["environment"]
    assert environment["GREETING"] == f"from {replica.name}"
    assert environment[REPLICA_UID] == replica.uid
    assert environment[RUN_ID] == target.marks[RUN_ID]
    assert (tmp_path / "logs" / f"{replica.name}.log").exists()


def test_requests_survive_a_kill_in_their_midst_and_are_counted_apart_from_attempts(
    start: Start, eventually: Eventually
) -> None:
    target = start(4)
    port, metrics_port = gateway_port(target), gateway_metrics_port(target)
    statuses = [complete(port).status for _ in range(50)]
    victims = target.replicas()[:2]
    target.inject(Kill(), victims)
    statuses += [complete(port).status for _ in range(50)]
    assert statuses == [200] * 100
    assert total(metrics_port, "ds_gateway_requests_total") == 100
    attempts = total(metrics_port, "ds_gateway_attempts_total")
    assert attempts == 100 + total(metrics_port, "ds_gateway_retries_total")
    for survivor in target.replicas():
        if kinds(target, survivor.name).count("replica_ready") and not survivor.terminating:
            served = total(last(target, survivor.name)["metrics_port"], "toy_requests_total", '"accepted"')
            assert total(metrics_port, "ds_gateway_attempts_total", survivor.name) == served
    eventually(lambda: total(metrics_port, "ds_gateway_replicas_ready") == 4, within_s=5)


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
