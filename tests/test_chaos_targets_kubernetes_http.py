"""HTTPChaos on Kubernetes: handed to Chaos Mesh, proved by questions to the victim, undone with all that it left."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from chaos.errors import RefusedError
from chaos.faults.kinds import read_fault
from chaos.reading.documents import dump, read_document
from chaos.targets import Replica
from chaos.targets.kubernetes import target as target_module
from chaos.targets.kubernetes.fidelity import fidelity
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.kubernetes.target import KubernetesTarget
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts
from chaos.targets.kubernetes.undoing.patience import Patience
from chaos.targets.kubernetes.undoing.resorts import Undoing
from chaos.targets.options import Opening
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import CHAOS, NAMESPACE, Failure, FakeKubernetes, pod
from tests.support.kubernetes_store import Key, Resource

MANIFESTS = Path(__file__).parent.parent / "chaos" / "manifests"
LABELS = {"app": "reference-server"}
MODELS = json.dumps({"object": "list", "data": [{"id": "tiny"}]})
BROKEN = (502, "error trying to reach service: EOF")
Ruled = Callable[[str], tuple[int, str]]


def serves(path: str) -> tuple[int, str]:
    return 200, MODELS if "models" in path else "ok"


def late(path: str) -> tuple[int, str]:
    time.sleep(0.4)
    return serves(path)


def rule(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "/".join(CHAOS),
        "kind": "HTTPChaos",
        "metadata": {"name": "a-rule", "namespace": NAMESPACE},
        "spec": {
            "mode": "one",
            "selector": {"labelSelectors": LABELS},
            "port": 8000,
            "duration": "10s",
            **spec,
        },
    }


ABORT = rule(target="Request", path="/v1/*", abort=True)
OVERLOADED = rule(target="Response", path="/v1/models", replace={"code": 503})
POSTS = rule(target="Request", path="/v1/*", method="POST", abort=True)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    short = Patience(recovers_s=1.0, frees_s=20.0, cleans_s=20.0, replaces_s=20.0)
    monkeypatch.setattr(target_module, "Undoing", lambda objects, say: Undoing(objects, say, short))
    with FakeKubernetes(tmp_path) as fake:
        allowed = {"metadata": {"annotations": {"aftershock.dev/allowed": "true"}}}
        fake.store.patch(Key(Resource("", "v1", "namespaces"), "", NAMESPACE), allowed)
        for name in ("server-0", "server-1"):
            item = pod(name, labels=LABELS)
            item["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": 8000}}
            item["status"]["containerStatuses"][0]["state"] = {
                "running": {"startedAt": "2026-11-28T07:45:19Z"}
            }
            fake.add(item)
        yield fake


def served(api: FakeKubernetes, mesh: ChaosMesh, ruled: Ruled) -> None:
    """What pods answer: as the rule has it while it is in force on them."""

    def answer(name: str, path: str) -> tuple[int, str]:
        hit = any(victim == f"{NAMESPACE}/{name}" for victim, _ in mesh.in_force)
        return ruled(path) if hit and "/v1/" in path else serves(path)

    api.through = answer


@pytest.fixture
def mesh(api: FakeKubernetes) -> Iterator[ChaosMesh]:
    with ChaosMesh(api) as scripted:
        served(api, scripted, lambda _: BROKEN)
        yield scripted


@pytest.fixture
def entered(api: FakeKubernetes, mesh: ChaosMesh) -> Iterator[KubernetesTarget]:
    folder = api.folder / "run"
    (folder / "logs").mkdir(parents=True)
    settings = Settings(
        where=Whereabouts(NAMESPACE, None, str(api.kubeconfig)),
        selector=LABELS,
        replicas=2,
        url="http://127.0.0.1:9",
        inject_within_s=3.0,
        ready_within_s=20.0,
    )
    with KubernetesTarget(settings, Opening("a run", folder, seed=1)) as target:
        yield target


def hit(target: KubernetesTarget, api: FakeKubernetes, written: Any, *, injected: bool = True) -> Replica:
    path = api.folder / "rule.yaml"
    path.write_text(dump(written))
    fault = read_fault(read_document(path))
    victim = target.replicas()[0]
    target.aim("a-rule#1", fault.effects, [victim], fault.manifest)
    target.inject("a-rule#1", [victim] if injected else [])
    return victim


@pytest.mark.parametrize(
    ("written", "ruled"),
    [
        (ABORT, lambda _: BROKEN),
        (OVERLOADED, lambda path: (503, serves(path)[1])),
        (POSTS, lambda _: BROKEN),
    ],
    ids=["abort", "another status", "posts alone"],
)
def test_a_rule_is_handed_to_chaos_mesh_proved_by_a_question_and_over_when_that_is_answered_as_before(
    entered: KubernetesTarget, api: FakeKubernetes, mesh: ChaosMesh, written: Any, ruled: Ruled
) -> None:
    served(api, mesh, ruled)
    hit(entered, api, written)
    [made] = api.store.find("httpchaos")
    assert made["spec"]["selector"] == {"pods": {NAMESPACE: ["server-0"]}}
    assert made["spec"]["duration"] == "12s"
    assert made["spec"]["port"] == 8000
    [evidence] = entered.verify("a-rule#1", within_s=5)
    assert evidence.verified, evidence.how
    assert "before the fault it was answered 200" in evidence.how
    assert not entered.verify_recovered("a-rule#1", within_s=0)[0].verified
    entered.recover("a-rule#1")
    assert api.names("httpchaos") == []
    assert entered.verify_recovered("a-rule#1", within_s=5)[0].verified


def test_a_rule_that_is_aimed_and_injected_into_nobody_is_not_proved(
    entered: KubernetesTarget, api: FakeKubernetes
) -> None:
    hit(entered, api, ABORT, injected=False)
    assert not entered.verify("a-rule#1", within_s=0)[0].verified


def test_a_delay_is_told_by_an_answer_that_is_later_than_before(
    entered: KubernetesTarget, api: FakeKubernetes, mesh: ChaosMesh
) -> None:
    served(api, mesh, late)
    hit(entered, api, rule(target="Request", path="/v1/*", delay="400ms"))
    [evidence] = entered.verify("a-rule#1", within_s=5)
    assert evidence.verified, evidence.how
    entered.recover("a-rule#1")
    assert entered.verify_recovered("a-rule#1", within_s=5)[0].verified


def test_where_the_daemon_has_no_proxy_it_ends_at_the_deadline_and_nothing_of_it_stays_in_the_pod(
    entered: KubernetesTarget, api: FakeKubernetes, mesh: ChaosMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh.tproxy = False
    with pytest.raises(
        RefusedError, match=r"in force on 0 of 1 within 3 s; .*send http request: unexpected EOF"
    ):
        hit(entered, api, ABORT)
    assert api.names("httpchaos") == []
    [gathered] = api.store.find("podhttpchaos")
    assert not gathered["spec"].get("rules")
    mesh.tproxy = True
    hit(entered, api, ABORT)
    assert entered.verify("a-rule#1", within_s=5)[0].verified


def test_without_the_right_to_ask_by_post_nothing_is_proved_and_it_says_so(
    entered: KubernetesTarget, api: FakeKubernetes
) -> None:
    api.failures.append(
        Failure(403, method="POST", path="/proxy/", times=99, message="pods/proxy is forbidden")
    )
    hit(entered, api, POSTS)
    [evidence] = entered.verify("a-rule#1", within_s=0)
    assert not evidence.verified
    assert "nobody could ask it: 403" in evidence.how


def test_what_is_encrypted_is_refused_and_the_shipped_rules_are_not(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(dump(rule(target="Request", abort=True, tls={"secretName": "a"})))
    assert fidelity(read_fault(read_document(path))).level == "unsupported"
    for name in ("http-abort", "http-overloaded"):
        assert fidelity(read_fault(read_document(MANIFESTS / f"{name}.yaml"))).level == "exact"
