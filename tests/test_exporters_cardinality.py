"""The cardinality budget: every label is bounded, and the series of each part are counted against a limit."""

import re
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporters.collectors import CollectorSet
from exporters.comm import MAX_PEERS, CommMetrics
from exporters.gpu import GpuCollector, GpuReading
from exporters.gpu_sources import Allocator
from exporters.inference import InferenceMetrics
from exporters.nvml import NvmlDevices
from exporters.registry import Registry
from exporters.series import engine, gpu, probe, run
from exporters.series.family import Family
from exporters.series.groups import GROUPS
from exporters.series.server import DIRECTIONS, OUTCOMES, STREAMING
from exporters.slo_file import KNOWN
from loadtests import rows
from tests.support.recorded_nvml import RecordedNvml, data_centre_card

FAMILIES = [family for group in GROUPS.values() for family in group]

REPLICAS, GPUS, PEERS, TARGETS = 200, 8, MAX_PEERS, 10
REPLACED = 60
"""Of them, those that one run kills."""
BOUNDS = {
    "model": 1,
    "outcome": max(len(OUTCOMES), len(probe.PROBE_OUTCOMES)),
    "streaming": len(STREAMING),
    "direction": len(DIRECTIONS),
    "tier": 3,
    "result": len(engine.STEP_RESULTS),
    "state": len(engine.BLOCK_STATES),
    "version": 1,
    "python": 1,
    "collector": 5,
    "replica": REPLICAS,
    "gpu": GPUS,
    "uuid": 1,  # one per gpu
    "kind": max(len(gpu.ALLOCATOR_KINDS), len(gpu.ECC_KINDS), 3),
    "clock": len(gpu.CLOCKS),
    "reason": len(gpu.THROTTLE_REASONS),
    "xid": len(gpu.XIDS) + 1,
    "target": TARGETS,
    "op": 1,
    "scope": 1,  # one per peer
    "peer": PEERS,
    "experiment": 1,
    "fault": 3,
    "job_name": 5,
    "verdict": 1,
    "of": 2,
    "objective": len(KNOWN),
    "step": len(run.COLD_START_STEPS),
}
"""The most values that a label takes within one exporting process, of a fleet of 200 replicas and nodes of 8 GPUs."""

WIDER = {
    (run.LOAD_REQUESTS.name, "outcome"): len(rows.OUTCOMES),
    (run.RUN_COLD_START.name, "replica"): REPLACED,
}
"""Where one family's label takes more values than anywhere else."""

BUDGETS = {
    "Inference server": 400,
    "Inference engine": 40,
    "GPU": 350,
    "Collectors": 10,
    "Gateway": 1400,
    "Probe": 110,
    "Communication": MAX_PEERS * 24,
    "Experiment": 430,
    "Load": 50,
}
"""Series per exporting process."""


def series_at_most(family: Family) -> int:
    """Children times series per child: a histogram has its edges, +Inf, sum and count."""
    children = 1
    for label in family.labels:
        children *= WIDER.get((family.name, label), BOUNDS[label])
    return children * (len(family.buckets) + 3 if family.buckets else 1)


def series_of(registry: CollectorRegistry) -> Mapping[str, int]:
    """Series by family, as a scrape has them."""
    counts: dict[str, int] = {}
    family = ""
    for line in generate_latest(registry).decode().splitlines():
        if line.startswith("# TYPE"):
            family = line.split()[2]
        elif not line.startswith("#"):
            counts[family] = counts.get(family, 0) + 1
    return counts


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_label_has_a_bound(family: Family) -> None:
    assert set(family.labels) <= BOUNDS.keys()


def test_no_label_carries_what_a_client_may_choose() -> None:
    free = re.compile(r"request_id|session|user|prompt|trace|url|path|pid|tenant")
    assert [label for label in BOUNDS if free.search(label)] == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_series_of_each_part_stay_within_their_budget(group: str) -> None:
    most = sum(series_at_most(family) for family in GROUPS[group])
    assert most <= BUDGETS[group]
    assert most > BUDGETS[group] * 0.6, "a budget that far above the need guards nothing: lower it"


def check(registry: CollectorRegistry, group: str) -> None:
    counted = series_of(registry)
    families = {family.name: family for family in GROUPS[group]}
    assert counted.keys() & families.keys(), "the part exports something"
    for name in counted.keys() & families.keys():
        assert counted[name] <= series_at_most(families[name])


def test_a_real_server_stays_below_what_the_declarations_allow() -> None:
    metrics = InferenceMetrics("tiny", cache_tiers=("memory", "redis", "object"))
    for tier in ("memory", "redis", "object"):
        metrics.cache_lookup(tier, queried_tokens=2, hit_tokens=1)
    metrics.kv_fragmentation(0.5)
    check(metrics.registry, "Inference server")
    assert sum(series_of(metrics.registry).values()) <= BUDGETS["Inference server"]
    metrics.engine.kv_blocks(used=1, cached=2, free=3)
    metrics.engine.step(
        sequences=1, tokens=1, idle_s=0.1, graph_steps=1, eager_steps=0, bandwidth_utilisation=0.5
    )
    check(metrics.registry, "Inference engine")


def test_a_real_node_of_eight_gpus_stays_below_what_the_declarations_allow() -> None:
    cards = [data_centre_card(f"GPU-{number}") for number in range(GPUS)]
    devices = NvmlDevices(RecordedNvml(cards))
    allocators = {card.uuid: Allocator(1, 2, 0) for card in cards}
    registry = CollectorRegistry()
    CollectorSet(registry).add("gpu", GpuCollector(lambda: GpuReading(devices(), allocators)))
    check(registry, "GPU")
    assert set(series_of(registry)) >= {family.name for family in GROUPS["GPU"]}


def test_a_host_of_more_peers_than_allowed_stays_below_what_the_declarations_allow() -> None:
    registry = Registry()
    metrics = CommMetrics(registry)
    for number in range(10 * PEERS):
        metrics.observe("tcp_rtt", "inter", f"host-{number}:8085", 0.001)
        metrics.failed("tcp_rtt", "inter", f"host-{number}:8085")
    counted = series_of(registry)
    assert sum(counted.values()) <= BUDGETS["Communication"] + 24, "one more peer: `other`"
