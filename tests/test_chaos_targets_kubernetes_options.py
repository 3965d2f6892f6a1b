"""The section `target.kubernetes`: what goes with what, and what is known before any cluster is asked."""

from pathlib import Path
from typing import Any

import pytest

from chaos.errors import InputError
from chaos.faults.kinds import KINDS
from chaos.reading.documents import Document, dump, read_document
from chaos.reading.strict import build
from chaos.targets import Replica
from chaos.targets.kubernetes.manifests import chaos_object, run_name
from chaos.targets.kubernetes.options import KubernetesOptions
from tests.support.fake_kubernetes import NAMESPACE

SOUND: dict[str, Any] = {
    "namespace": "inference",
    "selector": {"app": "server"},
    "replicas": 4,
    "url": "http://server:8000",
}
VICTIM = Replica("server-1", NAMESPACE, "uid-1", {}, {}, "node", "Running", ready=True)


def document(folder: Path, values: dict[str, Any]) -> Document:
    path = folder / "section.yaml"
    path.write_text(dump(values))
    return read_document(path)


def options(folder: Path, **changed: Any) -> KubernetesOptions:
    values = {key: value for key, value in {**SOUND, **changed}.items() if value is not None}
    return build(document(folder, values), KubernetesOptions)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({}, None),
        ({"url": None, "service": "server"}, None),
        ({"replicas": None, "workload": {"name": "server"}}, None),
        ({"selector": {}}, "selector"),
        ({"namespace": "kube-system"}, "namespace"),
        ({"namespace": "chaos-mesh"}, "namespace"),
        ({"replicas": None}, "workload"),
        ({"workload": {"name": "server"}}, "workload"),
        ({"url": None}, "url"),
        ({"service": "server"}, None),
        ({"api_key_env": "NO_SUCH_VARIABLE_OF_A_TEST"}, "api_key_env"),
    ],
)
def test_what_does_not_go_together_is_named_by_its_key(
    tmp_path: Path, changed: dict[str, Any], key: str | None
) -> None:
    found = [problem.key_path[0] for problem in options(tmp_path, **changed).problems()]
    assert found == ([] if key is None else [key])


@pytest.mark.parametrize("changed", [{"namespace": "Not A Name"}, {"metrics_port": 0}, {"labels": {}}])
def test_what_is_not_understood_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        options(tmp_path, **changed)


def test_nothing_is_asked_before_there_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    section = options(tmp_path)
    planned = section.planned(1)
    assert (planned.namespace, planned.replicas) == ("inference", ())
    assert planned.unknown
    assert section.sees_replicas


def test_without_a_cluster_a_catalogue_leaves_it_out_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kubernetes")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    [why] = options(tmp_path).lacks()
    assert "kubeconfig" in why


def test_every_kind_of_chaos_mesh_says_how_close_it_comes() -> None:
    of_chaos_mesh = [kind for kind in KINDS if kind.api_version.startswith("chaos-mesh.org")]
    assert len(of_chaos_mesh) > 8
    assert [kind.label for kind in of_chaos_mesh if "kubernetes" not in kind.fidelities] == []


@pytest.mark.parametrize(
    ("written", "given"), [("10s", "12s"), ("1500ms", "4s"), (None, "3600s"), ("1h", "3602s")]
)
def test_a_fault_ends_by_itself_later_than_it_is_to(written: str | None, given: str) -> None:
    spec: dict[str, Any] = {
        "action": "partition",
        "mode": "fixed",
        "value": "2",
        "selector": {"labelSelectors": {"a": "b"}},
        "duration": written,
        "containerNames": [],
        "remoteCluster": "",
    }
    asked = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "NetworkChaos", "metadata": {"name": "Cut_it!"}}
    made = chaos_object(
        {**asked, "spec": spec},
        namespace=NAMESPACE,
        run_id="run-0123456789ab",
        occurrence="a#2",
        victims=[VICTIM],
    )
    assert made["spec"] == {
        "action": "partition",
        "mode": "all",
        "selector": {"pods": {NAMESPACE: ["server-1"]}},
        "duration": given,
    }
    assert made["metadata"]["name"] == "cut-it-01234567-2"


@pytest.mark.parametrize("experiment", ["pod-kill-30", "Ümläute und Leerzeichen", "x" * 200, "---"])
def test_a_run_has_a_name_that_a_label_can_have(experiment: str) -> None:
    name = run_name(experiment, "0123456789ab")
    assert len(name) <= 63
    assert name[0].isalnum()
    assert name.replace("-", "").isascii()


@pytest.mark.parametrize(
    ("changed", "url"),
    [
        ({}, "http://server/healthz"),
        ({}, "http://server.inference.svc.cluster.local:9/healthz"),
        ({"url": "http://server.other.svc:8000"}, "http://server.other.svc.cluster.local/"),
        ({"url": "http://10.96.0.9:8000", "service": "server"}, "http://server.inference.svc/"),
        ({"url": None, "service": "server"}, "http://server.inference:8000/v1/models?a=b"),
        ({"context": "in-cluster"}, "https://example.com/healthz"),
    ],
)
def test_a_status_check_may_ask_the_replicas_service_and_whatever_it_likes_from_within(
    tmp_path: Path, changed: dict[str, Any], url: str
) -> None:
    assert options(tmp_path, **changed).cannot_ask(url) is None


@pytest.mark.parametrize(
    ("changed", "url", "hint"),
    [
        ({}, "http://another/healthz", "as in http://server.inference.svc/, or `context: in-cluster`"),
        ({}, "http://server.other.svc/", "as in http://server.inference.svc/"),
        ({}, "https://server/", "as in http://server.inference.svc/"),
        ({}, "/healthz", "as in http://server.inference.svc/"),
        (
            {"url": "http://server.other.svc:8000"},
            "http://server/",
            "as in http://server.other.svc.cluster.local/",
        ),
        ({"url": "http://10.96.0.9:8000"}, "http://10.96.0.9:8000/", "`service` says whose names lead there"),
        ({"url": "http://localhost:8000"}, "http://localhost:8000/", "`service` says whose names lead there"),
        ({"url": "http://[::1]:8000"}, "http://server/", "`service` says whose names lead there"),
        (
            {"url": "https://llm.example.com"},
            "http://llm.example.com/",
            "`service` says whose names lead there",
        ),
    ],
)
def test_any_other_url_of_a_status_check_is_refused_from_outside_with_what_would_be_taken(
    tmp_path: Path, changed: dict[str, Any], url: str, hint: str
) -> None:
    assert hint in (options(tmp_path, **changed).cannot_ask(url) or "")
