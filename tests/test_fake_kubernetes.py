"""The API server that other tests lean on does what a real one does, as a real client sees it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

kubernetes = pytest.importorskip("kubernetes")

from kubernetes import watch as kubernetes_watch  # noqa: E402
from kubernetes.client import ApiException  # noqa: E402

from tests.conftest import wait_until  # noqa: E402
from tests.support.chaos_mesh import ChaosMesh  # noqa: E402
from tests.support.fake_kubernetes import CHAOS, NAMESPACE, Failure, FakeKubernetes  # noqa: E402
from tests.support.kubernetes_store import Resource  # noqa: E402
from tests.support.kubernetes_tape import Tape  # noqa: E402

Watch: Any = kubernetes_watch.Watch  # has no types
ONE = (*CHAOS, NAMESPACE)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path) as fake:
        for name in ("server-0", "server-1"):
            fake.add_pod(name)
        fake.add_pod("client", labels={"app": "client"})
        yield fake


@pytest.fixture
def mesh(api: FakeKubernetes) -> Iterator[ChaosMesh]:
    with ChaosMesh(api) as scripted:
        yield scripted


@pytest.fixture
def client(api: FakeKubernetes) -> Iterator[Any]:
    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
    settings.retries = False
    with kubernetes.client.ApiClient(settings) as connected:
        yield connected


@pytest.fixture
def chaos(client: Any) -> Any:
    return kubernetes.client.CustomObjectsApi(client)


@pytest.fixture
def core(client: Any) -> Any:
    return kubernetes.client.CoreV1Api(client)


def network(action: str = "partition", pod: str = "server-0", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "/".join(CHAOS),
        "kind": "NetworkChaos",
        "metadata": {"name": f"{action}-{pod}"},
        "spec": {"action": action, "mode": "all", "selector": {"pods": {NAMESPACE: [pod]}}, **spec},
    }


def phases(api: FakeKubernetes, plural: str = "networkchaos") -> list[str]:
    return [
        record["phase"]
        for item in api.store.find(plural)
        for record in item.get("status", {}).get("experiment", {}).get("containerRecords") or ()
    ]


def test_an_object_is_created_once_listed_by_label_and_patched_by_merging(
    api: FakeKubernetes, core: Any
) -> None:
    assert [
        pod.metadata.name for pod in core.list_namespaced_pod(NAMESPACE, label_selector="app=client").items
    ] == ["client"]
    body = {"metadata": {"annotations": {"a": "1"}}}
    core.patch_namespaced_pod("client", NAMESPACE, body)
    patched = core.read_namespaced_pod("client", NAMESPACE)
    assert patched.metadata.annotations == {"a": "1"}
    assert patched.metadata.labels == {"app": "client"}
    with pytest.raises(ApiException) as stale:
        core.patch_namespaced_pod("client", NAMESPACE, {"metadata": {"resourceVersion": "1"}})
    assert stale.value.status == 409


def test_a_watch_tells_what_changed_since_the_list_and_an_old_one_ends_with_410(
    api: FakeKubernetes, core: Any
) -> None:
    since = core.list_namespaced_pod(NAMESPACE).metadata.resource_version
    core.delete_namespaced_pod("server-0", NAMESPACE)
    seen = []
    stream = Watch().stream(core.list_namespaced_pod, NAMESPACE, resource_version=since, timeout_seconds=5)
    for frame in stream:
        seen.append((frame["type"], frame["object"].metadata.name))
        break
    assert seen == [("DELETED", "server-0")]
    api.add_pod("server-2")
    api.store.forget()
    with pytest.raises(ApiException) as old:
        list(Watch().stream(core.list_namespaced_pod, NAMESPACE, resource_version=since, timeout_seconds=5))
    assert old.value.status == 410


# The client's own watch lets go of a connection that was reset without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_watch_is_cut_and_a_silent_server_lets_a_client_run_into_its_timeout(
    api: FakeKubernetes, core: Any
) -> None:
    ended = threading.Event()

    def watch() -> None:
        try:
            list(Watch().stream(core.list_namespaced_pod, NAMESPACE, timeout_seconds=60))
        except Exception:  # whatever a reset is to this client
            ended.set()

    threading.Thread(target=watch, daemon=True).start()
    wait_until(lambda: api.watches == 1, within_s=20)
    api.cut()
    assert ended.wait(20)
    api.silence()
    with pytest.raises(Exception, match=r"[Tt]imed out|[Tt]imeout"):
        core.list_namespaced_pod(NAMESPACE, _request_timeout=(1, 0.2))


@pytest.mark.parametrize("status", [401, 403, 409, 410, 429, 500])
def test_a_failure_is_answered_as_often_as_the_test_says(api: FakeKubernetes, core: Any, status: int) -> None:
    api.failures.append(Failure(status, method="GET", path="/pods", retry_after_s=7))
    with pytest.raises(ApiException) as failed:
        core.list_namespaced_pod(NAMESPACE)
    assert failed.value.status == status
    assert failed.value.headers is not None
    assert failed.value.headers["retry-after"] == "7"
    assert len(core.list_namespaced_pod(NAMESPACE).items) == 3


def test_a_verb_that_was_not_granted_is_forbidden(api: FakeKubernetes, core: Any) -> None:
    api.rights = {("list", "pods")}
    core.list_namespaced_pod(NAMESPACE)
    with pytest.raises(ApiException, match="cannot delete resource") as forbidden:
        core.delete_namespaced_pod("client", NAMESPACE)
    assert forbidden.value.status == 403


def test_a_partition_goes_in_record_by_record_and_its_object_goes_when_it_is_out(
    api: FakeKubernetes, mesh: ChaosMesh, chaos: Any
) -> None:
    target = {"mode": "all", "selector": {"labelSelectors": {"app": "client"}}}
    chaos.create_namespaced_custom_object(*ONE, "networkchaos", network(target=target))
    wait_until(lambda: phases(api) == ["Injected", "Injected"], within_s=20)
    assert {pod for pod, _ in mesh.in_force} == {f"{NAMESPACE}/server-0", f"{NAMESPACE}/client"}
    chaos.delete_namespaced_custom_object(*ONE, "networkchaos", "partition-server-0")
    wait_until(lambda: not api.names("networkchaos"), within_s=20)
    assert mesh.in_force == set()
    assert api.names("podnetworkchaos") == ["client", "server-0"]


def test_a_delay_without_netem_never_gets_in_and_poisons_its_pod_when_its_finalizer_is_patched_off(
    api: FakeKubernetes, mesh: ChaosMesh, chaos: Any
) -> None:
    mesh.netem = False
    chaos.create_namespaced_custom_object(*ONE, "networkchaos", network("delay"))
    wait_until(lambda: phases(api) == ["Not Injected/Wait"], within_s=20)
    chaos.delete_namespaced_custom_object(*ONE, "networkchaos", "delay-server-0")
    off = {"metadata": {"finalizers": None}}
    chaos.patch_namespaced_custom_object(*ONE, "networkchaos", "delay-server-0", off)
    assert api.names("networkchaos") == []
    chaos.create_namespaced_custom_object(*ONE, "networkchaos", network("partition"))
    wait_until(lambda: phases(api) == ["Not Injected/Wait"], within_s=20)
    chaos.patch_namespaced_custom_object(*ONE, "podnetworkchaos", "server-0", {"spec": {"tcs": None}})
    wait_until(lambda: phases(api) == ["Injected"], within_s=20)


def test_without_a_daemon_nothing_is_recovered_and_without_a_controller_nothing_is_written(
    api: FakeKubernetes, mesh: ChaosMesh, chaos: Any
) -> None:
    chaos.create_namespaced_custom_object(*ONE, "networkchaos", network())
    wait_until(lambda: phases(api) == ["Injected"], within_s=20)
    mesh.daemon_up = False
    chaos.delete_namespaced_custom_object(*ONE, "networkchaos", "partition-server-0")
    wait_until(lambda: phases(api) == ["Injected/Wait"], within_s=20)
    mesh.controller_up = False
    wait_until(lambda: api.webhook_down, within_s=20)
    with pytest.raises(ApiException, match="failed calling webhook"):
        chaos.create_namespaced_custom_object(*ONE, "networkchaos", network(pod="server-1"))
    mesh.controller_up = mesh.daemon_up = True
    wait_until(lambda: not api.names("networkchaos"), within_s=20)


def test_a_killed_pod_is_gone_and_its_record_is_never_recovered(
    api: FakeKubernetes, mesh: ChaosMesh, chaos: Any
) -> None:
    kill = network("pod-kill") | {"kind": "PodChaos"}
    chaos.create_namespaced_custom_object(
        *ONE, "podchaos", kill | {"spec": kill["spec"] | {"duration": "1ms"}}
    )
    wait_until(lambda: phases(api, "podchaos") == ["Injected"], within_s=20)
    assert api.names("pods") == ["client", "server-1"]
    assert phases(api, "podchaos") == ["Injected"]


@pytest.mark.parametrize("name", ["partition", "pod-kill-30", "schedule", "controller-down", "workflow"])
def test_a_tape_is_played_to_whoever_creates_its_fault_under_a_name_of_their_own(
    tmp_path: Path, name: str
) -> None:
    tape = Tape(name)
    with FakeKubernetes(tmp_path) as api, tape.playing(api, speed=50):
        tape.begin(api)
        settings = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
        with kubernetes.client.ApiClient(settings) as connected:
            chaos = kubernetes.client.CustomObjectsApi(connected)
            body = tape.body
            body["metadata"] = {"name": "of-ours", "labels": {"ours": "yes"}}
            plural = Resource.of(body).plural
            chaos.create_namespaced_custom_object(*ONE, plural, body)
            wait_until(lambda: tape.waits_for == "delete", within_s=20)
            assert api.store.get(api.key(plural, "of-ours"))["metadata"]["labels"] == {"ours": "yes"}
            chaos.delete_namespaced_custom_object(*ONE, plural, "of-ours")
            wait_until(lambda: not api.names(plural), within_s=20)


def test_whom_nobody_matches_gets_a_warning_and_no_record(
    api: FakeKubernetes, mesh: ChaosMesh, chaos: Any
) -> None:
    chaos.create_namespaced_custom_object(*ONE, "networkchaos", network(pod="nobody"))
    wait_until(lambda: list(api.store.find("events")), within_s=20)
    (event,) = api.store.find("events")
    assert event["message"].endswith("no pod is selected")
    assert phases(api) == []
