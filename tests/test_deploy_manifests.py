"""The manifests of deploy/: each object fits its schema, each pod the strictest level, each name something there."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from exporters.series import server
from tests.support.manifests import (
    COMPONENTS,
    DEPLOY,
    KUSTOMIZATIONS,
    ROOT,
    Manifest,
    containers,
    manifests,
    named,
    resource_files,
)

kubernetes_validate: Any = pytest.importorskip("kubernetes_validate", reason="needs the extra `lint`")

MANIFESTS = manifests()
PODS = [(str(each), template) for each in MANIFESTS for template in each.pod_templates]
EXTENSIONS = {
    "DestinationRule", "Gateway", "LeaderWorkerSet", "NodePool", "PeerAuthentication", "PodMonitor", "ScaledObject",
    "Service", "VirtualService",
}  # fmt: skip


every_pod = pytest.mark.parametrize("template", [one[1] for one in PODS], ids=[one[0] for one in PODS])


@pytest.mark.parametrize("release", ["1.35", "1.37"])
@pytest.mark.parametrize("manifest", [each for each in MANIFESTS if each.is_core], ids=str)
def test_each_object_of_kubernetes_fits_its_strict_schema(manifest: Manifest, release: str) -> None:
    kubernetes_validate.validate(dict(manifest.values), release, strict=True)


def test_the_extensions_are_those_that_the_page_speaks_of() -> None:
    assert {each.kind for each in MANIFESTS if not each.is_core} == EXTENSIONS


def test_every_object_but_those_of_the_whole_cluster_names_its_namespace() -> None:
    homeless = {each.kind for each in MANIFESTS if "namespace" not in each.values["metadata"]}
    assert homeless == {"Namespace", "PriorityClass", "NodePool"}
    assert {each.values["metadata"].get("namespace", "inference") for each in MANIFESTS} == {"inference"}


def test_the_namespace_allows_to_be_shaken_and_admits_restricted_pods_alone() -> None:
    metadata = named("Namespace", "inference").values["metadata"]
    assert metadata["annotations"] == {"aftershock.dev/allowed": "true"}
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@every_pod
def test_each_pod_meets_the_level_restricted_and_cannot_write_to_its_root(
    template: Mapping[str, Any],
) -> None:
    spec = template["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim"} for volume in spec["volumes"])
    for container in containers(template):
        security = {**spec.get("securityContext", {}), **container["securityContext"]}
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True


@every_pod
def test_each_container_says_what_it_needs_and_has_no_limit_on_its_processor(
    template: Mapping[str, Any],
) -> None:
    for container in containers(template):
        resources = container["resources"]
        assert set(resources["requests"]) >= {"cpu", "memory"}
        assert "memory" in resources["limits"]
        assert "cpu" not in resources["limits"]


@every_pod
def test_each_image_has_the_tag_of_a_release_and_no_registry(template: Mapping[str, Any]) -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for container in containers(template):
        name, _, tag = container["image"].partition(":")
        assert re.match(r"v?\d+\.\d+", tag)
        assert "." not in name
        assert not name.startswith("aftershock") or tag == version[1]


@every_pod
def test_a_pod_that_can_be_found_alive_was_given_time_to_start(template: Mapping[str, Any]) -> None:
    for container in containers(template):
        slow = "server" in container["image"] or "vllm" in container["image"]
        if slow and "livenessProbe" in container:
            assert "startupProbe" in container


@every_pod
def test_only_who_speaks_to_the_api_server_has_a_token(template: Mapping[str, Any]) -> None:
    speaks = template["spec"].get("serviceAccountName", "") in ("aftershock-runner", "aftershock-reaper")
    assert template["spec"].get("automountServiceAccountToken", True) == speaks


def pods_of(selector: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The pod templates whose labels a selector finds."""
    return [pod for _, pod in PODS if selector.items() <= pod["metadata"]["labels"].items()]


def selectors() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Of every object that finds pods of this namespace by labels."""
    for each in MANIFESTS:
        spec = each.values.get("spec") or {}
        if each.kind == "Service" and each.is_core:
            yield str(each), spec["selector"]
        elif each.kind in ("Deployment", "PodDisruptionBudget", "PodMonitor", "PeerAuthentication"):
            if "selector" in spec:
                yield str(each), spec["selector"]["matchLabels"]
        elif each.kind == "NetworkPolicy":
            yield str(each), spec["podSelector"].get("matchLabels", {})
            for peer in peers(spec):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield str(each), peer["podSelector"].get("matchLabels", {})


def peers(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of every rule of a network policy, in both directions."""
    rules = [*policy.get("ingress", ()), *policy.get("egress", ())]
    return [peer for rule in rules for peer in (*rule.get("from", ()), *rule.get("to", ()))]


@pytest.mark.parametrize("selector", [one[1] for one in selectors()], ids=[one[0] for one in selectors()])
def test_each_selector_finds_a_pod(selector: Mapping[str, str]) -> None:
    assert pods_of(selector)


def named_ports(selector: Mapping[str, str]) -> set[str]:
    return {
        port["name"] for pod in pods_of(selector) for one in containers(pod) for port in one.get("ports", ())
    }


def test_each_port_that_is_asked_for_by_name_is_one_of_the_pod() -> None:
    for each in MANIFESTS:
        if each.kind == "Service" and each.is_core:
            assert {port["targetPort"] for port in each.spec["ports"]} <= named_ports(
                each.spec["selector"]
            ), each
        if each.kind == "PodMonitor":
            asked = {endpoint["port"] for endpoint in each.spec["podMetricsEndpoints"]}
            assert asked <= named_ports(each.spec["selector"]["matchLabels"])
        for rule in each.values.get("spec", {}).get("ingress", ()) if each.kind == "NetworkPolicy" else ():
            asked = {port["port"] for port in rule.get("ports", ()) if isinstance(port["port"], str)}
            assert asked <= named_ports(each.spec["podSelector"]["matchLabels"]), each
    for path, pod in PODS:
        for container in containers(pod):
            ports = {port["name"] for port in container.get("ports", ())}
            probes = [container[key] for key in container if key.endswith("Probe")]
            asked = {
                probe[how]["port"] for probe in probes for how in ("httpGet", "tcpSocket") if how in probe
            }
            assert {port for port in asked if isinstance(port, str)} <= ports, path


def test_each_priority_class_has_somebody_who_refers_to_it() -> None:
    classes = {each.name for each in MANIFESTS if each.kind == "PriorityClass"}
    assert {pod["spec"].get("priorityClassName") for _, pod in PODS} - {None} == classes


def test_replicas_are_scaled_by_a_series_that_they_have() -> None:
    scaled = named("ScaledObject", "reference-server").spec
    assert scaled["scaleTargetRef"]["name"] == named("Deployment", "reference-server").name
    (trigger,) = scaled["triggers"]
    assert server.REQUESTS_WAITING.name in trigger["metadata"]["query"]
    assert not [each for each in MANIFESTS if each.kind == "HorizontalPodAutoscaler"]


def quantity(text: str | int) -> float:
    """A Kubernetes quantity as a number, of bytes or processors."""
    number, unit = re.fullmatch(r"([\d.]+)(m|Mi|Gi|)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * {"": 1, "m": 1e-3, "Mi": 2**20, "Gi": 2**30}[unit]


@pytest.mark.parametrize(("what", "key"), [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")])
def test_the_quota_has_room_for_every_replica_that_may_be_asked_for_and_one_more(what: str, key: str) -> None:
    most = named("ScaledObject", "reference-server").spec["maxReplicaCount"]
    room = quantity(named("ResourceQuota", "inference").spec["hard"][f"{what}.{key}"])
    needed = 0.0
    for each in MANIFESTS:
        # Those of GPUs and vLLM have nodes and a quota of their own.
        if each.kind == "Deployment":
            (pod,) = each.pod_templates
            count = most if each.name == "reference-server" else each.spec["replicas"]
            needed += (count + 1) * sum(quantity(one["resources"][what][key]) for one in containers(pod))
    assert needed <= room


def test_traffic_policies_can_take_out_as_many_replicas_as_a_fault_of_30_percent_hits() -> None:
    policy = named("DestinationRule", "reference-server").spec["trafficPolicy"]
    assert policy["outlierDetection"]["maxEjectionPercent"] >= 34
    assert policy["tls"]["mode"] == "ISTIO_MUTUAL"
    (listener,) = named("Gateway", "inference").spec["servers"]
    assert listener["tls"]["minProtocolVersion"] == "TLSV1_3"


def test_every_file_of_a_kustomization_is_named_in_it() -> None:
    for folder in (DEPLOY / "base", *COMPONENTS):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        patches = {folder / each["path"] for each in kustomization.get("patches", ()) if "path" in each}
        there = set(folder.iterdir()) - {folder / "kustomization.yaml"}
        assert there == set(resource_files(folder)) | patches


def test_every_component_is_built_by_the_check_or_by_the_nightly_run() -> None:
    overlays = [yaml.safe_load(path.read_text()) for path in DEPLOY.glob("overlays/*/kustomization.yaml")]
    assert {name.rpartition("/")[2] for one in overlays for name in one["components"]} == {
        folder.name for folder in COMPONENTS
    }


def test_every_dashboard_is_a_config_map_that_kubectl_can_apply() -> None:
    generated = sorted((ROOT / "dashboards/generated").glob("*.json"))
    kustomization = yaml.safe_load((ROOT / "dashboards/kustomization.yaml").read_text())
    assert [one["files"] for one in kustomization["configMapGenerator"]] == [
        [f"generated/{path.name}"] for path in generated
    ]
    # The limit of the annotation in which `kubectl apply` remembers an object; a ConfigMap may hold four times that.
    assert max(path.stat().st_size for path in generated) < 262_144 // 2


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_kustomization_says_what_it_is_for_and_names_files_that_are_there(path: Any) -> None:
    said = " ".join(re.findall(r"^# ?(.*)", path.read_text(), re.MULTILINE))
    assert said.endswith(".")
    named_files = re.findall(r"\b((?:chaos|docs|tests|deploy|components|benchmarks)/[\w/.*-]+\w)", said)
    for name in named_files:
        base = DEPLOY if name.startswith("components/") else ROOT
        assert list(base.glob(name)), name


@pytest.mark.parametrize("path", sorted({each.path for each in MANIFESTS}), ids=lambda path: path.name)
def test_every_manifest_begins_with_a_sentence_on_what_it_is_for(path: Any) -> None:
    assert re.match(r"# [^\n]+", path.read_text())


def test_every_component_has_a_line_in_the_docs() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    assert [folder.name for folder in COMPONENTS if f"`components/{folder.name}`" not in page] == []
