"""What a NetworkChaos holds: what is taken and refused as an API server does, and which effect it comes to."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from chaos.faults.fault import Fault
from chaos.faults.kinds import read_fault
from chaos.faults.network_blocks import bytes_per_s, go_float, share
from chaos.reading.documents import dump, read_document
from chaos.targets.effects import Bucket, Link, Traffic

ROOT = Path(__file__).parent.parent
GATEWAY = {"app": "inference-gateway"}
DELAY: dict[str, Any] = {
    "apiVersion": "chaos-mesh.org/v1alpha1",
    "kind": "NetworkChaos",
    "metadata": {"name": "slow", "namespace": "inference"},
    "spec": {
        "action": "delay",
        "mode": "all",
        "selector": {"namespaces": ["inference"], "labelSelectors": {"app": "reference-server"}},
        "direction": "both",
        "target": {"mode": "all", "selector": {"labelSelectors": GATEWAY}},
        "delay": {"latency": "150ms", "jitter": "1.5ms", "correlation": "25"},
        "duration": "10s",
    },
}


def read(folder: Path, manifest: dict[str, Any]) -> Fault:
    path = folder / "manifest.yaml"
    path.write_text(dump(manifest))
    return read_fault(read_document(path))


def spec_of(**spec: Any) -> dict[str, Any]:
    return {**DELAY, "spec": {"mode": "all", "selector": {}, **spec}}


def traffic_of(folder: Path, **spec: Any) -> Traffic:
    """What the selected pods send, where they send to everybody."""
    (effect,) = read(folder, spec_of(**spec)).effects
    assert isinstance(effect, Link)
    assert (effect.to_replica, effect.toward) == (None, None)
    assert effect.from_replica is not None
    return effect.from_replica


def changed(where: str, to: object) -> dict[str, Any]:
    manifest = deepcopy(DELAY)
    change(manifest, where, to)
    return manifest


def change(manifest: dict[str, Any], where: str, to: object) -> None:
    """Set a key of the spec by its path, or take it out."""
    *parents, last = where.split(".")
    place = manifest["spec"]
    for key in parents:
        place = place[key]
    if to is None:
        del place[last]
    else:
        place[last] = to


def test_a_delay_is_a_traffic_on_each_way_that_its_direction_names(tmp_path: Path) -> None:
    traffic = Traffic(delay_s=0.15, jitter_s=0.0015, jitter_correlation=0.25)
    assert read(tmp_path, DELAY).effects == (Link(traffic, traffic, GATEWAY),)
    assert read(tmp_path, changed("direction", "to")).effects == (Link(traffic, None, GATEWAY),)
    assert read(tmp_path, changed("direction", "from")).effects == (Link(None, traffic, GATEWAY),)


@pytest.mark.parametrize("action", ["netem", "delay", "loss", "duplicate", "corrupt"])
def test_netem_does_every_block_that_is_there_whatever_its_action_is_called(
    tmp_path: Path, action: str
) -> None:
    blocks = {
        "delay": {"latency": "90ms", "jitter": "30ms", "reorder": {"reorder": "20", "gap": 3}},
        "loss": {"loss": "12.5", "correlation": "50"},
        "duplicate": {"duplicate": "40"},
        "corrupt": {"corrupt": "2", "correlation": "10"},
        "rate": {"rate": "8mbit"},
    }
    assert traffic_of(tmp_path, action=action, **blocks) == Traffic(
        delay_s=0.09,
        jitter_s=0.03,
        reorder=0.2,
        reorder_gap=3,
        loss=0.125,
        loss_correlation=0.5,
        corruption=0.02,
        corruption_correlation=0.1,
        duplication=0.4,
        bucket=Bucket(1e6, 0, 1_514_000),
    )
    for key, block in blocks.items():
        alone = traffic_of(tmp_path, action=action, **{key: block})
        assert alone != Traffic(), f"{action} does {key}"


def test_a_bandwidth_is_a_token_bucket_and_does_no_other_block(tmp_path: Path) -> None:
    block = {"rate": "1mbps", "limit": 20971520, "buffer": 10000}
    bucket = Bucket(1e6, 10_000, 20_971_520)
    assert traffic_of(tmp_path, action="bandwidth", bandwidth=block) == Traffic(bucket=bucket)
    peak = {**block, "peakrate": 2_000_000, "minburst": 1514}
    found = traffic_of(tmp_path, action="bandwidth", bandwidth=peak, delay={"latency": "1s"})
    assert found == Traffic(bucket=Bucket(1e6, 10_000, 20_971_520, 2e6, 1514))


def test_a_partition_cuts_and_a_packet_that_is_always_lost_is_cut_too(tmp_path: Path) -> None:
    assert traffic_of(tmp_path, action="partition") == Traffic(cut=True)
    for block in ({"loss": {"loss": "100"}}, {"corrupt": {"corrupt": "110"}}):
        assert traffic_of(tmp_path, action="netem", delay={"latency": "1s"}, **block) == Traffic(cut=True)


def test_a_partition_may_name_any_side_in_any_direction(tmp_path: Path) -> None:
    cut = Traffic(cut=True)
    outside = spec_of(action="partition", direction="from", externalTargets=["192.0.2.1"])
    assert read(tmp_path, outside).effects == (Link(None, cut, outside=("192.0.2.1",)),)
    assert read(tmp_path, spec_of(action="partition", direction="both")).effects == (Link(cut, cut),)


def test_what_is_left_out_or_empty_gets_the_webhooks_default(tmp_path: Path) -> None:
    plain = {"action": "delay", "delay": {"latency": "200ms"}}
    assert traffic_of(tmp_path, **plain) == Traffic(delay_s=0.2)
    empty = {"latency": "200ms", "jitter": "", "correlation": ""}
    assert traffic_of(tmp_path, action="delay", direction="", delay=empty) == Traffic(delay_s=0.2)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("1mbps", 1e6),
        ("1mbit", 125e3),
        ("8bit", 1),
        ("3kbps", 3e3),
        ("2GBPS", 2e9),
        ("1tbit", 125e9),
        ("0bps", 0),
    ],
)
def test_a_rate_in_bps_is_bytes_and_prefixes_are_powers_of_a_thousand(rate: str, expected: float) -> None:
    assert bytes_per_s(rate) == expected


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_number_that_can_be_written_is_a_percentage_for_the_api_server(number: float) -> None:
    assert go_float(repr(number)) == number
    assert 0 <= share(repr(number)) <= 1


@pytest.mark.parametrize("text", ["", " 1", "1_0", "1e400", "0x1", "٣", "1%", "--1", "."])
def test_what_go_does_not_take_for_a_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a number|too large"):
        go_float(text)


@pytest.mark.parametrize("text", ["1", "+1.", ".5", "1e1", "NaN", "-Inf", "0x1p-2", "0x_1p4"])
def test_what_go_takes_for_a_number_is_one(text: str) -> None:
    assert 0 <= share(text) <= 1


LIMIT = {"rate": "1mbps", "limit": 20_000, "buffer": 10_000}


@pytest.mark.parametrize(
    ("changes", "doubts"),
    [
        ({}, []),
        ({"delay": None}, ["missing-block"]),
        ({"delay.latency": "0.15s"}, ["zero-first"]),
        ({"delay.correlation": "nan"}, ["impossible-percentage"]),
        ({"delay.correlation": "101"}, ["impossible-percentage"]),
        ({"delay.reorder": {"reorder": "-1", "gap": -1}}, ["impossible-percentage", "impossible-gap"]),
        ({"target.selector.nodes": ["node-zone-a"]}, []),
        ({"target.selector": {}}, ["whole-namespace"]),
        ({"loss": {"loss": "110"}}, ["impossible-percentage"]),
        ({"action": "loss"}, ["other-block"]),
        ({"action": "netem", "delay": None, "rate": {"rate": "0bps"}}, ["impossible-rate"]),
        ({"action": "duplicate", "delay": None, "duplicate": {"duplicate": "10"}}, ["nothing-to-see"]),
        ({"bandwidth": LIMIT}, ["unused-block"]),
        ({"action": "bandwidth", "bandwidth": LIMIT}, ["unused-block"]),
        ({"action": "bandwidth", "delay": None}, ["missing-block"]),
        ({"action": "bandwidth", "delay": None, "bandwidth": LIMIT | {"limit": 100}}, ["small-limit"]),
        (
            {"action": "bandwidth", "delay": None, "bandwidth": LIMIT | {"rate": "1 mbps"}},
            ["impossible-rate"],
        ),
        ({"action": "bandwidth", "delay": None, "bandwidth": LIMIT | {"peakrate": 5}}, ["peak-alone"]),
        ({"action": "partition"}, ["unused-block"]),
        (
            {"action": "partition", "delay": None, "externalTargets": ["192.0.2.1", "", "/40"]},
            ["impossible-address", "impossible-address"],
        ),
    ],
    ids=str,
)
def test_what_the_api_server_lets_through_and_nobody_can_have_meant_is_a_doubt_by_name(
    tmp_path: Path, changes: dict[str, object], doubts: list[str]
) -> None:
    manifest = deepcopy(DELAY)
    for where, to in changes.items():
        change(manifest, where, to)
    found = read(tmp_path, manifest).doubts
    assert [doubt.name for doubt in found] == doubts
    assert all(doubt.problem.complaint.startswith("expected") for doubt in found)


@pytest.mark.parametrize(
    ("where", "to", "complaint"),
    [
        ("target", None, "spec.target: expected this key: the direction both needs the other side"),
        ("externalTargets", ["10.0.0.1"], "spec.externalTargets: expected none with the direction both"),
        ("target.mode", "fixed", "spec.target.value: expected for mode fixed a whole number"),
        ("delay.latency", None, "spec.delay.latency: expected this key (added to every packet), got nothing"),
        ("delay.latency", "1m30s", "spec.delay.latency: expected one number and its unit"),
        ("delay.latency", "-5ms", "spec.delay.latency: expected one number and its unit"),
        ("delay.latency", "150", "spec.delay.latency: expected one number and its unit"),
        ("delay.latency", 150, "spec.delay.latency: expected text: put it in quotes, got 150"),
        ("delay.jitter", ".5ms", "spec.delay.jitter: expected one number and its unit"),
        ("delay.latencyy", "1ms", "spec.delay.latencyy: unknown key (did you mean latency?)"),
        ("delay.correlation", "a lot", "spec.delay.correlation: expected a percentage 0..100 as text"),
        ("delay.reorder", {"reorder": "5"}, "spec.delay.reorder.gap: expected this key"),
        ("loss", {"loss": "10%"}, "spec.loss.loss: expected a percentage 0..100 as text"),
        ("loss", {"loss": ""}, "spec.loss.loss: expected a percentage 0..100 as text"),
        ("rate", {"rate": "1"}, "spec.rate.rate: expected a whole number and bit"),
        ("rate", {"rate": "1.5mbps"}, "spec.rate.rate: expected a whole number and bit"),
        (
            "bandwidth",
            {"rate": "1mbps", "limit": 0, "buffer": 1},
            "spec.bandwidth.limit: expected a number from 1",
        ),
        ("bandwidth", {"rate": "1mbps", "limit": 1}, "spec.bandwidth.buffer: expected this key"),
        ("bandwidth", {"rate": "1mbps", "limit": 2**31, "buffer": 1}, "spec.bandwidth.limit: expected"),
        ("direction", "up", "spec.direction: expected 'to', 'from' or 'both', got up"),
        ("action", "rate", "spec.action: expected delay or loss or"),
        ("action", "dealy", "(did you mean delay?), got dealy"),
        ("action", 3, "spec.action: expected"),
    ],
    ids=str,
)
def test_a_wrong_network_fault_is_refused_by_its_key_path(
    tmp_path: Path, where: str, to: object, complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, changed(where, to))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("where", "to", "reason"),
    [
        (
            "target.selector",
            {"labelSelectors": {"app": "redis"}},
            "the only other sides that replicas have here are",
        ),
        ("target.selector", {"labelSelectors": {"zone": "zone-b"}}, "(app: inference-gateway, zone: zone-a,"),
        ("target.selector.nodes", ["node-zone-a"], "the other side is known by its labels alone here: nodes"),
        ("target.selector", {"labelSelectors": {"zone": "zone-a"}}, ""),
        ("device", "eth1", "no devices: eth1"),
        ("device", "eth0@if7", ""),
        ("direction", "to", ""),
    ],
    ids=str,
)
def test_a_network_that_the_target_does_not_have_is_refused_before_the_run(
    tmp_path: Path, where: str, to: object, reason: str
) -> None:
    experiment = (ROOT / "chaos/experiments/network-delay.yaml").read_text()
    path = tmp_path / "experiment.yaml"
    path.write_text(experiment.replace("../manifests/network-delay.yaml", "manifest.yaml"))
    (tmp_path / "manifest.yaml").write_text(dump(changed(where, to)))
    path.write_text(path.read_text().replace("max_targets: 3", "max_targets: 10"))
    if not reason:
        assert len(read_experiment(path).faults) == 1
        return
    with pytest.raises(InputError) as caught:
        read_experiment(path)
    assert f"{path}:" in str(caught.value)
    assert "fault.manifest: expected a fault that the target local can inject" in str(caught.value)
    assert reason in str(caught.value)
