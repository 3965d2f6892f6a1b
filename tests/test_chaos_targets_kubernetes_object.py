"""What the status of a chaos object says, and what it does not: on tapes of a live Chaos Mesh 2.8.3."""

from collections.abc import Iterator

import pytest

from chaos.targets.kubernetes.api import Frame
from chaos.targets.kubernetes.chaos_object import ChaosObject, Window
from chaos.targets.kubernetes.lifecycle import Lifecycle
from chaos.targets.kubernetes.pods import Pod, condition
from chaos.targets.kubernetes.undoing.traces import unapplied
from tests.support.kubernetes_tape import Tape


def frames(tape: Tape, *watches: str) -> Iterator[Frame]:
    """What these watches brought, in order, on the tape's own clock; 0 is when the object was created."""
    zero_s = call(tape, "POST")
    for row in tape.rows:
        if "frame" in row and row["watch"] in watches:
            yield Frame(row["at"] - zero_s, row["frame"]["type"], row["frame"]["object"])


def call(tape: Tape, method: str) -> float:
    """When it was answered."""
    return float(next(row["at"] for row in tape.rows if str(row.get("call")).startswith(method)))


def window(name: str) -> Window:
    seen = Window()
    for frame in frames(Tape(name), "object"):
        seen.take(frame)
    return seen


def objects(name: str) -> list[ChaosObject]:
    return [ChaosObject.of(frame.item) for frame in frames(Tape(name), "object") if frame.type != "DELETED"]


@pytest.mark.parametrize("name", ["pod-kill-30", "pod-kill-grace", "pod-kill-statefulset", "container-kill"])
def test_what_is_over_at_once_never_recovers_whatever_its_counters_say(name: str) -> None:
    seen = objects(name)
    assert any(one.injected for one in seen)
    last = seen[-1]
    assert not any(one.recovered for one in seen)
    if last.deleting:  # deleting sets the records back although nothing was revived
        assert {each.recovered_count for each in last.records} == {1}


@pytest.mark.parametrize("name", ["pod-failure", "partition", "bandwidth", "stress"])
def test_what_lasts_is_recovered_once_every_record_was_taken_out(name: str) -> None:
    seen = objects(name)
    states = [(one.injected, one.recovered) for one in seen]
    assert (True, False) in states
    assert states[-1] == (False, True)


@pytest.mark.parametrize(
    ("action", "count", "recovered"), [("delay", 0, False), ("delay", 1, True), ("pod-kill", 1, False)]
)
def test_all_recovered_counts_where_something_was_in_and_lasted(
    action: str, count: int, *, recovered: bool
) -> None:
    item = {
        "metadata": {"name": "one"},
        "spec": {"action": action},
        "status": {
            "conditions": [{"type": "AllRecovered", "status": "True"}],
            "experiment": {
                "containerRecords": [
                    {"id": "a/b", "selectorKey": ".", "phase": "Not Injected", "recoveredCount": count}
                ]
            },
        },
    }
    assert ChaosObject.of(item).recovered is recovered


def test_where_nobody_is_selected_there_are_no_records_and_it_stays_so() -> None:
    seen = objects("nobody")
    assert not any(one.records or one.injected or one.recovered for one in seen)
    assert seen[-1].nobody


def test_not_selected_is_also_said_before_anybody_was_looked_for() -> None:
    seen = objects("pod-kill-30")
    assert any(one.nobody for one in seen[: next(at for at, one in enumerate(seen) if one.injected)])


def test_a_partition_is_half_in_before_it_is_whole() -> None:
    seen = window("partition")
    assert any(one.partly_injected for one in objects("partition"))
    assert {side for _, side in seen.began_s} == {".", ".Target"}
    assert seen.half_s == pytest.approx(0.62, abs=0.01)
    assert seen.all_in_s is not None
    assert seen.all_in_s == pytest.approx(1.43, abs=0.01)


@pytest.mark.parametrize(
    ("name", "lasts_s"),
    [("pod-failure", 10), ("partition", 8), ("partition-from", 8), ("bandwidth", 10), ("stress", 10)],
)
def test_a_fault_of_n_seconds_lasts_between_n_minus_one_and_n_and_a_little(name: str, lasts_s: float) -> None:
    seen = window(name)
    first_s, last_s = min(seen.began_s.values()), max(seen.ended_s.values())
    assert lasts_s - 1.1 < last_s < lasts_s + 1.0  # from creation, and the undoing on top
    assert last_s - first_s < lasts_s


def test_conditions_come_after_the_records_that_they_speak_of() -> None:
    tape = Tape("pod-failure")
    by_records = next(f.at_s for f in frames(tape, "object") if ChaosObject.of(f.item).injected)
    by_conditions = next(f.at_s for f in frames(tape, "object") if condition(f.item, "AllInjected") == "True")
    assert by_records < by_conditions


def test_what_cannot_be_applied_says_why_in_the_pods_network_first() -> None:
    tape = Tape("delay-no-netem")
    seen = objects("delay-no-netem")
    assert not any(one.injected for one in seen)
    assert any("unable to set tcs" in failure for one in seen for failure in one.failures)
    networks = [frame for frame in frames(tape, "podnetworkchaos") if unapplied(frame.item)]
    assert "unable to set tcs" in str(unapplied(networks[-1].item))


def test_a_rule_on_http_that_cannot_be_applied_says_why_in_what_is_gathered_for_the_pod() -> None:
    tape = Tape("http-no-tproxy")
    assert not any(one.injected for one in objects("http-no-tproxy"))
    gathered = [frame for frame in frames(tape, "podhttpchaos") if unapplied(frame.item)]
    assert "apply config: send http request: unexpected EOF" in str(unapplied(gathered[-1].item))
    assert gathered[-1].item["metadata"]["name"] == tape.victims[0]


@pytest.mark.parametrize("name", ["daemon-down", "controller-down"])
def test_while_nobody_can_undo_it_a_fault_is_in_force_and_says_so(name: str) -> None:
    tape, seen = Tape(name), window(name)
    assert seen.began_s.keys() == seen.ended_s.keys()
    deleted_s = call(tape, "DELETE") - call(tape, "POST")
    still = [f for f in frames(tape, "object") if f.at_s > deleted_s and f.type != "DELETED"]
    assert ChaosObject.of(still[0].item).injected
    assert ChaosObject.of(still[0].item).deleting
    assert max(seen.ended_s.values()) > deleted_s


def test_a_schedule_is_gone_before_its_children_are() -> None:
    tape = Tape("schedule")
    gone = [frame for frame in frames(tape, "object", "podchaos") if frame.type == "DELETED"]
    owner = next(frame for frame in gone if frame.item["kind"] == "Schedule")
    assert any(frame.at_s > owner.at_s for frame in gone if frame.item["kind"] == "PodChaos")


def test_a_workflows_node_says_injected_before_anything_is_in_force() -> None:
    tape = Tape("workflow")
    said_s = next(
        f.at_s for f in frames(tape, "workflownodes") if condition(f.item, "ChaosInjected") == "True"
    )
    in_s = next(f.at_s for f in frames(tape, "networkchaos") if ChaosObject.of(f.item).injected)
    assert in_s - said_s > 0.3


def lives(name: str) -> list[tuple[str, str, str]]:
    """(kind of event, replica, uid) of all pods on a tape."""
    tape, life = Tape(name), Lifecycle()
    for row in tape.rows:
        for item in row["objects"] if row.get("list") == "pods" else ():
            life.take(Frame(0.0, "ADDED", item))
    for frame in frames(tape, "pods"):
        life.take(frame)
    return [(event.kind, str(event.replica), event.detail["uid"]) for event in life.events]


def test_a_statefulsets_pod_comes_back_under_its_name_with_another_uid() -> None:
    created = [(name, uid) for kind, name, uid in lives("pod-kill-statefulset") if kind == "replica_created"]
    names = [name for name, _ in created]
    again = next(name for name in names if names.count(name) > 1)
    first, second = [uid for name, uid in created if name == again]
    assert first != second
    told = [(kind, uid) for kind, name, uid in lives("pod-kill-statefulset") if name == again]
    assert told.index(("replica_gone", first)) < told.index(("replica_created", second))
    assert ("replica_ready", second) in told or ("replica_running", second) in told


def test_a_pod_that_is_killed_is_unready_then_gone_and_others_come() -> None:
    told = lives("pod-kill-30")
    gone = [uid for kind, _, uid in told if kind == "replica_gone"]
    assert len(gone) == 2
    for uid in gone:
        kinds = [kind for kind, _, one in told if one == uid]
        assert kinds == [
            "replica_created",
            "replica_running",
            "replica_ready",
            "replica_unready",
            "replica_killed",
            "replica_gone",
        ]
    [pods] = [row["objects"] for row in Tape("pod-kill-30").rows if row.get("list") == "pods"]
    came = [uid for kind, _, uid in told if kind == "replica_created"][len(pods) :]
    assert [[kind for kind, _, one in told if one == uid] for uid in came] == [
        ["replica_created", "replica_scheduled", "replica_running", "replica_ready"]
    ] * 2


def test_a_pod_with_grace_is_out_at_once_and_gone_later() -> None:
    told = [kind for kind, _, _ in lives("pod-kill-grace")]
    assert told.index("replica_unready") < told.index("replica_killed") < told.index("replica_gone")
    assert "replica_created" in told[told.index("replica_killed") : told.index("replica_gone")]


def test_a_container_that_is_killed_is_unready_and_restarts_under_the_same_uid() -> None:
    told = lives("container-kill")
    [uid] = {one for kind, _, one in told if kind == "replica_restarted"}
    assert "replica_unready" in [kind for kind, _, one in told if one == uid]
    assert "replica_gone" not in [kind for kind, _, one in told]


def test_a_pod_waits_longer_after_its_third_restart_and_says_why() -> None:
    waits = {
        Pod.of(frame.item).how
        for frame in frames(Tape("container-kill"), "pods")
        if not Pod.of(frame.item).running
    }
    assert "CrashLoopBackOff" in waits
