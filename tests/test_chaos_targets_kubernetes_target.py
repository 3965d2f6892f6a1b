"""The Kubernetes target against a small API server with a scripted Chaos Mesh: from the guards to the last object."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from chaos.errors import AftershockError, CleanupError, InconclusiveError, InputError, RefusedError
from chaos.events import Event, EventKind
from chaos.faults import injection
from chaos.faults.blast_radius import BlastRadius
from chaos.faults.fault import Fault
from chaos.faults.injection import Injector, PlannedFault
from chaos.faults.kinds import read_fault
from chaos.faults.selection import candidates
from chaos.faults.timetable import Step
from chaos.reading.documents import dump, read_document
from chaos.run_folder import RunFolder
from chaos.targets import Replica
from chaos.targets.kubernetes import attachment as attachment_module
from chaos.targets.kubernetes import target as target_module
from chaos.targets.kubernetes.rehearsal import rehearse
from chaos.targets.kubernetes.rights import RUNNER
from chaos.targets.kubernetes.settings import Settings, Workload
from chaos.targets.kubernetes.sight import of as sight_of
from chaos.targets.kubernetes.target import KubernetesTarget
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts
from chaos.targets.kubernetes.undoing.patience import Patience
from chaos.targets.kubernetes.undoing.resorts import Undoing
from chaos.targets.kubernetes.watching import Watching
from chaos.targets.options import Opening, Rehearsed
from tests.conftest import Eventually
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import CHAOS, NAMESPACE, Failure, FakeKubernetes, pod
from tests.support.kubernetes_store import Key, Resource

LABELS = {"app": "reference-server"}
NAMESPACE_KEY = Key(Resource("", "v1", "namespaces"), "", NAMESPACE)
UNREACHABLE = "error trying to reach service: dial tcp 10.244.0.9:8000: i/o timeout"
OBJECTS = ("podchaos", "networkchaos", "stresschaos")


def a_pod(name: str) -> dict[str, Any]:
    item = pod(name, labels=LABELS)
    item["spec"]["containers"][0]["livenessProbe"] = {"httpGet": {"path": "/healthz", "port": 8000}}
    item["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": "2026-11-28T07:45:19Z"}}
    return item


def manifest(kind: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "/".join(CHAOS),
        "kind": kind,
        "metadata": {"name": "a-fault", "namespace": NAMESPACE},
        "spec": {"mode": "one", "selector": {"labelSelectors": LABELS}, **spec},
    }


KILL = manifest("PodChaos", action="pod-kill")
CUT = manifest("NetworkChaos", action="partition", direction="both", duration="10s")
FAILURE = manifest("PodChaos", action="pod-failure", duration="60s")
NAMED_4 = {"metadata.name": "server-4"}
DELAY = manifest("NetworkChaos", action="delay", delay={"latency": "200ms"}, duration="10s")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with FakeKubernetes(tmp_path) as fake:
        allow(fake)
        for number in range(4):
            fake.add(a_pod(f"server-{number}"))
        fake.add_pod("somebody-else", labels={"app": "other"})
        fake.add(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "server"},
                "spec": {"replicas": 4},
            }
        )
        fake.add({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "knode"}})
        yield fake


@pytest.fixture
def mesh(api: FakeKubernetes) -> Iterator[ChaosMesh]:
    with ChaosMesh(api) as scripted:

        def answer(name: str, _path: str) -> tuple[int, str]:
            cut = any(victim == f"{NAMESPACE}/{name}" for victim, _ in scripted.in_force)
            return (503, UNREACHABLE) if cut else (200, "ok")

        api.through = answer
        yield scripted


def allow(api: FakeKubernetes, value: str | None = "true") -> None:
    api.store.patch(NAMESPACE_KEY, {"metadata": {"annotations": {"aftershock.dev/allowed": value}}})


def settings(api: FakeKubernetes, **given: Any) -> Settings:
    where = Whereabouts(NAMESPACE, None, str(api.kubeconfig))
    return Settings(
        **{
            "where": where,
            "selector": LABELS,
            "workload": Workload("Deployment", "server"),
            "url": "http://127.0.0.1:9",
            "inject_within_s": 20.0,
            "ready_within_s": 20.0,
            **given,
        }
    )


def target(api: FakeKubernetes, **given: Any) -> KubernetesTarget:
    folder = api.folder / "run"
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    return KubernetesTarget(settings(api, **given), Opening("a run", folder, seed=1))


def fault_of(api: FakeKubernetes, written: Mapping[str, Any]) -> Fault:
    path = api.folder / "fault.yaml"
    path.write_text(dump(written))
    return read_fault(read_document(path))


def hit(on: KubernetesTarget, fault: Fault, *names: str, injected: bool = True) -> tuple[Replica, ...]:
    """Aim a fault at these, and inject it; who they are."""
    assert fault.selection is not None
    found = candidates(fault.selection.selector, on.replicas(), on.nodes())
    victims = tuple(one for one in found if one.name in names)
    on.aim("a-fault#1", fault.effects, victims, fault.manifest)
    on.inject("a-fault#1", victims if injected else ())
    return victims


def fail(api: FakeKubernetes, key: Key) -> None:
    """What a kubelet says once the container has ended and another image is what is to run."""
    status = {"name": "server", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    unready = [{"type": "Ready", "status": "False"}]
    api.store.patch(key, {"status": {"conditions": unready, "containerStatuses": [status]}})


def left(api: FakeKubernetes) -> list[str]:
    return [name for plural in OBJECTS for name in api.names(plural)]


def test_its_replicas_are_those_of_the_selector_and_it_wants_what_their_workload_does(
    api: FakeKubernetes, mesh: ChaosMesh
) -> None:
    with target(api) as entered:
        assert [one.name for one in entered.replicas()] == [f"server-{number}" for number in range(4)]
        assert all(one.ready and one.namespace == NAMESPACE for one in entered.replicas())
        assert entered.wanted_replicas == 4
        assert [node.name for node in entered.nodes()] == ["knode"]


def test_looking_at_replicas_asks_nobody(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    with target(api) as entered:
        before = [each for each in api.requests if each.resource == "pods" and each.verb != "watch"]
        for _ in range(50):
            entered.replicas()
        after = [each for each in api.requests if each.resource == "pods" and each.verb != "watch"]
    assert len(after) == len(before)


def test_a_kill_is_proved_by_the_uid_and_leaves_no_object(
    api: FakeKubernetes, mesh: ChaosMesh, eventually: Eventually
) -> None:
    with target(api) as entered:
        [victim] = hit(entered, fault_of(api, KILL), "server-1")
        [evidence] = entered.verify("a-fault#1", within_s=20)
        assert (evidence.replica, evidence.verified) == ("server-1", True)
        assert victim.uid in evidence.how
        eventually(lambda: len(entered.replicas()) == 3, within_s=20)
        kinds = [(event.kind, event.detail.get("reason")) for event in entered.events()]
        assert (EventKind.REPLICA_KILLED, "a-fault#1") in kinds
    assert left(api) == []


def test_what_is_created_names_its_victims_its_run_and_its_end(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    with target(api) as entered:
        hit(entered, fault_of(api, CUT), "server-2")
        [found] = api.store.find("networkchaos")
        assert found["spec"] == {
            "action": "partition",
            "direction": "both",
            "mode": "all",
            "selector": {"pods": {NAMESPACE: ["server-2"]}},
            "duration": "12s",
        }
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "aftershock"
        assert labels["aftershock.dev/run"] == entered.marks["AFTERSHOCK_RUN_ID"]
        assert found["metadata"]["annotations"]["aftershock.dev/occurrence"] == "a-fault#1"


def test_a_partition_is_proved_by_silence_and_its_end_by_an_answer(
    api: FakeKubernetes, mesh: ChaosMesh
) -> None:
    with target(api) as entered:
        hit(entered, fault_of(api, CUT), "server-2", "server-3")
        assert [one.verified for one in entered.verify("a-fault#1", within_s=20)] == [True, True]
        entered.recover("a-fault#1")
        assert left(api) == []
        assert [one.verified for one in entered.verify_recovered("a-fault#1", within_s=20)] == [True, True]
        entered.recover("a-fault#1")  # harmless a second time


def test_a_control_is_proved_of_nobody(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    with target(api) as entered:
        for written in (KILL, CUT):
            hit(entered, fault_of(api, written), "server-0", injected=False)
            [evidence] = entered.verify("a-fault#1", within_s=0.2)
            assert not evidence.verified
        assert left(api) == []


def test_a_failure_is_looked_for_until_the_grace_of_its_pod_is_over(
    api: FakeKubernetes, mesh: ChaosMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injection, "_PROOF_WITHIN_S", 0.2)
    patient = a_pod("server-4")
    patient["spec"]["terminationGracePeriodSeconds"] = 20
    api.add(patient)
    fault = fault_of(api, FAILURE | {"spec": FAILURE["spec"] | {"selector": {"fieldSelectors": NAMED_4}}})
    with target(api) as entered:
        folder = RunFolder(api.folder / "run")
        with Injector(entered, [PlannedFault(fault, BlastRadius(1))], 1, folder) as injector:
            injector.apply(Step(0.0, "inject", 0, "a-fault#1", 0))
            key = api.key("pods", "server-4")
            own = api.store.get(key)["spec"]["containers"]
            api.store.patch(key, {"spec": {"containers": [{**own[0], "image": "pause"}]}})
            over = {"spec": {"containers": own}}
            api.on_request = lambda asked: asked.verb == "delete" and api.store.patch(key, over)
            asked_to_end_s = time.monotonic()
            threading.Timer(
                1.0, fail, (api, key)
            ).start()  # it ends when it has drained, not when it is asked to
        assert time.monotonic() - asked_to_end_s > 1.0
    assert [event.kind for event in injector.events if "verified" in event.kind] == [
        "fault_verified",
        "end_verified",
    ]


def test_a_pod_that_says_nothing_of_its_grace_has_thirty_seconds(
    api: FakeKubernetes, mesh: ChaosMesh
) -> None:
    with target(api) as entered:
        assert {one.grace_s for one in entered.replicas()} == {30.0}


def test_a_watch_that_is_lost_is_an_event_and_what_was_injected_is_undone_and_not_proved(
    api: FakeKubernetes, mesh: ChaosMesh, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(attachment_module, "Watching", partial(Watching, lost_after_s=1.0))
    entered = target(api).__enter__()
    hit(entered, fault_of(api, CUT), "server-2")
    away = Failure(503, method="GET", path=r"pods\?", times=math.inf, message="watches are away")
    api.failures.append(away)
    api.cut()

    def told() -> dict[str, Event]:
        return {event.kind: event for event in entered.events() if event.kind.startswith("watch")}

    eventually(lambda: "watch_lost" in told(), within_s=30)
    assert told()["watch_lost"].detail["watched"] == "pods in inference"
    assert len(entered.replicas()) == 4, "as last heard"
    [evidence] = entered.verify("a-fault#1", within_s=0.1)
    assert not evidence.verified
    assert "their watch is lost" in evidence.how
    with pytest.raises(InconclusiveError, match="their watch is lost"):
        hit(entered, fault_of(api, KILL), "server-1")
    entered.recover("a-fault#1")
    assert entered.verify_recovered("a-fault#1", within_s=0.1) == ()
    assert left(api) == []
    api.failures.clear()
    eventually(lambda: "watch_back" in told(), within_s=30)
    assert "watches are away" in told()["watch_lost"].detail["why"]
    entered.__exit__(None, None, None)
    assert "the watch of pods in inference is lost" in (api.folder / "run/logs/kubernetes.log").read_text()


def test_what_this_kernel_cannot_do_ends_at_the_deadline_with_the_reason_and_the_next_fault_works(
    api: FakeKubernetes, mesh: ChaosMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Patience(recovers_s=1.0, frees_s=20.0, cleans_s=20.0, replaces_s=20.0)
    monkeypatch.setattr(target_module, "Undoing", lambda objects, say: Undoing(objects, say, short))
    mesh.netem = False
    with target(api, inject_within_s=1.0) as entered:
        with pytest.raises(RefusedError, match="unable to set tcs") as refused:
            hit(entered, fault_of(api, DELAY), "server-2")
        assert "is undone" in str(refused.value)
        assert left(api) == []
        assert entered.verify_recovered("a-fault#1", within_s=1) == ()
        hit(entered, fault_of(api, CUT), "server-2")
        assert entered.verify("a-fault#1", within_s=20)[0].verified


def test_a_victim_that_is_gone_is_not_hit_under_another_incarnation(
    api: FakeKubernetes, mesh: ChaosMesh, eventually: Eventually
) -> None:
    with target(api) as entered:
        fault = fault_of(api, KILL)
        victims = tuple(one for one in entered.replicas() if one.name == "server-1")
        entered.aim("a-fault#1", fault.effects, victims, fault.manifest)
        api.store.delete(api.key("pods", "server-1"))
        api.add(a_pod("server-1"))
        eventually(lambda: entered.replicas()[1].uid != victims[0].uid, within_s=20)
        with pytest.raises(RefusedError, match="gone before anything was injected: server-1"):
            entered.inject("a-fault#1", victims)
        assert not any(
            each.verb == "create" and each.resource.startswith("podchaos") for each in api.requests
        )


def test_a_fault_that_nobody_recovers_is_named_and_stays_on_record(
    api: FakeKubernetes, mesh: ChaosMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Patience(recovers_s=0.3, frees_s=0.3, cleans_s=0.3, replaces_s=0.3)
    monkeypatch.setattr(target_module, "Undoing", lambda objects, say: Undoing(objects, say, short))
    entered = target(api).__enter__()
    hit(entered, fault_of(api, CUT), "server-2")
    mesh.controller_up = False
    with pytest.raises(CleanupError, match="controller is away"):
        entered.__exit__(None, None, None)
    assert [*(api.folder / "state/aftershock/kubernetes").glob("*.json")]


@pytest.mark.parametrize(
    ("status", "message"), [(429, "busy"), (500, "failed calling webhook"), (503, "away")]
)
def test_creating_is_tried_again_while_the_server_or_a_webhook_is_away(
    api: FakeKubernetes, mesh: ChaosMesh, status: int, message: str
) -> None:
    api.failures.append(Failure(status, method="POST", path="podchaos", times=2, message=message))
    with target(api) as entered:
        hit(entered, fault_of(api, KILL), "server-1")
        assert entered.verify("a-fault#1", within_s=20)[0].verified


def test_an_object_whose_answer_was_lost_is_created_once(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    api.failures.append(Failure(504, method="POST", path="networkchaos", too_late=True))
    with target(api) as entered:
        hit(entered, fault_of(api, CUT), "server-1")
        assert len(api.names("networkchaos")) == 1
    assert left(api) == []


def test_a_controller_that_stays_away_is_one_line_and_nothing_is_left(
    api: FakeKubernetes, mesh: ChaosMesh
) -> None:
    with target(api, inject_within_s=1.0) as entered:
        mesh.controller_up = False
        with pytest.raises(
            RefusedError, match=r"controller is away: 500: .*failed calling webhook"
        ) as refused:
            hit(entered, fault_of(api, CUT), "server-1")
        assert "\n" not in str(refused.value)
    assert left(api) == []


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        (lambda api: allow(api, None), RefusedError, "not annotated aftershock.dev/allowed"),
        (lambda api: allow(api, "yes"), RefusedError, "not annotated aftershock.dev/allowed"),
        (lambda api: setattr(api, "groups", ()), RefusedError, "Chaos Mesh is not installed"),
        (lambda api: setattr(api, "rights", set()), RefusedError, "may not get namespaces in inference"),
        (
            lambda api: api.failures.append(Failure(401, path="namespaces/inference$", times=math.inf)),
            RefusedError,
            "does not know this account",
        ),
        (
            lambda api: api.store.delete(api.key("deployments", "server")),
            InconclusiveError,
            "no Deployment server",
        ),
        (lambda api: api.store.delete(api.key("pods", "server-3")), RefusedError, "3 of 4 replicas"),
    ],
)
def test_a_guard_refuses_before_anything_is_touched(
    api: FakeKubernetes,
    how: Callable[[FakeKubernetes], object],
    error: type[AftershockError],
    says: str,
) -> None:
    how(api)
    with pytest.raises(error, match=says):
        target(api, ready_within_s=0.5).__enter__()
    assert {each.verb for each in api.requests if "chaos-mesh" in each.path} <= {"get", "list"}
    assert [*(api.folder / "state/aftershock/kubernetes").glob("*.json")] == []


def test_the_hint_is_the_command_that_allows_it(api: FakeKubernetes) -> None:
    allow(api, None)
    with pytest.raises(RefusedError) as refused:
        target(api).__enter__()
    assert str(refused.value.hint).endswith("annotate namespace inference aftershock.dev/allowed=true")


@pytest.mark.parametrize("name", ["kube-system", "chaos-mesh"])
def test_a_protected_namespace_is_refused_whatever_is_written_on_it(api: FakeKubernetes, name: str) -> None:
    where = Whereabouts(name, None, str(api.kubeconfig))
    with pytest.raises(RefusedError, match="is protected"):
        target(api, where=where).__enter__()
    assert api.requests == []


def test_one_run_at_a_time(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    with target(api), pytest.raises(RefusedError, match="holds namespace inference"):
        target(api).__enter__()


def test_no_request_is_ever_a_put(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    with target(api) as entered:
        hit(entered, fault_of(api, CUT), "server-2")
        entered.verify("a-fault#1", within_s=20)
        entered.recover("a-fault#1")
    assert {each.method for each in api.requests} <= {"GET", "POST", "PATCH", "DELETE"}


def test_a_dry_run_has_every_object_checked_and_creates_none(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    asked = settings(api)
    client = asked.connect()
    victims = tuple(one for one in sight_of(client, asked).replicas if one.name == "server-1")
    [line] = rehearse(client, asked, [Rehearsed("a-fault#1", fault_of(api, CUT).manifest, victims)])
    assert line.startswith("a-fault#1: the API server would take NetworkChaos inference/a-fault-")
    [posted] = [each for each in api.requests if each.method == "POST"]
    assert posted.query == {"fieldValidation": "Strict", "dryRun": "All"}
    assert left(api) == []
    api.failures.append(Failure(422, method="POST", message="spec.nonsense: unknown"))
    with pytest.raises(InputError, match=r"would not take it: 422: spec\.nonsense"):
        [*rehearse(client, asked, [Rehearsed("a-fault#1", fault_of(api, CUT).manifest, victims)])]
    client.close()


def test_the_rights_of_a_run_are_enough_for_it(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    api.rights = {(right.verb, ".".join(filter(None, (right.resource, right.group)))) for right in RUNNER}
    with target(api) as entered:
        for written in (CUT, KILL):
            hit(entered, fault_of(api, written), "server-2")
            assert entered.verify("a-fault#1", within_s=20)[0].verified
            entered.recover("a-fault#1")
    assert left(api) == []


def test_when_an_image_is_there_is_heard_from_the_kubelet(
    api: FakeKubernetes, mesh: ChaosMesh, eventually: Eventually
) -> None:
    with target(api) as entered:
        waiting = a_pod("server-4")
        waiting["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
        new = api.add(waiting)
        eventually(lambda: len(entered.replicas()) == 5, within_s=20)
        about = {"kind": "Pod", "name": "server-4", "uid": new["metadata"]["uid"]}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "pulled"}, "involvedObject": about}
        api.add({**event, "reason": "Pulled"})

        def pulled() -> list[str]:
            return [str(each.replica) for each in entered.events() if each.kind == EventKind.REPLICA_PULLED]

        eventually(lambda: pulled() == ["server-4"], within_s=20)


def test_nodes_that_may_not_be_listed_are_those_that_replicas_are_on(
    api: FakeKubernetes, mesh: ChaosMesh
) -> None:
    api.failures.append(Failure(403, path="/api/v1/nodes", times=math.inf))
    with target(api) as entered:
        assert [(node.name, node.labels) for node in entered.nodes()] == [("knode", {})]


def test_a_replica_that_is_named_by_number_needs_no_workload(api: FakeKubernetes, mesh: ChaosMesh) -> None:
    with target(api, workload=None, replicas=3) as entered:
        assert entered.wanted_replicas == 3
    assert replace(settings(api), replicas=3).labels == "app=reference-server"
