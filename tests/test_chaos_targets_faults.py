import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.errors import RefusedError
from chaos.targets import Replica
from chaos.targets.effects import Link, Nothing, Termination, Traffic
from chaos.targets.identity import ProcessId, of_run
from chaos.targets.local.link import SupervisorLink
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, has_ended, wait_until
from tests.support.local_cluster import (
    all_ready,
    complete,
    gateway_port,
    gateway_total,
    kinds,
    last,
    named,
    terminate,
    total,
    toy_spec,
)

Forgery = Callable[..., dict[str, Any]]


class ForgeableLink(SupervisorLink):
    """A line on which a test can stand between the target and its supervisor."""

    def __init__(self, spec: LocalSpec, runner: ProcessId) -> None:
        super().__init__(spec, runner)
        self.forge: Forgery | None = None
        """Called with the honest way to ask, the order and its fields."""

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        honest = super().ask
        return honest(op, **fields) if self.forge is None else self.forge(honest, op, **fields)


@pytest.fixture(scope="module")
def links() -> list[ForgeableLink]:
    return []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, links: list[ForgeableLink]) -> Iterator[LocalTarget]:
    def connect(spec: LocalSpec, runner: ProcessId) -> ForgeableLink:
        links.append(ForgeableLink(spec, runner))
        return links[-1]

    spec = toy_spec(tmp_path_factory.mktemp("faults"), 4, "--fork")
    with LocalTarget(spec, link=connect) as started:
        yield started
    assert of_run(spec.run_id) == []


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    """The module's one cluster of four, whole again after whatever the test before did to it."""
    wait_until(lambda: all_ready(cluster), within_s=30, what="four ready replicas")
    return cluster


@pytest.fixture
def link(target: LocalTarget, links: list[ForgeableLink]) -> Iterator[ForgeableLink]:
    """The target's own, honest again afterwards."""
    (only,) = links
    yield only
    only.forge = None


def test_a_killed_replica_is_gone_and_replaced_under_a_new_name_that_serves(
    target: LocalTarget, eventually: Eventually
) -> None:
    before = target.replicas()
    victim = before[1]
    asked_s = time.monotonic()
    target.aim("drill#1", [Termination(grace_s=0)], [victim])
    assert asked_s <= target.inject("drill#1", [victim]) <= time.monotonic()
    (evidence,) = target.verify("drill#1", within_s=30)
    assert evidence.verified, evidence.how
    assert evidence.replica == victim.name
    eventually(lambda: all_ready(target), within_s=30)
    (fresh,) = [r for r in target.replicas() if r.name not in {b.name for b in before}]
    assert fresh.uid not in {b.uid for b in before}
    assert fresh.labels["zone"] == victim.labels["zone"]
    assert named(target, victim.name) is None
    eventually(
        lambda: complete(gateway_port(target)).headers["x-aftershock-replica"] == fresh.name,
        within_s=30,
        what="a request served by the replacement",
    )
    assert kinds(target, victim.name)[-3:] == ["replica_unready", "replica_killed", "replica_gone"]
    assert kinds(target, fresh.name) == ["replica_created", "replica_running", "replica_ready"]


def test_victims_are_killed_one_after_another_and_events_tell_when(target: LocalTarget) -> None:
    victims = target.replicas()[:3]
    target.aim("drill#2", [Termination(grace_s=0)], victims)
    at_s = target.inject("drill#2", victims)
    evidence = target.verify("drill#2", within_s=30)
    assert [(each.replica, each.verified) for each in evidence] == [(each.name, True) for each in victims]
    killed = {event.detail["uid"]: event for event in target.events() if event.kind == "replica_killed"}
    stamps = [killed[victim.uid].at_s for victim in victims]
    assert stamps == sorted(stamps)
    assert stamps[0] == at_s
    assert {killed[victim.uid].detail["signal"] for victim in victims} == {"SIGKILL"}
    assert {killed[victim.uid].detail["reason"] for victim in victims} == {"drill#2"}


def test_a_kill_takes_everything_that_the_replica_forked(target: LocalTarget, eventually: Eventually) -> None:
    victim = target.replicas()[0]
    leader = psutil.Process(last(target, victim.name)["pid"])
    workers = leader.children()
    assert len(workers) == 1
    assert target.verify(terminate(target, [victim]), within_s=30)[0].verified
    eventually(lambda: has_ended(workers[0]), within_s=30)


def test_an_incarnation_that_is_gone_is_refused_and_nothing_is_touched(target: LocalTarget) -> None:
    gone, bystander = target.replicas()[:2]
    target.verify(terminate(target, [gone]), within_s=30)
    with pytest.raises(RefusedError, match=gone.uid):
        terminate(target, [bystander, gone])
    assert named(target, bystander.name) == bystander


def test_a_kill_that_is_aimed_and_injected_into_nobody_fails_verification(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("control#1", [Termination(grace_s=0)], [victim])
    target.inject("control#1", [])
    (evidence,) = target.verify("control#1", within_s=0.3)
    assert (evidence.replica, evidence.verified) == (victim.name, False)
    assert named(target, victim.name) == victim


def test_where_nothing_was_to_be_done_the_proof_is_that_nothing_changed(target: LocalTarget) -> None:
    victims = target.replicas()[:2]
    target.aim("sham#1", [Nothing()], victims)
    target.inject("sham#1", victims)
    assert all(each.verified for each in target.verify("sham#1", within_s=5))
    terminate(target, victims[:1])
    wait_until(lambda: named(target, victims[0].name) is None, within_s=30)
    assert [each.verified for each in target.verify("sham#1", within_s=0.3)] == [False, True]


def test_a_replica_that_restarts_in_place_is_not_as_it_was(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("sham#2", [Nothing()], [victim])
    target.inject("sham#2", [victim])
    process = psutil.Process(last(target, victim.name)["pid"])
    os.killpg(process.pid, signal.SIGKILL)
    wait_until(lambda: has_ended(process), within_s=30)
    (evidence,) = target.verify("sham#2", within_s=0.3)
    assert not evidence.verified, evidence.how
    assert "still listed" in evidence.how


def test_a_mis_aimed_kill_fails_verification(target: LocalTarget, link: ForgeableLink) -> None:
    aimed, hit = target.replicas()[:2]

    def lying(honest: Forgery, op: str, **fields: Any) -> dict[str, Any]:
        """An injector that hits another replica and claims the one it was asked for."""
        return honest(op, **{**fields, "uids": [hit.uid]} if op == "cause" else fields)

    link.forge = lying
    (evidence,) = target.verify(terminate(target, [aimed]), within_s=0.5)
    assert not evidence.verified
    assert str(last(target, aimed.name)["pid"]) in evidence.how
    assert "still listed" in evidence.how


def test_a_kill_of_the_process_alone_fails_verification(target: LocalTarget, link: ForgeableLink) -> None:
    victim = target.replicas()[0]
    pid = last(target, victim.name)["pid"]

    def lying(honest: Forgery, op: str, **fields: Any) -> dict[str, Any]:
        """An injector that kills the container and leaves the pod, which restarts it."""
        if op != "cause":
            return honest(op, **fields)
        os.killpg(pid, signal.SIGKILL)
        return {"at_s": time.monotonic()}

    link.forge = lying
    (evidence,) = target.verify(terminate(target, [victim]), within_s=0.5)
    assert not evidence.verified
    assert "none still live" in evidence.how
    assert "still listed" in evidence.how


def test_a_kill_that_only_deletes_the_name_fails_verification(
    target: LocalTarget, link: ForgeableLink
) -> None:
    victim = target.replicas()[0]
    link.forge = faithless(victim)
    (evidence,) = target.verify(terminate(target, [victim]), within_s=0.3)
    assert not evidence.verified
    assert "no longer listed" in evidence.how


def faithless(victim: Replica) -> Forgery:
    """An injector that kills nothing and hides its victim from the list afterwards."""
    hidden = False

    def lying(honest: Forgery, op: str, **fields: Any) -> dict[str, Any]:
        nonlocal hidden
        if op == "cause":
            hidden = True
            return {"at_s": time.monotonic()}
        answer = honest(op, **fields)
        if hidden and op == "describe":
            answer["replicas"] = [row for row in answer["replicas"] if row["replica"]["uid"] != victim.uid]
        return answer

    return lying


def test_a_delay_that_is_only_claimed_fails_verification(target: LocalTarget, link: ForgeableLink) -> None:
    victim = target.replicas()[0]
    link.forge = lambda honest, op, **fields: {"at_s": 0.0} if op == "cause" else honest(op, **fields)
    target.aim("claimed#1", [Link(to_replica=Traffic(delay_s=0.05))], [victim])
    target.inject("claimed#1", [victim])
    (evidence,) = target.verify("claimed#1", within_s=0.3)
    assert not evidence.verified, evidence.how


def test_a_recovery_that_is_only_claimed_fails_verification(target: LocalTarget, link: ForgeableLink) -> None:
    victim = target.replicas()[0]
    link.forge = lambda honest, op, **fields: {} if op == "undo" else honest(op, **fields)
    target.aim("stays#1", [Link(to_replica=Traffic(delay_s=0.05))], [victim])
    target.inject("stays#1", [victim])
    target.recover("stays#1")
    (evidence,) = target.verify_recovered("stays#1", within_s=0.3)
    assert not evidence.verified, evidence.how
    link.forge = None
    target.recover("stays#1")
    assert target.verify_recovered("stays#1", within_s=5)[0].verified


def test_a_grace_period_is_a_polite_signal_first_and_no_new_requests_meanwhile(
    tmp_path: Path, eventually: Eventually
) -> None:
    with LocalTarget(toy_spec(tmp_path, 2, "--ignore-sigterm")) as target:
        victim, other = target.replicas()
        occurrence = terminate(target, [victim], grace_s=4)
        dying = named(target, victim.name)
        assert dying is not None
        assert (dying.terminating, dying.ready, dying.phase) == (True, False, "Running")
        served = eventually(lambda: avoiding(target, victim), within_s=3.5, what="no request for the dying")
        assert other.name in str(served)
        assert "replica_gone" not in kinds(target, victim.name)
        assert target.verify(occurrence, within_s=30)[0].verified
        signals = [(e.detail["signal"], e.at_s) for e in target.events() if e.kind == "replica_killed"]
        assert [name for name, _ in signals] == ["SIGTERM", "SIGKILL"]
        assert signals[1][1] - signals[0][1] >= 3.99
        eventually(lambda: all_ready(target), within_s=30)


def avoiding(target: LocalTarget, victim: Replica) -> set[str]:
    """Who served twenty requests, if the victim was not among them."""
    served = {complete(gateway_port(target)).headers["x-aftershock-replica"] for _ in range(20)}
    return set() if victim.name in served else served


def test_a_replica_that_obeys_the_polite_signal_is_gone_before_the_grace_is_over(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    occurrence = terminate(target, [victim], grace_s=30)
    assert target.verify(occurrence, within_s=30)[0].verified
    killed = [e for e in target.events() if e.kind == "replica_killed" and e.replica == victim.name]
    assert [event.detail["signal"] for event in killed] == ["SIGTERM"]


def test_requests_survive_a_kill_in_their_midst_and_are_counted_apart_from_attempts(
    target: LocalTarget, eventually: Eventually
) -> None:
    port, survivors = gateway_port(target), target.replicas()[2:]
    before_requests = gateway_total(target, "requests_total")
    before_extra = gateway_total(target, "attempts_total") - gateway_total(target, "retries_total")
    statuses = [complete(port).status for _ in range(50)]
    terminate(target, target.replicas()[:2])
    statuses += [complete(port).status for _ in range(50)]
    assert statuses == [200] * 100
    # The gateway counts a request when its last byte is out, a moment after the client has it.
    eventually(lambda: gateway_total(target, "requests_total") == before_requests + 100, within_s=30)
    extra = gateway_total(target, "attempts_total") - gateway_total(target, "retries_total")
    assert extra == before_extra + 100
    for survivor in survivors:
        served = total(last(target, survivor.name)["metrics_port"], "toy_requests_total", '"accepted"')
        assert gateway_total(target, "attempts_total", survivor.name) == served
