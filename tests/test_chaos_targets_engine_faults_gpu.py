"""Faults of a real GPU: its memory held, its time taken, its user frozen; each seen from outside, and undone."""

from collections.abc import Iterator

import pytest

from chaos.targets.effects import Effect
from chaos.targets.engine_effects import DeviceMemory, DeviceStress, Freeze
from chaos.targets.identity import of_run
from chaos.targets.local.target import LocalTarget
from tests.conftest import wait_until
from tests.support.engine_cluster import only, spec
from tests.support.local_cluster import all_ready, last, terminate, total

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

ON_A_GPU = {"DS_MODEL_NAME": "135m", "DS_TORCH_THREADS": "1", "DS_MAX_RUNNING": "4", "DS_KV_TOKENS": "16384"}
FREE_BYTES = 256 << 20
FAULTS: dict[str, Effect] = {
    "its memory is held": DeviceMemory(FREE_BYTES),
    "its time is taken": DeviceStress(1),
    "its user is frozen": Freeze(),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    wanted = spec(tmp_path_factory.mktemp("gpu"), env=ON_A_GPU, ready_within_s=300.0)
    with LocalTarget(wanted) as started:
        yield started
    assert of_run(wanted.run_id) == []


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    wait_until(lambda: all_ready(cluster), within_s=120, what="ready replicas")
    return cluster


@pytest.mark.parametrize("effect", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_gpu_is_seen_and_gone_once_it_is_undone(target: LocalTarget, effect: Effect) -> None:
    victim = target.replicas()[0]
    target.aim("gpu#1", [effect], [victim])
    target.inject("gpu#1", [victim])
    try:
        seen = only(target.verify("gpu#1", within_s=30))
        assert seen.verified, seen.how
    finally:
        target.recover("gpu#1")
    over = only(target.verify_recovered("gpu#1", within_s=20))
    assert over.verified, over.how


@pytest.mark.parametrize("effect", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_gpu_that_is_injected_into_nobody_fails_its_proof(
    target: LocalTarget, effect: Effect
) -> None:
    target.aim("control#1", [effect], [target.replicas()[0]])
    target.inject("control#1", [])
    seen = only(target.verify("control#1", within_s=3))
    assert not seen.verified, seen.how


def test_a_replacement_finds_no_memory_on_a_full_gpu_and_starts_once_there_is_some(
    target: LocalTarget,
) -> None:
    victim, bystander = target.replicas()
    target.aim("full#1", [DeviceMemory(FREE_BYTES)], [victim])
    target.inject("full#1", [victim])
    try:
        assert only(target.verify("full#1", within_s=30)).verified
        terminate(target, [victim])
        port = last(target, bystander.name)["metrics_port"]
        gone = [event.kind for event in target.events()].count("replica_gone")
        wait_until(  # what the victim gave back is taken too, and the replacement fails to load, again and again
            lambda: [event.kind for event in target.events()].count("replica_gone") >= gone + 2,
            within_s=60,
            what="a replacement that fails",
        )
        assert total(port, "ds_gpu_memory_used_bytes") > 0
    finally:
        target.recover("full#1")
    wait_until(lambda: all_ready(target), within_s=120, what="a replacement that is ready")
