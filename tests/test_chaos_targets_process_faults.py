"""Faults of processes on the local target: done, seen in the process table, undone, and never proved of nobody."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaos.errors import RefusedError
from chaos.targets import Replica
from chaos.targets.effects import Crash, Effect, MemoryStress, Outage, ProcessorStress
from chaos.targets.identity import of_replica, of_run
from chaos.targets.local.means.kinds import means_of
from chaos.targets.local.means.stressors import find
from chaos.targets.local.spec import LocalSpec, RestartSpec
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import all_ready, kinds, terminate, toy_spec

MEGABYTE = 1_000_000
EFFECTS: dict[str, Effect] = {
    "outage": Outage(),
    "crash": Crash(("reference-server",)),
    "processor stress": ProcessorStress(workers=2, load=0.5),
    "memory stress": MemoryStress(workers=2, size_bytes=20 * MEGABYTE),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    spec = toy_spec(tmp_path_factory.mktemp("processes"), 3, restart=RestartSpec(initial_s=1.0))
    with LocalTarget(spec) as started:
        yield started
    assert of_run(spec.run_id) == []


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    """The module's one cluster, whole again after whatever the test before did to it."""
    wait_until(lambda: all_ready(cluster), within_s=30, what="three ready replicas")
    return cluster


def inject(target: LocalTarget, occurrence: str, effect: Effect, victim: Replica) -> None:
    target.aim(occurrence, [effect], [victim])
    target.inject(occurrence, [victim])


def uid_is_there(target: LocalTarget, uid: str) -> bool:
    return uid in {replica.uid for replica in target.replicas()}


def test_nothing_runs_in_a_replica_that_is_down_and_it_keeps_name_and_uid(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim, other = target.replicas()[:2]
    inject(target, "down#1", Outage(), victim)
    (evidence,) = target.verify("down#1", within_s=10)
    assert evidence.verified, evidence.how
    assert "in it runs nothing" in evidence.how
    assert of_replica(victim.uid, None) == []
    eventually(
        lambda: [replica.ready for replica in target.replicas() if replica.uid == victim.uid] == [False],
        within_s=10,
        what="an unready victim",
    )
    assert len(target.replicas()) == 3
    assert of_replica(other.uid, None)

    target.recover("down#1")
    (evidence,) = target.verify_recovered("down#1", within_s=10)
    assert evidence.verified, evidence.how
    # Its process is seen before the supervisor has told of it.
    assert re.search(r"in it runs \d+, after [01] restarts", evidence.how)
    eventually(lambda: all_ready(target), within_s=20, what="three ready replicas")
    assert [replica.name for replica in target.replicas() if replica.uid == victim.uid] == [victim.name]


def test_two_outages_of_one_replica_are_over_when_both_are(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    inject(target, "first#1", Outage(), victim)
    assert all(each.verified for each in target.verify("first#1", within_s=10))
    target.aim("second#1", [Outage()], [victim])
    target.inject("second#1", [victim])
    target.recover("first#1")
    assert not target.verify_recovered("first#1", within_s=0.5)[0].verified
    target.recover("second#1")
    assert target.verify_recovered("second#1", within_s=10)[0].verified
    eventually(lambda: all_ready(target), within_s=20, what="three ready replicas")


def test_outages_are_no_crashes_and_make_nobody_wait_longer(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[2]
    for number in range(3):
        inject(target, f"again#{number}", Outage(), victim)
        assert target.verify(f"again#{number}", within_s=10)[0].verified
        began = kinds(target, victim.name).count("replica_restarted")
        over_s = time.monotonic()
        target.recover(f"again#{number}")
        eventually(
            lambda began=began: kinds(target, victim.name).count("replica_restarted") > began,
            within_s=10,
            what="a restart",
        )
        assert last_restart_s(target, victim.name) - over_s < 1.0


def last_restart_s(target: LocalTarget, name: str) -> float:
    return max(
        event.at_s for event in target.events() if (event.replica, event.kind) == (name, "replica_restarted")
    )


def test_a_replica_that_is_deleted_while_it_is_down_is_replaced(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    inject(target, "down#2", Outage(), victim)
    assert target.verify("down#2", within_s=10)[0].verified
    terminate(target, [victim])
    eventually(lambda: not uid_is_there(target, victim.uid), within_s=10, what="the victim's end")
    target.recover("down#2")
    (evidence,) = target.verify_recovered("down#2", within_s=5)
    assert (evidence.verified, evidence.how) == (True, "is not there any more")
    eventually(lambda: all_ready(target), within_s=20, what="three ready replicas")


def test_a_crash_is_restarted_in_place_and_the_next_ones_have_to_wait(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[1]

    def restarts() -> int:
        return kinds(target, victim.name).count("replica_restarted")

    first = restarts()
    for number in (1, 2):
        before = {process.pid for process in of_replica(victim.uid, None)}
        inject(target, f"crash#{number}", Crash(("reference-server",)), victim)
        (evidence,) = target.verify(f"crash#{number}", within_s=10)
        assert evidence.verified, evidence.how
        assert f"uid {victim.uid} is still listed" in evidence.how
        eventually(
            lambda wanted=first + number: restarts() == wanted,
            within_s=20,
            what="a restart",
        )
        eventually(lambda: all_ready(target), within_s=20, what="three ready replicas")
        assert uid_is_there(target, victim.uid)
        assert not before & {process.pid for process in of_replica(victim.uid, None)}
    events = [event for event in target.events() if event.replica == victim.name]
    gone_s = [event.at_s for event in events if event.kind == "replica_gone"][-2:]
    back_s = [event.at_s for event in events if event.kind == "replica_restarted"][-2:]
    assert back_s[0] - gone_s[0] < 1.0 <= back_s[1] - gone_s[1]
    assert kinds(target, victim.name).count("replica_created") == 1


def test_stressors_use_processors_beside_their_victim_until_they_are_ended(target: LocalTarget) -> None:
    victim, other = target.replicas()[:2]
    inject(target, "busy#1", ProcessorStress(workers=2, load=0.5), victim)
    (evidence,) = target.verify("busy#1", within_s=10)
    assert evidence.verified, evidence.how
    found = find("busy#1", "processor")
    assert [each.beside for each in found] == [victim.uid, victim.uid] != [other.uid, other.uid]
    (own, *_) = of_replica(victim.uid, None)
    for each in found:
        stressor, replica = psutil.Process(each.process.pid), psutil.Process(own.pid)
        assert stressor.nice() == replica.nice()
        assert stressor.cpu_affinity() == replica.cpu_affinity()
    target.recover("busy#1")
    assert target.verify_recovered("busy#1", within_s=5)[0].verified
    assert find("busy#1", "processor") == []


def test_stressors_that_do_not_work_are_no_stress(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    inject(target, "busy#2", ProcessorStress(workers=2), victim)
    try:
        wait_until(lambda: len(find("busy#2", "processor")) == 2, within_s=10, what="two stressors")
        for each in find("busy#2", "processor"):
            os.kill(each.process.pid, signal.SIGSTOP)
        (evidence,) = target.verify("busy#2", within_s=1.5)
        assert not evidence.verified, evidence.how
        assert "use 0.00 processors" in evidence.how
    finally:
        target.recover("busy#2")


@pytest.mark.parametrize("effect", [Crash(("reference-server",)), Outage()], ids=str)
def test_what_nothing_runs_in_cannot_be_proved_to_have_been_hit(effect: Effect, target: LocalTarget) -> None:
    victim = target.replicas()[0]
    inject(target, "down#3", Outage(), victim)
    try:
        assert target.verify("down#3", within_s=10)[0].verified
        target.aim("more#1", [effect], [victim])
        (evidence,) = target.verify("more#1", within_s=0.3)
        assert (evidence.verified, evidence.how) == (False, "nothing ran in it before the fault")
    finally:
        target.recover("down#3")


def test_stressors_hold_memory_beside_their_victim_until_they_are_ended(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    inject(target, "full#1", MemoryStress(workers=2, size_bytes=20 * MEGABYTE, oom_score_adj=500), victim)
    (evidence,) = target.verify("full#1", within_s=10)
    assert evidence.verified, evidence.how
    assert sum(each.resident_bytes for each in find("full#1", "memory")) >= 40 * MEGABYTE
    target.recover("full#1")
    assert target.verify_recovered("full#1", within_s=5)[0].verified


def test_both_kinds_of_stress_are_proved_side_by_side(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("both#1", [EFFECTS["processor stress"], EFFECTS["memory stress"]], [victim])
    target.inject("both#1", [victim])
    (evidence,) = target.verify("both#1", within_s=10)
    assert evidence.verified, evidence.how
    target.recover("both#1")
    assert target.verify_recovered("both#1", within_s=5)[0].verified


def test_memory_that_is_not_free_is_never_taken(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    too_much = psutil.virtual_memory().available // 10 * 6
    target.aim("full#2", [MemoryStress(workers=1, size_bytes=too_much)], [victim])
    with pytest.raises(RefusedError, match="more than half of the"):
        target.inject("full#2", [victim])
    assert find("full#2", "memory") == []


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fault_that_was_aimed_and_injected_into_nobody_is_not_proved(
    name: str, target: LocalTarget
) -> None:
    victim = target.replicas()[0]
    target.aim("control#1", [EFFECTS[name]], [victim])
    target.inject("control#1", ())
    (evidence,) = target.verify("control#1", within_s=0.8)
    assert not evidence.verified, evidence.how


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fault_that_hit_another_replica_is_not_proved_of_its_victim(name: str, target: LocalTarget) -> None:
    victim, other = target.replicas()[:2]
    occurrence = f"mis-aimed-{name}#1"
    target.aim(occurrence, [EFFECTS[name]], [victim])
    try:
        target.inject(occurrence, [other])
        (evidence,) = target.verify(occurrence, within_s=0.8)
        assert not evidence.verified, evidence.how
    finally:
        target.recover(occurrence)


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        (Crash(("sidecar",)), "a replica here has one container, reference-server: sidecar"),
        (ProcessorStress(1, options=("--cpu-method", "fft")), "there is no stress-ng here"),
        (ProcessorStress(8192), "at most 64 workers beside one replica: 8192"),
        (MemoryStress(1, share=1.0), "at most half of this machine's"),
        (MemoryStress(1, size_bytes=1, containers=("sidecar",)), "a replica here has one container"),
        (Outage(), ""),
        (ProcessorStress(1, containers=("reference-server",)), ""),
    ],
    ids=str,
)
def test_what_a_local_cluster_cannot_have_is_said_before_there_is_one(
    effect: Effect, reason: str, cluster: LocalTarget
) -> None:
    means = means_of(effect)
    assert means is not None
    spec = cluster._spec
    assert isinstance(spec, LocalSpec)
    assert reason in (means.hindrance(effect, spec) or "")


def test_stressors_die_with_the_supervisor_however_it_dies(tmp_path: Path, eventually: Eventually) -> None:
    with LocalTarget(toy_spec(tmp_path, 1)) as target:
        victim = target.replicas()[0]
        inject(target, "busy#9", ProcessorStress(workers=2), victim)
        inject(target, "full#9", MemoryStress(workers=1, size_bytes=MEGABYTE), victim)
        assert all(target.verify(occurrence, within_s=10)[0].verified for occurrence in ("busy#9", "full#9"))
        (supervisor,) = target.pids()["supervisor"]
        os.kill(supervisor, signal.SIGKILL)
        eventually(
            lambda: not find("busy#9", "processor") and not find("full#9", "memory"),
            within_s=10,
            what="the stressors' end",
        )
