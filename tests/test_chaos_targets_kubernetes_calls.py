"""Calls of an API server end within their time, say what went wrong, and send what was meant."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("kubernetes")

from chaos.errors import InputError
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.objects import ApiError, chaos, leases, pods
from tests.support.fake_kubernetes import NAMESPACE, Failure, FakeKubernetes

PODS = pods(NAMESPACE)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path) as fake:
        fake.add_pod("server-0", labels={"app": "server"})
        fake.add_pod("client", labels={"app": "client"})
        yield fake


@pytest.fixture
def calls(api: FakeKubernetes) -> Iterator[Calls]:
    connected = Calls.connect("fake", api.kubeconfig)
    yield connected
    connected.close()


def test_objects_are_listed_by_label_made_patched_and_deleted(api: FakeKubernetes, calls: Calls) -> None:
    (client,) = calls.list(PODS, labels="app=client", within_s=20)
    assert client["metadata"]["name"] == "client"
    body = {"metadata": {"name": "aftershock"}, "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15}}
    made = calls.create(leases(NAMESPACE), body, within_s=20)
    patched = calls.patch(leases(NAMESPACE) / "aftershock", {"spec": {"holderIdentity": None}}, within_s=20)
    assert patched is not None
    assert patched["spec"] == {"leaseDurationSeconds": 15}
    assert made["metadata"]["resourceVersion"] != patched["metadata"]["resourceVersion"]
    calls.delete(leases(NAMESPACE) / "aftershock", uid=made["metadata"]["uid"], within_s=20)
    assert calls.get(leases(NAMESPACE) / "aftershock", within_s=20) is None
    assert api.requests[1].query == {"fieldValidation": "Strict"}


def test_what_is_not_there_is_none_and_deleting_it_is_fine(calls: Calls) -> None:
    nowhere = chaos("podchaos", NAMESPACE) / "nobody"
    assert calls.get(nowhere, within_s=20) is None
    assert calls.patch(nowhere, {"metadata": {"finalizers": None}}, within_s=20) is None
    calls.delete(nowhere, within_s=20)


def test_another_object_under_the_same_name_is_not_deleted(api: FakeKubernetes, calls: Calls) -> None:
    with pytest.raises(ApiError) as refused:
        calls.delete(PODS / "client", uid="of-another", within_s=20)
    assert refused.value.status == 409
    assert api.names("pods") == ["client", "server-0"]


def test_an_answer_that_is_no_success_says_which_why_and_when_to_come_again(
    api: FakeKubernetes, calls: Calls
) -> None:
    api.failures.append(Failure(429, retry_after_s=7, message="too many requests"))
    with pytest.raises(ApiError, match="429: too many requests") as busy:
        calls.list(PODS, within_s=20)
    assert (busy.value.status, busy.value.retry_after_s) == (429, 7)
    assert len(api.requests) == 1
    api.webhook_down = True
    with pytest.raises(ApiError) as down:
        calls.create(chaos("podchaos", NAMESPACE), {"metadata": {"name": "kill"}}, within_s=20)
    assert down.value.webhook


def test_a_silent_server_costs_no_more_than_the_time_that_a_call_has(
    api: FakeKubernetes, calls: Calls
) -> None:
    api.silence()
    began_s = time.monotonic()
    with pytest.raises(ApiError, match="does not answer") as silent:
        calls.list(PODS, within_s=0.2)
    assert silent.value.status == 0
    assert time.monotonic() - began_s < 100


def test_nobody_at_the_address_is_an_error_in_words(api: FakeKubernetes, calls: Calls) -> None:
    assert api._server is not None
    api._server.shutdown()
    api._server.server_close()
    with pytest.raises(ApiError, match="refused"):
        calls.list(PODS, within_s=20)


def test_a_context_that_is_not_there_is_wrong_input(api: FakeKubernetes) -> None:
    with pytest.raises(InputError, match="nowhere"):
        Calls.connect("nowhere", api.kubeconfig)
    with pytest.raises(InputError, match="no such cluster"):
        Calls.connect(None, api.kubeconfig.with_name("absent"))


def test_outside_of_a_pod_there_is_no_account_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match="not in a pod"):
        Calls.in_cluster()


def test_a_person_is_told_what_asks_the_same_server(api: FakeKubernetes, calls: Calls) -> None:
    assert calls.kubectl == f"kubectl --kubeconfig {api.kubeconfig} --context fake"
