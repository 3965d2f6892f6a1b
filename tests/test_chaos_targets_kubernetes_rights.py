"""A run asks for what its rights say and for nothing else: every verb is used, and one that is missing is said."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("kubernetes")

from chaos.errors import AftershockError
from chaos.targets.effects import Effect, Link, Outage, ProcessorStress, Traffic
from chaos.targets.http.effects import HttpRule
from chaos.targets.kubernetes.rights import HOLDING, LOOKING, PROVING, RUNNER, UNDOING, Right, rules
from chaos.targets.kubernetes.settings import Settings, Workload
from chaos.targets.kubernetes.target import KubernetesTarget
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts
from chaos.targets.options import Opening
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import NAMESPACE, FakeKubernetes

OWNER = [
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "server", "uid": "of-it", "controller": True}
]
ALLOWED = {"aftershock.dev/allowed": "true"}
CUT = Traffic(cut=True)
FAULTS: dict[str, tuple[dict[str, object], Effect]] = {
    "NetworkChaos": ({"action": "partition", "direction": "both"}, Link(CUT, CUT)),
    "StressChaos": ({"stressors": {"cpu": {"workers": 1, "load": 5}}}, ProcessorStress(1, 0.05)),
    "PodChaos": ({"action": "pod-failure"}, Outage()),
    "HTTPChaos": ({"target": "Request", "port": 8000, "abort": True}, HttpRule("Request", 8000, abort=True)),
}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "logs").mkdir()
    with FakeKubernetes(tmp_path) as fake, ChaosMesh(fake):
        for name in ("server-0", "server-1"):
            fake.add_pod(name, ownerReferences=OWNER)
        fake.store.patch(fake.key("namespaces", NAMESPACE), {"metadata": {"annotations": ALLOWED}})
        for kind in ("Deployment", "StatefulSet"):
            body = {
                "apiVersion": "apps/v1",
                "kind": kind,
                "metadata": {"name": "server"},
                "spec": {"replicas": 2},
            }
            fake.add(body)
        ports = {"ports": [{"port": 8000, "targetPort": 8000}]}
        fake.add({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server"}, "spec": ports})
        yield fake


def run(api: FakeKubernetes, workload: str = "Deployment") -> None:
    """A whole run, with a fault of each kind, as far as Chaos Mesh is asked for it."""
    settings = Settings(
        where=Whereabouts(NAMESPACE, "fake", str(api.kubeconfig)),
        selector={"app": "reference-server"},
        workload=Workload(workload, "server"),
        service="server",
    )
    with KubernetesTarget(settings, Opening("rights", api.folder, seed=1)) as target:
        for kind, (spec, effect) in FAULTS.items():
            manifest = {
                "apiVersion": "chaos-mesh.org/v1alpha1",
                "kind": kind,
                "metadata": {"name": kind.lower()},
                "spec": {**spec, "duration": "60s"},
            }
            victims = target.replicas()[:1]
            target.aim(kind, [effect], victims, manifest)
            target.inject(kind, victims)
            target.recover(kind)


def granted(rights: Iterable[Right]) -> set[tuple[str, str]]:
    """As the fake API server asks for them."""
    return {(verb, f"{plural}.{group}" if group else plural) for group, plural, verb in rules(rights)}


def test_a_run_asks_for_nothing_that_its_rights_do_not_name_and_uses_them_all(api: FakeKubernetes) -> None:
    api.rights = granted(RUNNER)
    for workload in ("Deployment", "StatefulSet"):
        run(api, workload)
    asked = {(request.verb, request.resource) for request in api.requests}
    # Nodes are the cluster's: without a ClusterRole their labels are not known, and a run goes on without.
    assert asked - granted(RUNNER) == {("list", "nodes")}
    of_last_resorts = granted(UNDOING) - asked
    why_not = {("get", f"{plural}.chaos-mesh.org") for plural in ("podnetworkchaos", "podhttpchaos")}
    assert granted(RUNNER) - asked == of_last_resorts | granted(PROVING) - asked | why_not


NEEDED = [
    right
    for right in (*LOOKING, *HOLDING, *(each for each in RUNNER if each.verb == "create"))
    if right not in PROVING
    and right.resource not in ("podnetworkchaos", "podhttpchaos", "statefulsets")
    and right.verb not in ("watch", "patch")  # not known at once: a watch lists again, a lease is not renewed
]


@pytest.mark.parametrize("missing", NEEDED, ids=lambda right: f"{right.verb}-{right.resource}")
def test_a_run_without_one_of_its_rights_ends_and_says_which(api: FakeKubernetes, missing: Right) -> None:
    api.rights = granted(RUNNER) - granted([missing])
    with pytest.raises(AftershockError, match=rf"cannot {missing.verb} resource .?{missing.resource}"):
        run(api)
