"""The reference server as its Deployment would run it: the same variables, asked where the probes ask, and ended."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from reference_server.config import settings_from, unknown_variables
from reference_server.server import FAREWELL_S
from tests.support.manifests import COMPONENTS, DEPLOY, ROOT, containers, named
from tests.support.reference_replicas import replica_process

DEPLOYMENT = named("Deployment", "reference-server")
POD: Mapping[str, Any] = next(DEPLOYMENT.pod_templates)
(CONTAINER,) = containers(POD)
VARIABLES = {one["name"]: one.get("value", "reference-server-0") for one in CONTAINER["env"]}
PATCHES = [DEPLOY / "components" / name for name in ("cuda/gpu.yaml", "shards/ranks.yaml")]
KUBECTL = shutil.which("kubectl")


def test_the_server_knows_every_setting_and_listens_where_the_pod_says() -> None:
    settings = settings_from({}, VARIABLES)
    assert unknown_variables(VARIABLES) == []
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    assert settings.host == "0.0.0.0"


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.parent.name)
def test_the_server_knows_every_setting_of_a_component(path: Path) -> None:
    patched = yaml.safe_load(path.read_text())["spec"]["template"]["spec"]["containers"][0]
    variables = VARIABLES | {one["name"]: one["value"] for one in patched["env"]}
    assert unknown_variables(variables) == []
    settings_from({}, variables)


def test_a_pod_is_given_the_time_that_its_way_out_takes() -> None:
    settings = settings_from({}, VARIABLES)
    before_s = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    # Handlers say their last word, then the engine ends its step.
    after_s = 2 * FAREWELL_S + settings.min_step_s
    assert POD["spec"]["terminationGracePeriodSeconds"] >= before_s + settings.drain_s + after_s
    # Out of the endpoints before it refuses: two missed readiness probes, and a second for everybody to hear.
    probe = CONTAINER["readinessProbe"]
    assert before_s >= probe["failureThreshold"] * probe["periodSeconds"] + 1


def test_the_probes_ask_what_a_real_replica_answers_and_it_leaves_with_0(tmp_path: Path) -> None:
    variables = {name: text for name, text in VARIABLES.items() if name != "HOME"}
    with replica_process(tmp_path, **variables) as replica:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = CONTAINER[name]["httpGet"]
            assert probe["port"] == "http"
            deadline = time.monotonic() + 60
            while (status := requests.get(f"{replica.url}{probe['path']}", timeout=30).status_code) != 200:
                assert time.monotonic() < deadline, f"{name}: {status}"
        endpoint = named("PodMonitor", "reference-server").spec["podMetricsEndpoints"][0]
        series = requests.get(
            replica.metrics_url.removesuffix("/metrics") + endpoint["path"], timeout=30
        ).text
        assert "ds_requests_waiting" in series
        answer = requests.post(f"{replica.url}/v1/completions", json={"prompt": "Hello"}, timeout=60)
        assert answer.headers["x-aftershock-replica"] == "reference-server-0"
        assert replica.terminate() == 0


@pytest.mark.skipif(
    KUBECTL is None, reason="kubectl is not on PATH: kustomizations are read file by file only"
)
@pytest.mark.parametrize("folder", ["base", "overlays/kind", "overlays/everything"])
def test_kubectl_builds_what_fits_the_schemas_once_all_patches_are_in(folder: str) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="needs the extra `lint`")
    assert KUBECTL is not None
    built = subprocess.run(
        [KUBECTL, "kustomize", str(DEPLOY / folder)], capture_output=True, text=True, check=True
    ).stdout
    objects = list(yaml.safe_load_all(built))
    identities = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(identities)) == len(identities)
    for one in objects:
        if one["kind"] == "ConfigMap":
            assert len(yaml.dump(one).encode()) < 262_144
        group = one["apiVersion"].rpartition("/")[0]
        if ("." not in group or group.endswith(".k8s.io")) and not group.endswith("x-k8s.io"):
            validate.validate(one, "1.37", strict=True)
    kinds = {one["kind"] for one in objects}
    assert ("LeaderWorkerSet" in kinds) == (folder == "overlays/everything")


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on PATH")
def test_a_replica_of_the_component_cuda_has_one_gpu_and_the_image_that_knows_it() -> None:
    assert KUBECTL is not None
    assert DEPLOY / "components/cuda" in COMPONENTS
    command = [KUBECTL, "kustomize", str(DEPLOY / "overlays/everything")]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (server,) = (
        one
        for one in yaml.safe_load_all(built)
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "reference-server")
    )
    (container,) = containers(server["spec"]["template"])
    assert container["image"].startswith("aftershock-server-cuda:")
    # The API server refuses two figures that differ: a GPU cannot be lent beyond what was asked for.
    assert {container["resources"][what]["nvidia.com/gpu"] for what in ("requests", "limits")} == {"1"}
    # Its autoscaler says how many.
    assert "replicas" not in server["spec"]
    assert (ROOT / "deploy/docker/server-cuda.Dockerfile").is_file()
