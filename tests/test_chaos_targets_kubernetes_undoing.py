"""Whatever becomes of daemon, controller and API server: a fault is undone, or what is left of it is named in time."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.errors import CleanupError
from chaos.faults.manifest import OWN
from chaos.targets.kubernetes import marks
from chaos.targets.kubernetes.objects import Item
from chaos.targets.kubernetes.undoing.patience import Patience
from chaos.targets.kubernetes.undoing.resorts import Undoing
from chaos.targets.kubernetes.undoing.traces import in_force, unapplied
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import NAMESPACE, FakeKubernetes
from tests.support.stored_objects import StoredObjects

OWNER = [
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "server", "uid": "of-it", "controller": True}
]
PATIENCE = Patience()


@pytest.fixture
def cluster(tmp_path: Path) -> StoredObjects:
    return made_cluster(tmp_path)


def made_cluster(folder: Path) -> StoredObjects:
    api = FakeKubernetes(folder)
    stored = StoredObjects(api, ChaosMesh(api))
    for name in ("server-0", "server-1"):
        api.add_pod(name, ownerReferences=OWNER)
    api.add_pod("bare")
    stored.now_s += 5
    return stored


def inject(cluster: StoredObjects, kind: str = "NetworkChaos", pod: str = "server-0", **spec: Any) -> Item:
    """A fault on one pod, as a run creates it, as far as Chaos Mesh gets with it."""
    api = cluster.api
    action = {"NetworkChaos": "partition", "PodChaos": "pod-failure", "StressChaos": None}[kind]
    item = api.add(
        {
            "apiVersion": "chaos-mesh.org/v1alpha1",
            "kind": kind,
            "metadata": {"name": f"{kind.lower()}-{pod}", "labels": marks.labels("run-1")},
            "spec": {"action": action, "mode": "all", "selector": {"pods": {NAMESPACE: [pod]}}} | spec,
        }
    )
    cluster.sleep(1)
    return api.store.get(api.key(kind.lower(), item["metadata"]["name"]))


def undo(cluster: StoredObjects, *items: Item, patience: Patience = PATIENCE) -> list[str]:
    acts: list[str] = []
    Undoing(cluster, acts.append, patience, cluster.clock).undo(items)
    return acts


def entries(cluster: StoredObjects) -> list[str]:
    """Whose entries are in any PodNetworkChaos."""
    networks = cluster.api.store.find("podnetworkchaos")
    return [entry["source"] for item in networks for part in item["spec"].values() for entry in part]


def test_our_labels_are_of_the_group_of_our_faults() -> None:
    assert OWN.split("/")[0] == marks.GROUP
    assert marks.run_of({"metadata": {"labels": marks.labels("one")}}) == "one"
    assert marks.run_of({"metadata": {"labels": {marks.RUN: "of somebody else"}}}) is None


@pytest.mark.parametrize("kind", ["NetworkChaos", "StressChaos", "PodChaos"])
def test_a_fault_is_out_when_its_object_is_gone_and_a_second_time_there_is_nothing_to_do(
    cluster: StoredObjects, kind: str
) -> None:
    item = inject(cluster, kind)
    assert cluster.mesh.in_force
    (only,) = undo(cluster, item)
    assert only == f"deleted {kind} {NAMESPACE}/{kind.lower()}-server-0"
    assert not cluster.mesh.in_force
    assert undo(cluster, item) == []


def test_a_daemon_that_comes_back_in_time_is_waited_for(cluster: StoredObjects) -> None:
    item = inject(cluster)
    cluster.mesh.daemon_up = False
    cluster.at[cluster.now_s + 20] = lambda: setattr(cluster.mesh, "daemon_up", True)
    acts = undo(cluster, item)
    assert acts == [
        f"deleted NetworkChaos {NAMESPACE}/networkchaos-server-0",
        f"NetworkChaos {NAMESPACE}/networkchaos-server-0 is not recovered yet: cannot find daemonIP on node knode",
    ]
    assert not cluster.mesh.in_force


def test_a_daemon_that_stays_away_costs_the_victim_and_every_resort_is_said_in_order(
    cluster: StoredObjects,
) -> None:
    item = inject(cluster)
    cluster.mesh.daemon_up = False
    acts = undo(cluster, item)
    beginnings = [act.split(" Net")[0].split(" Pod")[0].split(" still")[0] for act in acts]
    assert beginnings[0] == "deleted"
    assert "cannot find daemonIP" in acts[1]
    assert acts[2].startswith("patched the finalizers off")
    assert acts[2].endswith(f"may still be in force in {NAMESPACE}/server-0")
    # Chaos Mesh itself has taken the entries out of the PodNetworkChaos, and there is no daemon to apply that.
    assert acts[3].startswith(f"deleted pod {NAMESPACE}/server-0")
    assert len(acts) == 4
    assert not cluster.mesh.in_force
    assert cluster.api.names("pods") == ["bare", "server-1"]


def test_a_delay_that_never_got_in_leaves_no_poison_for_the_next_fault_on_its_pod(
    cluster: StoredObjects,
) -> None:
    cluster.mesh.netem = False
    item = inject(cluster, action="delay")
    acts = undo(cluster, item)
    assert [act.split(" ")[0] for act in acts] == ["deleted", "NetworkChaos", "patched", "took"]
    assert entries(cluster) == []
    assert cluster.api.names("pods") == ["bare", "server-0", "server-1"]
    after = inject(cluster, action="partition")
    assert after["status"]["experiment"]["containerRecords"][0]["phase"] == "Injected"


def test_what_others_left_in_a_pods_network_stays(cluster: StoredObjects) -> None:
    other = inject(cluster, action="bandwidth")
    cluster.api.store.patch(
        cluster.api.key("networkchaos", "networkchaos-server-0"), {"metadata": {"finalizers": None}}
    )
    ours = {**other, "metadata": {**other["metadata"], "name": "ours", "uid": "gone"}}
    assert undo(cluster, ours) == []
    assert entries(cluster) == [f"{NAMESPACE}/networkchaos-server-0"]
    undo(cluster, other)
    assert entries(cluster) == []


def test_a_pods_network_that_somebody_deletes_takes_no_rule_out_of_the_pod(cluster: StoredObjects) -> None:
    item = inject(cluster)
    cluster.mesh.daemon_up = False
    key = cluster.api.key("podnetworkchaos", "server-0")
    cluster.at[cluster.now_s + PATIENCE.recovers_s + 5] = lambda: cluster.api.store.delete(key)
    acts = undo(cluster, item)
    assert acts[-1].startswith(f"deleted pod {NAMESPACE}/server-0")
    assert not cluster.mesh.in_force


def test_a_stress_whose_object_was_freed_by_force_costs_the_victim(cluster: StoredObjects) -> None:
    item = inject(cluster, "StressChaos")
    cluster.mesh.daemon_up = False
    acts = undo(cluster, item)
    assert acts[-1].startswith(f"deleted pod {NAMESPACE}/server-0, still hit by StressChaos")
    assert not cluster.mesh.in_force


def test_a_victim_that_nobody_would_start_again_is_left_and_named(cluster: StoredObjects) -> None:
    item = inject(cluster, "StressChaos", pod="bare")
    cluster.mesh.daemon_up = False
    began_s = cluster.now_s
    with pytest.raises(CleanupError, match="nothing would start it again") as left:
        undo(cluster, item)
    assert left.value.hint == f"kubectl --context fake -n {NAMESPACE} delete pod bare"
    assert cluster.now_s - began_s < PATIENCE.recovers_s + 5
    assert "bare" in cluster.api.names("pods")


def test_a_finalizer_that_sticks_is_patched_off_and_recovered_pods_are_left_alone(
    cluster: StoredObjects,
) -> None:
    item = inject(cluster, "StressChaos")
    cluster.mesh.finalizer_sticks = True
    acts = undo(cluster, item)
    assert acts[-1].endswith("it was not recovered; nothing of it was in force")
    assert cluster.api.names("pods") == ["bare", "server-0", "server-1"]


def test_a_controller_that_comes_back_before_the_deadline_undoes_it(cluster: StoredObjects) -> None:
    item = inject(cluster)
    cluster.mesh.controller_up = False
    cluster.at[cluster.now_s + PATIENCE.recovers_s + 10] = lambda: setattr(
        cluster.mesh, "controller_up", True
    )
    cluster.sleep(1)
    acts = undo(cluster, item)
    assert len(acts) == 2
    assert "Chaos Mesh's controller is away" in acts[1]
    assert "trying for another" in acts[1]
    assert not cluster.mesh.in_force


def test_a_controller_that_stays_away_is_said_in_one_line_and_the_object_is_named_with_what_to_type(
    cluster: StoredObjects,
) -> None:
    item = inject(cluster)
    cluster.mesh.controller_up = False
    cluster.sleep(1)
    acts: list[str] = []
    began_s = cluster.now_s
    with pytest.raises(
        CleanupError, match="networkchaos-server-0 is still there: Chaos Mesh's contr"
    ) as left:
        Undoing(cluster, acts.append, PATIENCE, cluster.clock).undo([item])
    assert len(acts) == 2
    assert left.value.hint == (
        f"kubectl --context fake -n {NAMESPACE} delete networkchaos.chaos-mesh.org networkchaos-server-0 "
        f"--wait=false; kubectl --context fake -n {NAMESPACE} patch networkchaos.chaos-mesh.org "
        """networkchaos-server-0 --type=merge -p '{"metadata":{"finalizers":null}}'"""
    )
    assert PATIENCE.recovers_s < cluster.now_s - began_s <= PATIENCE.recovers_s + PATIENCE.frees_s + 1


def test_an_object_of_somebody_else_under_the_same_name_is_not_touched(cluster: StoredObjects) -> None:
    item = inject(cluster)
    undo(cluster, item)
    inject(cluster)
    assert undo(cluster, item) == []
    assert (
        undo(cluster, {**item, "metadata": {**item["metadata"], "uid": "", "labels": marks.labels("run-2")}})
        == []
    )
    assert cluster.api.names("networkchaos") == ["networkchaos-server-0"]


def test_what_was_to_be_created_is_undone_as_if_it_was_and_costs_the_pod_where_it_left_something(
    cluster: StoredObjects,
) -> None:
    item = inject(cluster)
    body = {
        **item,
        "metadata": {
            "name": item["metadata"]["name"],
            "namespace": NAMESPACE,
            "labels": marks.labels("run-1"),
        },
    }
    key = cluster.api.key("networkchaos", item["metadata"]["name"])
    cluster.api.store.patch(key, {"metadata": {"finalizers": None}})
    cluster.api.store.delete(key)
    cluster.mesh.daemon_up = False
    acts = undo(cluster, body)
    assert [act.split(" ")[0] for act in acts] == ["took", "deleted"]
    assert not cluster.mesh.in_force


def test_an_object_that_took_its_place_while_its_end_was_asked_for_is_spared(cluster: StoredObjects) -> None:
    item = inject(cluster)
    key = cluster.api.key("networkchaos", item["metadata"]["name"])
    swapped: list[str] = []

    def between(verb: str) -> None:
        if verb == "delete" and not swapped:
            cluster.api.store.patch(key, {"metadata": {"finalizers": None}})
            cluster.api.store.delete(key)
            swapped.append(
                cluster.api.store.create(key.resource, NAMESPACE, {**item, "metadata": NEW})["metadata"][
                    "uid"
                ]
            )

    cluster.mishap = between
    undo(cluster, item)
    assert cluster.api.store.get(key)["metadata"]["uid"] == swapped[0]


NEW = {"name": "networkchaos-server-0", "namespace": NAMESPACE, "labels": marks.labels("run-1")}


def test_an_api_server_that_is_silent_costs_the_time_of_the_resorts_and_no_more(
    cluster: StoredObjects,
) -> None:
    items = [inject(cluster, pod=pod) for pod in ("server-0", "server-1")]
    cluster.mishap = lambda _: 0
    began_s = cluster.now_s
    with pytest.raises(CleanupError, match=r"server-0 is still there.*server-1 is still there"):
        undo(cluster, *items, patience=replace(PATIENCE, call_s=7.0))
    assert cluster.now_s - began_s == pytest.approx(PATIENCE.recovers_s + PATIENCE.frees_s, abs=0.5)


def test_of_two_faults_on_one_pod_the_one_that_is_undone_leaves_the_entries_of_the_other(
    cluster: StoredObjects,
) -> None:
    first = inject(cluster, action="bandwidth")
    name = "networkchaos-second"
    second = cluster.api.add(
        {**first, "metadata": {"name": name, "labels": marks.labels("run-2")}, "status": {}}
    )
    cluster.sleep(1)
    assert sorted(entries(cluster)) == [
        f"{NAMESPACE}/networkchaos-second",
        f"{NAMESPACE}/networkchaos-server-0",
    ]
    cluster.api.store.patch(cluster.api.key("networkchaos", name), {"metadata": {"finalizers": None}})
    cluster.api.store.objects.pop(cluster.api.key("networkchaos", name))
    undo(cluster, second)
    assert entries(cluster) == [f"{NAMESPACE}/networkchaos-server-0"]


NETWORKS = [
    ({"spec": {"tcs": []}, "metadata": {"generation": 2}, "status": {"observedGeneration": 2}}, None),
    (
        {"spec": {}, "metadata": {"generation": 3}, "status": {"observedGeneration": 2}},
        "the daemon has not yet applied it",
    ),
    ({"spec": {}, "metadata": {"generation": 1}}, "the daemon has not yet applied it"),
    (
        {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "failedMessage": "no netem"}},
        "no netem",
    ),
]


@pytest.mark.parametrize(("network", "why"), NETWORKS)
def test_a_pods_network_is_as_its_object_says_once_the_daemon_has_seen_that_version(
    network: Item, why: str
) -> None:
    assert unapplied(network) == why


def item_of(action: str, *phases: str) -> Item:
    rows = [{"id": f"{NAMESPACE}/server-{at}/main", "phase": phase} for at, phase in enumerate(phases)]
    return {"spec": {"action": action}, "status": {"experiment": {"containerRecords": rows}}}


IN_FORCE = [
    (item_of("partition", "Injected", "Not Injected"), {"server-0"}),
    (item_of("partition", "Injected/Wait", "Not Injected/Wait"), {"server-0", "server-1"}),
    (item_of("pod-failure", "Injected"), {"server-0"}),
    (item_of("pod-kill", "Injected"), set()),
    (item_of("container-kill", "Injected"), set()),
    ({"spec": {}}, set()),
]


@pytest.mark.parametrize(("item", "pods"), IN_FORCE)
def test_whoever_is_in_or_half_in_may_still_be_hit_and_of_what_is_over_at_once_nobody(
    item: Item, pods: set[str]
) -> None:
    assert {name for _, name in in_force(item)} == pods


def test_a_younger_pod_of_the_same_name_is_not_the_victim(cluster: StoredObjects) -> None:
    item = inject(cluster, "StressChaos")
    cluster.mesh.daemon_up = False
    cluster.api.store.delete(cluster.api.key("pods", "server-0"))
    cluster.sleep(3)
    cluster.mesh.in_force.clear()
    cluster.api.add_pod("server-0", ownerReferences=OWNER)
    undo(cluster, item)
    assert "server-0" in cluster.api.names("pods")


def test_a_right_that_is_missing_is_said_once_and_may_be_granted_meanwhile(cluster: StoredObjects) -> None:
    item = inject(cluster)
    cluster.mishap = lambda verb: 403 if verb == "delete" and cluster.now_s < 20 else None
    acts = undo(cluster, item)
    assert ["mishap 403" in act for act in acts] == [True, False]
    assert not cluster.mesh.in_force


def test_what_nobody_could_look_at_is_not_called_clean(cluster: StoredObjects) -> None:
    item = inject(cluster)
    cluster.mishap = lambda verb: 500 if verb == "list" else None
    with pytest.raises(CleanupError, match="nobody could look into PodNetworkChaos in inference") as unknown:
        undo(cluster, item)
    assert "grep 'source: inference/networkchaos-server-0'" in str(unknown.value.hint)


MISHAPS = st.lists(st.sampled_from([None, None, 0, 401, 403, 409, 410, 429, 500, 503]), max_size=60)


@st.composite
def disasters(draw: st.DrawFn) -> list[tuple[float, str, bool]]:
    """When what of Chaos Mesh goes or comes back."""
    part = st.sampled_from(["daemon_up", "controller_up", "netem", "finalizer_sticks"])
    return draw(st.lists(st.tuples(st.floats(0, 90), part, st.booleans()), max_size=8))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mishaps=MISHAPS,
    changes=disasters(),
    faults=st.lists(
        st.tuples(
            st.sampled_from(["NetworkChaos", "StressChaos", "PodChaos"]),
            st.sampled_from(["server-0", "server-1", "bare"]),
        ),
        min_size=1,
        max_size=3,
        unique=True,
    ),
)
def test_whatever_happens_undoing_ends_in_time_with_everything_gone_or_what_is_left_by_name(
    tmp_path: Path,
    mishaps: list[int | None],
    changes: list[tuple[float, str, bool]],
    faults: list[tuple[str, str]],
) -> None:
    cluster = made_cluster(tmp_path)
    items = [inject(cluster, kind, pod) for kind, pod in faults]
    script = iter(mishaps)
    cluster.mishap = lambda _: next(script, None)
    began_s = cluster.now_s
    for after_s, part, value in changes:
        cluster.at[began_s + after_s] = partial(setattr, cluster.mesh, part, value)
    words = ""
    try:
        undo(cluster, *items)
    except CleanupError as error:
        words = f"{error}"
    assert cluster.now_s - began_s <= PATIENCE.whole_s + PATIENCE.call_s
    left = {*names_left(cluster)}
    assert all(name in words for name in left)
    if not words:
        assert not left
        assert not entries(cluster)
    elif not mishaps and not changes:
        assert left


def names_left(cluster: StoredObjects) -> Iterator[str]:
    """Of every object that is there, and of every pod in which something is in force without one."""
    for kind in ("networkchaos", "stresschaos", "podchaos"):
        yield from cluster.api.names(kind)
    for pod, source in cluster.mesh.in_force:
        if source.split("/")[1] not in {
            name for kind in ("networkchaos", "stresschaos", "podchaos") for name in cluster.api.names(kind)
        }:
            yield pod


def test_less_patience_is_a_shorter_wait(cluster: StoredObjects) -> None:
    item = inject(cluster)
    cluster.mesh.controller_up = False
    cluster.sleep(1)
    began_s = cluster.now_s
    with pytest.raises(CleanupError):
        undo(cluster, item, patience=replace(PATIENCE, recovers_s=2, frees_s=1))
    assert cluster.now_s - began_s < 4
