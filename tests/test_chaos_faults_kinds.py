"""A kind of fault is a file, a line in the registry, a manifest and a row in the docs; what network faults hold."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from chaos.faults.fault import Fault, Kind
from chaos.faults.kinds import KINDS, read_fault
from chaos.reading.documents import dump, read_document
from chaos.targets.effects import Link, Nothing, Traffic

ROOT = Path(__file__).parent.parent
FAULTS = ROOT / "chaos" / "faults"
DELAY: dict[str, Any] = {
    "apiVersion": "chaos-mesh.org/v1alpha1",
    "kind": "NetworkChaos",
    "metadata": {"name": "slow", "namespace": "inference"},
    "spec": {
        "action": "delay",
        "mode": "all",
        "selector": {"namespaces": ["inference"], "labelSelectors": {"app": "reference-server"}},
        "direction": "both",
        "target": {"mode": "all", "selector": {"labelSelectors": {"app": "inference-gateway"}}},
        "delay": {"latency": "150ms", "jitter": "1.5ms", "correlation": "25"},
        "duration": "10s",
    },
}
LOSS = {"action": "loss", "mode": "one", "selector": {}, "loss": {"loss": "12.5", "correlation": "50"}}


def read(folder: Path, manifest: dict[str, Any]) -> Fault:
    path = folder / "manifest.yaml"
    path.write_text(dump(manifest))
    return read_fault(read_document(path))


def changed(where: str, to: object) -> dict[str, Any]:
    manifest: dict[str, Any] = deepcopy(DELAY)
    *parents, last = where.split(".")
    place = manifest["spec"]
    for key in parents:
        place = place[key]
    if to is None:
        del place[last]
    else:
        place[last] = to
    return manifest


def test_every_file_that_declares_a_kind_is_one_line_of_the_registry() -> None:
    declaring = sorted(path.stem for path in FAULTS.glob("*.py") if "\nKIND = Kind(" in path.read_text())
    registered = sorted(re.findall(r"^    (\w+)\.KIND,$", (FAULTS / "kinds.py").read_text(), re.MULTILINE))
    assert declaring == registered
    assert len(KINDS) == len(registered) == len({(k.api_version, k.kind, k.action) for k in KINDS})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
def test_a_kind_has_a_manifest_that_is_read_and_a_row_in_the_docs(kind: Kind) -> None:
    manifests = [read_fault(read_document(path)) for path in (ROOT / "chaos/manifests").glob("*.yaml")]
    assert kind in [fault.kind for fault in manifests]
    page = (ROOT / "docs/manifests.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(f"| `{kind.label}` ")]
    assert len(rows) == 1
    assert rows[0].count("|") == 6
    local = kind.fidelities.get("local")
    assert local is None or f"| {local.level} |" in rows[0]
    assert f"| {'yes' if kind.lasts else 'no'} |" in rows[0]


@pytest.mark.parametrize("name", ["network-delay", "sham", "pod-kill-30"])
def test_a_shipped_experiment_can_be_injected_by_its_target(name: str) -> None:
    experiment = read_experiment(ROOT / "chaos/experiments" / f"{name}.yaml")
    for planned in experiment.faults:
        assert experiment.target.fidelity(planned.fault).level in ("exact", "modelled")


def test_a_delay_is_a_traffic_on_each_way_that_its_direction_names(tmp_path: Path) -> None:
    traffic = Traffic(delay_s=0.15, jitter_s=0.0015, jitter_correlation=0.25)
    gateway = {"app": "inference-gateway"}
    assert read(tmp_path, DELAY).effects == (Link(traffic, traffic, gateway),)
    assert read(tmp_path, changed("direction", "to")).effects == (Link(traffic, None, gateway),)
    assert read(tmp_path, changed("direction", "from")).effects == (Link(None, traffic, gateway),)


def test_what_a_delay_leaves_out_gets_the_webhooks_default(tmp_path: Path) -> None:
    manifest = deepcopy(DELAY)
    manifest["spec"] = {"action": "delay", "mode": "one", "selector": {}, "delay": {"latency": "200ms"}}
    assert read(tmp_path, manifest).effects == (Link(from_replica=Traffic(delay_s=0.2)),)


def test_a_loss_is_a_share_of_packets(tmp_path: Path) -> None:
    fault = read(tmp_path, {**DELAY, "spec": LOSS})
    assert fault.effects == (Link(from_replica=Traffic(loss=0.125, loss_correlation=0.5)),)


def test_a_sham_needs_nothing_and_lasts(tmp_path: Path) -> None:
    spec = {"mode": "one", "selector": {}}
    fault = read(tmp_path, {**DELAY, "apiVersion": "aftershock.dev/v1alpha1", "kind": "Sham", "spec": spec})
    assert (fault.effects, fault.kind.lasts) == ((Nothing(),), True)


@pytest.mark.parametrize(
    ("where", "to", "complaint"),
    [
        ("target", None, "spec.target: expected this key: the direction both needs the other side"),
        ("externalTargets", ["10.0.0.1"], "spec.externalTargets: expected none with the direction both"),
        ("target.mode", "fixed", "spec.target.value: expected for mode fixed a whole number"),
        ("delay", None, "spec.delay: expected this key (how much later they arrive), got nothing"),
        ("delay.latency", "1m30s", "spec.delay.latency: expected one number and its unit"),
        ("delay.latency", "-5ms", "spec.delay.latency: expected one number and its unit"),
        ("delay.latency", "150", "spec.delay.latency: expected one number and its unit"),
        ("delay.latency", 150, "spec.delay.latency: expected text: put it in quotes, got 150"),
        ("delay.latency", "0.15s", "spec.delay.latency: expected a number from 1, such as 500ms"),
        ("delay.jitter", ".5ms", "spec.delay.jitter: expected one number and its unit"),
        ("delay.correlation", "nan", "spec.delay.correlation: expected a percentage 0..100 as text"),
        ("delay.correlation", "", "spec.delay.correlation: expected a percentage 0..100 as text"),
        (
            "target.selector.nodes",
            ["node-zone-a"],
            "spec.target.selector.nodes: expected labelSelectors alone",
        ),
        ("target.selector.pods", {"a": ["b"]}, "spec.target.selector.pods: expected labelSelectors alone"),
        (
            "target.selector.namespaces",
            ["edge"],
            "spec.target.selector.namespaces: expected inference: the other",
        ),
        ("target.mode", "random-max-percent", "spec.target.mode: expected a mode that never means nobody"),
        ("delay.latencyy", "1ms", "spec.delay.latencyy: unknown key (did you mean latency?)"),
        ("delay.correlation", "101", "spec.delay.correlation: expected a percentage 0..100 as text"),
        ("delay.correlation", "a lot", "spec.delay.correlation: expected a percentage 0..100 as text"),
        ("direction", "up", "spec.direction: expected 'to', 'from' or 'both', got up"),
        ("loss", {"loss": "1"}, "spec.loss: unknown key"),
        ("action", "dealy", "spec.action: expected delay or loss (did you mean delay?), got dealy"),
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
        ("target.selector", {"labelSelectors": {"app": "redis"}}, "the gateway (app: inference-gateway) is"),
        ("device", "eth1", "no devices: eth1"),
        ("direction", "to", ""),
    ],
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
