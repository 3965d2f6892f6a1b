"""The experiments of deploy/: whom they hit, whom they ask and whom they wait for are objects of deploy/."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from chaos.cli import main
from tests.support.manifests import DEPLOY, containers, manifests, named

EXPERIMENTS = sorted((DEPLOY / "experiments").glob("*.yaml"))
PODS = [template for each in manifests() for template in each.pod_templates]
every = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


def target(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(path.read_text())["target"]["kubernetes"]
    return found


def faults(path: Path) -> list[Mapping[str, Any]]:
    """The objects that an experiment's manifest holds."""
    manifest = path.parent / yaml.safe_load(path.read_text())["fault"]["manifest"]
    return list(yaml.safe_load_all(manifest.read_text()))


def inner(values: Any, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            if name == key:
                yield value
            yield from inner(value, key)
    elif isinstance(values, list):
        for value in values:
            yield from inner(value, key)


def labelled(labels: Mapping[str, str]) -> list[Mapping[str, Any]]:
    return [pod for pod in PODS if labels.items() <= pod["metadata"]["labels"].items()]


def test_aftershock_understands_every_key_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *map(str, EXPERIMENTS)]) == 0, capsys.readouterr().err


def test_every_kind_of_fault_that_chaos_mesh_has_for_a_replica_is_among_them() -> None:
    actions = {(fault["kind"], fault["spec"].get("action")) for path in EXPERIMENTS for fault in faults(path)}
    network = {("NetworkChaos", action) for action in ("delay", "loss", "partition", "bandwidth")}
    pods = {("PodChaos", action) for action in ("pod-kill", "pod-failure", "container-kill")}
    assert actions == network | pods | {("StressChaos", None), ("Schedule", None), ("Sham", None)}


@every
def test_an_experiment_asks_a_service_and_waits_for_a_workload_of_deploy(path: Path) -> None:
    kubernetes = target(path)
    url = urlsplit(kubernetes["url"])
    service = named("Service", str(url.hostname))
    assert url.port in {port["port"] for port in service.spec["ports"]}
    assert service.spec["selector"] == kubernetes["selector"]
    workload = named(kubernetes["workload"]["kind"], kubernetes["workload"]["name"])
    (pod,) = labelled(kubernetes["selector"])
    assert [pod] == list(workload.pod_templates)
    ports = {port["name"]: port["containerPort"] for port in containers(pod)[0]["ports"]}
    assert kubernetes["metrics_port"] == ports["metrics"]


@every
def test_a_fault_hits_the_replicas_and_names_pods_and_containers_that_there_are(path: Path) -> None:
    for fault in faults(path):
        assert fault["metadata"]["namespace"] == target(path)["namespace"]
        for labels in inner(fault, "labelSelectors"):
            assert labelled(labels), labels
        names = {
            container["name"] for pod in labelled(target(path)["selector"]) for container in containers(pod)
        }
        for asked in inner(fault, "containerNames"):
            assert set(asked) <= names


@every
def test_a_fault_leaves_replicas_of_those_that_the_base_has(path: Path) -> None:
    most = yaml.safe_load(path.read_text())["fault"]["max_targets"]
    assert 0 < most < named("Deployment", "reference-server").spec["replicas"]
