"""Faults of engines on real replicas: each is caused, seen, undone, and never proved of somebody who was not hit."""

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from chaos.targets import Replica
from chaos.targets.effects import Effect, Termination
from chaos.targets.engine_effects import (
    ClockShift,
    ColdStart,
    DeviceError,
    Drain,
    Freeze,
    GrayFailure,
    KvReservation,
    MemoryCap,
    OtherWeights,
    RankLoss,
    SlowSteps,
    StuckStream,
)
from chaos.targets.identity import of_run
from chaos.targets.local.means import completion
from chaos.targets.local.means.door import LEASE_S
from chaos.targets.local.means.kinds import means_of
from chaos.targets.local.target import LocalTarget
from tests.conftest import wait_until
from tests.support.engine_cluster import REFERENCE, only, spec
from tests.support.local_cluster import all_ready, kinds, last, named, total

LASTING: dict[str, tuple[Effect, ...]] = {
    "health says 200 and generation hangs": (GrayFailure("hang"),),
    "health says 200 and every completion is a 503": (GrayFailure("503"),),
    "processes are stopped": (Freeze(),),
    "a stream falls silent": (StuckStream("silence", 3),),
    "a stream drips": (StuckStream("drip", 3, drip_s=0.5),),
    "a stream is reset": (StuckStream("reset", 3),),
    "a stream ends without a terminal event": (StuckStream("end", 3),),
    "a stream ends politely": (StuckStream("abort", 3),),
    "a stream brings an error": (StuckStream("error", 3),),
    "steps take eight times as long": (SlowSteps(8.0),),
    "the cache is somebody else's": (KvReservation(0.8),),
    "memory is capped": (MemoryCap(64 << 20),),
    "replacements start late": (ColdStart(30.0), Termination(0)),
    "a device fails": (DeviceError(79, 1.0),),
    "a clock is ten minutes ahead": (ClockShift(600.0),),
    "a clock is ten minutes behind": (ClockShift(-600.0),),
    "other weights are served": (OtherWeights(),),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    wanted = spec(tmp_path_factory.mktemp("engine"))
    with LocalTarget(wanted) as started:
        yield started
    assert of_run(wanted.run_id) == []


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    """The module's one cluster, whole again after whatever the test before did to it."""
    wait_until(lambda: all_serve(cluster), within_s=30, what="replicas that answer")
    return cluster


def all_serve(target: LocalTarget) -> bool:
    """Ready may be what a replica was a moment ago, before a test's fault ended it."""
    ports = [last(target, each.name)["port"] for each in target.replicas()]
    return all_ready(target) and all(answered(port) is not None for port in ports)


def aimed(target: LocalTarget, effects: tuple[Effect, ...]) -> tuple[str, Replica]:
    victim, occurrence = target.replicas()[0], f"fault#{uuid.uuid4().hex[:6]}"
    target.aim(occurrence, effects, [victim])
    return occurrence, victim


@pytest.mark.parametrize("effects", LASTING.values(), ids=LASTING)
def test_a_fault_is_seen_from_outside_and_gone_once_it_is_undone(
    target: LocalTarget, effects: tuple[Effect, ...]
) -> None:
    occurrence, victim = aimed(target, effects)
    before_s = time.monotonic()
    assert before_s <= target.inject(occurrence, [victim]) <= time.monotonic()
    try:
        seen = only(target.verify(occurrence, within_s=8))
        assert seen.verified, seen.how
    finally:
        target.recover(occurrence)
    target.recover(occurrence)  # a second time changes nothing
    over = only(target.verify_recovered(occurrence, within_s=10))
    assert over.verified, over.how
    assert named(target, victim.name) is not None or isinstance(effects[-1], Termination)


@pytest.mark.parametrize("effects", LASTING.values(), ids=LASTING)
def test_a_fault_that_is_aimed_and_injected_into_nobody_fails_its_proof(
    target: LocalTarget, effects: tuple[Effect, ...]
) -> None:
    occurrence, _ = aimed(target, effects)
    target.inject(occurrence, [])
    seen = only(target.verify(occurrence, within_s=1.5))
    assert not seen.verified, seen.how
    target.recover(occurrence)


def test_an_order_is_in_force_when_its_injection_returns_and_for_longer_than_its_lease(
    target: LocalTarget,
) -> None:
    occurrence, victim = aimed(target, (GrayFailure("503"),))
    port = last(target, victim.name)["port"]
    target.inject(occurrence, [victim])
    until_s = time.monotonic() + LEASE_S + 1
    while time.monotonic() < until_s:
        assert completion.complete(port, "", tokens=1, patience_s=5).status == 503
    target.recover(occurrence)
    assert completion.complete(port, "", tokens=1, patience_s=5).status == 200


@pytest.mark.parametrize("pace", ["together", "rolling"])
def test_a_replica_that_is_drained_ends_its_streams_in_order_and_is_replaced(
    target: LocalTarget, pace: Literal["together", "rolling"]
) -> None:
    victims, occurrence = target.replicas(), f"drain#{pace}"
    ports = [last(target, each.name)["port"] for each in victims]
    target.aim(occurrence, [Drain(grace_s=20, pace=pace)], victims)
    with ThreadPoolExecutor(4) as clients:
        streams = [clients.submit(completion.complete, p, "", tokens=100, patience_s=10) for p in ports * 2]
        wait_until(lambda: total_running(target, victims) == 4, within_s=10, what="four streams")
        began_s = target.inject(occurrence, victims)
        assert [stream.result().ended for stream in streams] == ["done"] * 4
    evidence = target.verify(occurrence, within_s=30)
    assert all(each.verified for each in evidence), evidence
    gone = [event for event in target.events() if event.kind == "replica_gone" and event.at_s > began_s]
    ours = [event for event in gone if event.replica in {each.name for each in victims}]
    assert [event.detail["how"] for event in ours] == ["exit code 0"] * 2
    if pace == "rolling":
        first, second = (event.at_s for event in ours)
        ready = [e.at_s for e in target.events() if e.kind == "replica_ready" and first < e.at_s < second]
        assert len(ready) == 1  # its replacement, before the next was told


def total_running(target: LocalTarget, victims: Sequence[Replica]) -> float:
    ports = [last(target, each.name)["metrics_port"] for each in victims]
    return sum(total(port, "ds_requests_running") for port in ports)


def test_a_rank_that_is_lost_is_seen_and_its_replica_comes_back_with_another(tmp_path: Path) -> None:
    sharded = REFERENCE | {"DS_TENSOR_PARALLEL": "2"}
    with LocalTarget(spec(tmp_path, replicas=1, env=sharded)) as target:
        (victim,) = target.replicas()
        target.aim("control#1", [RankLoss(1)], [victim])
        assert not only(target.verify("control#1", within_s=0.3)).verified
        target.aim("loss#1", [RankLoss(1)], [victim])
        target.inject("loss#1", [victim])
        seen = only(target.verify("loss#1", within_s=8))
        assert seen.verified, seen.how
        port = last(target, victim.name)["port"]
        heard = wait_until(
            lambda: answered(port), within_s=60, what="a completion of the group of ranks again"
        )
        assert heard is not None
        assert heard.finish_reason == "length"
        assert kinds(target, victim.name).count("replica_restarted") == 0


def answered(port: int) -> completion.Heard | None:
    heard = completion.complete(port, "", tokens=4, patience_s=5)
    return heard if heard.ended == "done" else None


@pytest.mark.parametrize(
    ("effect", "changes", "reason"),
    [
        (
            GrayFailure("hang"),
            {"command": ("vllm", "serve", "--port", "{port}")},
            "only the reference server has a door",
        ),
        (SlowSteps(4.0), {"command": ("vllm", "serve", "--port", "{port}")}, "vllm"),
        (
            RankLoss(0),
            {"command": ("vllm", "serve", "--port", "{port}")},
            "which processes of vllm are ranks",
        ),
        (ClockShift(600.0), {"command": ("vllm", "serve", "--port", "{port}")}, "has a door for it"),
        (ClockShift(600.0, ("CLOCK_REALTIME", "CLOCK_MONOTONIC")), {}, "lost CLOCK_MONOTONIC"),
        (ClockShift(-2.0), {}, "less than 3 s could not be proved"),
        (ClockShift(600.0, containers=("sidecar",)), {}, "a replica here has one container"),
        (RankLoss(0), {}, "replicas are not sharded"),
        (RankLoss(2), {"env": {"DS_TENSOR_PARALLEL": "2"}}, "ranks 0 to 1, and no 2"),
        (OtherWeights(), {"env": {"DS_MODEL_PATH": "/models/a"}}, "another model's folder"),
        (
            OtherWeights(),
            {"command": ("vllm", "serve", "--port", "{port}")},
            "only the reference server's weights",
        ),
    ],
    ids=str,
)
def test_what_happens_inside_of_an_engine_is_refused_by_name_where_it_cannot(
    tmp_path: Path, effect: Effect, changes: dict[str, Any], reason: str
) -> None:
    means = means_of(effect)
    assert means is not None
    assert reason in (means.hindrance(effect, spec(tmp_path, **changes)) or "nothing stands against it")


@pytest.mark.parametrize("effect", [Freeze(), Drain(30), ColdStart(5.0)], ids=str)
def test_what_can_be_done_to_any_process_is_done_to_any_command(tmp_path: Path, effect: Effect) -> None:
    means = means_of(effect)
    assert means is not None
    assert means.hindrance(effect, spec(tmp_path, command=("vllm", "serve", "--port", "{port}"))) is None
