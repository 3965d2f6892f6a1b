"""A Workflow with StatusChecks on the Kubernetes target: a run whose course depends on how its Service answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from chaos.display.progress import QuietProgress
from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from chaos.record.journal import Journal
from chaos.run_folder import create
from chaos.runner import Run
from tests.support.chaos_mesh import ChaosMesh
from tests.support.checked_workflow import check, experiment, of
from tests.support.fake_kubernetes import NAMESPACE, FakeKubernetes, pod
from tests.support.kubernetes_store import Key, Resource
from tests.support.scripted_server import ScriptedServer

APP = {"app": "reference-server"}
MODELS = "http://reference-server.inference.svc.cluster.local:8000/v1/models"
SECTION: dict[str, Any] = {
    "namespace": NAMESPACE,
    "selector": APP,
    "replicas": 2,
    "service": "reference-server",
}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with FakeKubernetes(tmp_path) as fake, ChaosMesh(fake) as mesh:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig))
        allowed = {"metadata": {"annotations": {"aftershock.dev/allowed": "true"}}}
        fake.store.patch(Key(Resource("", "v1", "namespaces"), "", NAMESPACE), allowed)
        for number in range(2):
            item = pod(f"server-{number}", labels=APP)
            item["spec"]["containers"][0]["livenessProbe"] = {"httpGet": {"path": "/healthz", "port": 8000}}
            item["status"]["containerStatuses"][0]["state"] = {
                "running": {"startedAt": "2026-11-28T07:45:19Z"}
            }
            fake.add(item)

        def answer(name: str, _path: str) -> tuple[int, str]:
            cut = any(victim == f"{NAMESPACE}/{name}" for victim, _ in mesh.in_force)
            return (503, "error trying to reach service: dial tcp: i/o timeout") if cut else (200, "ok")

        fake.through = answer
        yield fake


def cut(name: str, deadline: str) -> dict[str, Any]:
    chaos = {"action": "partition", "direction": "both", "mode": "one", "selector": {"labelSelectors": APP}}
    return {"name": name, "templateType": "NetworkChaos", "deadline": deadline, "networkChaos": chaos}


def run(folder: Path, *templates: dict[str, Any]) -> Journal:
    """A run of some seconds, under real load and against a scripted Chaos Mesh."""
    with ScriptedServer() as server, (folder / "screen").open("w") as screen:
        section = {**SECTION, "url": server.url("ok")}
        path = experiment(folder, *templates, target={"kubernetes": section})
        out = create("small", folder / "run")
        out.experiment.write_text(path.read_text())
        (out.path / "drill.yaml").write_text((folder / "drill.yaml").read_text())
        return Run(read_experiment(out.experiment), out, QuietProgress(screen)).run()


@pytest.mark.slow
def test_a_check_that_names_the_service_is_asked_where_the_load_goes_and_what_follows_begins_once_it_is_over(
    tmp_path: Path, api: FakeKubernetes
) -> None:
    journal = run(
        tmp_path,
        of("Serial", "all", "one", "ready", "two"),
        cut("one", "1s"),
        check("ready", MODELS, successThreshold=2),
        cut("two", "1s"),
    )
    assert not journal.reasons
    (found,) = journal.status_checks
    assert (found.good, found.bad, found.saw, found.how) == (2, 0, "status 200", "2 good answers in a row")
    assert found.asks.startswith(f"GET {MODELS} ")
    one, two = journal.faults
    assert all(fault.verified and fault.undone for fault in (one, two))
    assert found.began_s + 1.9 <= two.started_s < found.began_s + 6.0, "long before its deadline"
    assert api.names("networkchaos") == []


def test_a_check_that_fails_takes_back_what_is_in_force_in_the_cluster_and_nothing_more_is_created(
    tmp_path: Path, api: FakeKubernetes
) -> None:
    elsewhere = {"http": {"url": MODELS, "criteria": {"statusCode": "503"}}}
    journal = run(
        tmp_path,
        of("Parallel", "all", "faults", "watchful"),
        of("Serial", "faults", "one", "two"),
        cut("one", "8s"),
        cut("two", "1s"),
        check("watchful", MODELS, "10s", mode="Continuous", aborts=True, **elsewhere),
    )
    (fault,) = journal.faults
    (found,) = journal.status_checks
    assert (found.aborted, found.how, found.withheld) == (True, "2 bad answers in a row", ("two#1",))
    assert (fault.verified, fault.undone) == (True, True)
    assert fault.ended_s is not None
    assert fault.ended_s - fault.started_s < 6.0, "at once, and not at its deadline"
    assert journal.verdict == "inconclusive"
    created = [
        each.body["metadata"]["name"]
        for each in api.requests
        if each.verb == "create" and "chaos" in each.resource
    ]
    assert len(created) == 1, json.dumps(created)
    assert api.names("networkchaos") == []


def test_a_check_of_something_else_in_the_cluster_is_refused_from_outside_and_not_from_within(
    tmp_path: Path,
) -> None:
    templates = (
        of("Serial", "all", "ready", "one"),
        check("ready", "http://gateway.edge/healthz"),
        cut("one", "1s"),
    )
    with pytest.raises(InputError) as refused:
        read_experiment(experiment(tmp_path, *templates, target={"kubernetes": SECTION}))
    assert "its StatusCheck ready asks http://gateway.edge/healthz" in str(refused.value)
    assert "http://reference-server.inference.svc/" in str(refused.value)
    inside = {"kubernetes": {**SECTION, "context": "in-cluster"}}
    assert read_experiment(experiment(tmp_path, *templates, target=inside)).checks
