"""On a live cluster with Chaos Mesh: daemon, controller or runner away in mid-fault, and nothing is left behind.

    pytest -m cluster tests/test_chaos_targets_kubernetes_endings_live.py

Needs a kubeconfig of somebody who may make namespaces and patch Chaos Mesh's own workloads, in `chaos-mesh`: nobody
else should be using it meanwhile. AFTERSHOCK_CLUSTER_IMAGE is an image that does nothing, for pods that are hit.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from chaos.errors import CleanupError
from chaos.targets.kubernetes import marks
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.objects import Collection, Item, chaos, pods
from chaos.targets.kubernetes.undoing.patience import Patience
from chaos.targets.kubernetes.undoing.resorts import Undoing
from chaos.targets.kubernetes.undoing.traces import records
from tests.conftest import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
IMAGE = os.environ.get("AFTERSHOCK_CLUSTER_IMAGE", "localhost/pause:3")
DAEMON = Collection("apps", "v1", "daemonsets", "chaos-mesh") / "chaos-daemon"
CONTROLLER = Collection("apps", "v1", "deployments", "chaos-mesh") / "chaos-controller-manager"
CALL_S = 30.0
SHORT = Patience(recovers_s=12.0, frees_s=12.0, cleans_s=8.0, replaces_s=90.0)
LABELS = {"app": "idle"}
RUNNER_CODE = """
import sys, time
from chaos.targets.kubernetes import marks
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.undoing.lease import Lease
from chaos.targets.kubernetes.objects import chaos

namespace, pod = sys.argv[1:]
calls = Calls.connect()
with Lease(calls, namespace, "run-1"):
    body = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "metadata": {"name": "of-run-1", "labels": marks.labels("run-1")},
        "spec": {"action": "partition", "mode": "all", "duration": "600s", "selector": {"pods": {namespace: [pod]}}},
    }
    calls.create(chaos("networkchaos", namespace), body, within_s=10)
    print("created", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    connected = Calls.connect()
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def namespace(calls: Calls) -> Iterator[str]:
    """Three pods that do nothing, in a namespace that goes at the end."""
    name = f"aftershock-test-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    container = {"name": "idle", "image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "idle"}, "spec": spec}
    calls.create(Collection("apps", "v1", "deployments", name), body, within_s=CALL_S)
    try:
        wait_until(lambda: len(running(calls, name)) == 3, within_s=180)
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def kubectl(*arguments: str) -> str:
    ended = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=True)
    return ended.stdout


def running(calls: Calls, namespace: str) -> list[str]:
    return [
        item["metadata"]["name"]
        for item in calls.list(pods(namespace), labels="app=idle", within_s=CALL_S)
        if item["status"]["phase"] == "Running" and "deletionTimestamp" not in item["metadata"]
    ]


@contextmanager
def away(calls: Calls, what: str) -> Iterator[None]:
    """Without a daemon, or without a controller."""
    try:
        set_there(calls, what, there=False)
        yield
    finally:
        set_there(calls, what, there=True)


def set_there(calls: Calls, what: str, *, there: bool) -> None:
    """Take a part of Chaos Mesh away, or bring it back, and wait until it is so."""
    if what == "daemon":
        selector = {"nodeSelector": {"aftershock.dev/nowhere": None if there else "true"}}
        calls.patch(DAEMON, {"spec": {"template": {"spec": selector}}}, within_s=CALL_S)
    else:
        calls.patch(CONTROLLER, {"spec": {"replicas": int(there)}}, within_s=CALL_S)
    component = "chaos-daemon" if what == "daemon" else "controller-manager"
    wait_until(lambda: bool(ready(calls, component)) is there, within_s=180, what=f"{what} there: {there}")


def ready(calls: Calls, component: str) -> list[str]:
    labels = f"app.kubernetes.io/component={component}"
    return [
        item["metadata"]["name"]
        for item in calls.list(pods("chaos-mesh"), labels=labels, within_s=CALL_S)
        if any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in item["status"].get("conditions", ())
        )
    ]


def inject(calls: Calls, namespace: str, pod: str, kind: str = "NetworkChaos", **spec: Any) -> Item:
    """A fault in force, or as far as it comes."""
    action = {"action": "partition"} if kind == "NetworkChaos" else {}
    body = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": kind,
        "metadata": {"generateName": "ending-", "labels": marks.labels("run-1")},
        "spec": {"mode": "all", "duration": "600s", "selector": {"pods": {namespace: [pod]}}} | action | spec,
    }
    made = calls.create(chaos(kind.lower(), namespace), body, within_s=CALL_S)
    place = chaos(kind.lower(), namespace) / made["metadata"]["name"]

    def as_far_as_it_comes() -> Item | None:
        item = calls.get(place, within_s=CALL_S)
        known = records(item) if item is not None else ()
        return item if known and all(record.get("events") for record in known) else None

    item = wait_until(as_far_as_it_comes, within_s=60)
    assert item is not None
    return item


def phase(item: Item) -> str:
    return str(records(item)[0]["phase"])


def undo(calls: Calls, item: Item, patience: Patience = SHORT) -> list[str]:
    acts: list[str] = []
    Undoing(calls, acts.append, patience).undo([item])
    return acts


def poisoned(calls: Calls, namespace: str) -> list[str]:
    """Every pod in whose PodNetworkChaos something is."""
    networks = calls.list(chaos("podnetworkchaos", namespace), within_s=CALL_S)
    return [item["metadata"]["name"] for item in networks if any((item.get("spec") or {}).values())]


def test_a_daemon_that_comes_back_undoes_the_fault_and_the_victim_lives(calls: Calls, namespace: str) -> None:
    victim = running(calls, namespace)[0]
    item = inject(calls, namespace, victim)
    assert phase(item) == "Injected"
    set_there(calls, "daemon", there=False)
    try:
        calls.delete(chaos("networkchaos", namespace) / item["metadata"]["name"], within_s=CALL_S)
    finally:
        set_there(calls, "daemon", there=True)
    undo(calls, item, Patience(recovers_s=90))
    assert poisoned(calls, namespace) == []
    assert victim in running(calls, namespace)


def test_a_daemon_that_stays_away_costs_the_victim_in_the_order_of_the_resorts(
    calls: Calls, namespace: str
) -> None:
    victim = running(calls, namespace)[0]
    item = inject(calls, namespace, victim)
    with away(calls, "daemon"):
        acts = undo(calls, item)
    print("\n".join(acts))
    assert [act.split(" ")[0] for act in acts] == ["deleted", "NetworkChaos", "patched", "deleted"]
    assert "cannot find daemonIP" in acts[1]
    assert victim not in running(calls, namespace)
    assert poisoned(calls, namespace) == []
    wait_until(lambda: len(running(calls, namespace)) == 3, within_s=120)


def test_a_controller_that_is_away_is_a_cleanup_error_and_the_fault_goes_when_it_is_back(
    calls: Calls, namespace: str
) -> None:
    victim = running(calls, namespace)[0]
    item = inject(calls, namespace, victim)
    with away(calls, "controller"):
        began_s = time.monotonic()
        with pytest.raises(CleanupError, match="Chaos Mesh's controller is away") as left:
            undo(calls, item)
        assert time.monotonic() - began_s >= SHORT.recovers_s + SHORT.frees_s
        print(left.value, left.value.hint, sep="\n")
    undo(calls, item, Patience(recovers_s=90))
    assert poisoned(calls, namespace) == []
    assert victim in running(calls, namespace)


def test_a_fault_that_never_gets_in_is_taken_out_and_the_next_one_on_its_pod_works(
    calls: Calls, namespace: str
) -> None:
    victim = running(calls, namespace)[0]
    item = inject(calls, namespace, victim, action="delay", delay={"latency": "100ms"})
    if phase(item) == "Injected":
        undo(calls, item)
        pytest.skip("this kernel can delay packets")
    acts = undo(calls, item)
    print("\n".join(acts))
    assert [act.split(" ")[0] for act in acts] == ["deleted", "NetworkChaos", "patched", "took"]
    assert victim in running(calls, namespace)
    after = inject(calls, namespace, victim)
    assert phase(after) == "Injected"
    assert [act.split(" ")[0] for act in undo(calls, after)] == ["deleted"]


def test_a_stress_without_its_daemon_costs_the_victim(calls: Calls, namespace: str) -> None:
    victim = running(calls, namespace)[0]
    item = inject(calls, namespace, victim, "StressChaos", stressors={"cpu": {"workers": 1, "load": 5}})
    with away(calls, "daemon"):
        acts = undo(calls, item)
    print("\n".join(acts))
    assert acts[-1].startswith(f"deleted pod {namespace}/{victim}, still hit by StressChaos")
    assert victim not in running(calls, namespace)
    wait_until(lambda: len(running(calls, namespace)) == 3, within_s=120)


def test_a_runner_that_is_killed_leaves_nothing_once_the_reaper_has_looked(
    calls: Calls, namespace: str
) -> None:
    victim = running(calls, namespace)[0]
    reaper = [
        sys.executable,
        "-m",
        "chaos.targets.kubernetes.undoing.reaper",
        "--namespace",
        namespace,
        "--port",
        "0",
    ]
    context = kubectl("config", "current-context").strip()
    code = [sys.executable, "-c", RUNNER_CODE, namespace, victim]
    place = chaos("networkchaos", namespace) / "of-run-1"
    with (
        subprocess.Popen([*reaper, "--context", context]) as reaping,
        subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as runner,
    ):
        try:
            assert runner.stdout is not None
            assert runner.stdout.readline() == "created\n"
            runner.kill()
            wait_until(lambda: calls.get(place, within_s=CALL_S) is None, within_s=120)
        finally:
            reaping.terminate()
    assert poisoned(calls, namespace) == []
