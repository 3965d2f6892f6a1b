"""One run at a time on a namespace; a run that cannot renew its lease ends before anybody takes it for dead."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import AbortedError, InconclusiveError, RefusedError
from chaos.targets.kubernetes.objects import Item
from chaos.targets.kubernetes.undoing.lease import (
    DURATION_S,
    GIVE_UP_AFTER_S,
    RENEW_EVERY_S,
    Holding,
    Lease,
    Sight,
)
from chaos.targets.kubernetes.undoing.patience import Clock
from tests.conftest import wait_until
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import NAMESPACE, FakeKubernetes
from tests.support.kubernetes_store import Object
from tests.support.stored_objects import StoredObjects


@pytest.fixture
def cluster(tmp_path: Path) -> StoredObjects:
    api = FakeKubernetes(tmp_path)
    return StoredObjects(api, ChaosMesh(api))


def lease_of(cluster: StoredObjects, run: str = "run-1") -> Lease:
    return Lease(cluster, NAMESPACE, run, clock=cluster.clock)


def held(cluster: StoredObjects, run: str, *, ago_s: float = 0.0) -> Object:
    """Somebody else's lease, renewed so long ago."""
    renewed = (datetime.now(UTC) - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": run, "leaseDurationSeconds": 15, "renewTime": renewed, "acquireTime": renewed}
    return cluster.api.add(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "aftershock"},
            "spec": spec,
        }
    )


def in_store(cluster: StoredObjects) -> Item:
    (lease,) = cluster.api.store.find("leases")
    return lease


def test_the_first_run_makes_the_lease_and_the_next_one_takes_the_same_object(cluster: StoredObjects) -> None:
    first = lease_of(cluster)
    first.take()
    spec = in_store(cluster)["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("run-1", 15)
    first.let_go()
    assert Holding.of(in_store(cluster)).holder == ""
    lease_of(cluster, "run-2").take()
    assert in_store(cluster)["spec"]["holderIdentity"] == "run-2"
    assert "delete" not in cluster.verbs


def test_an_unexpired_lease_of_another_run_refuses_and_names_it_and_until_when(
    cluster: StoredObjects,
) -> None:
    held(cluster, "run-0")
    until = Holding.of(in_store(cluster)).until()
    with pytest.raises(RefusedError, match=f"run run-0 holds namespace inference until {until:%H:%M:%S} UTC"):
        lease_of(cluster).take()
    assert in_store(cluster)["spec"]["holderIdentity"] == "run-0"
    lease_of(cluster).let_go()
    assert in_store(cluster)["spec"]["holderIdentity"] == "run-0"


def test_an_expired_lease_is_taken_over_once_nobody_renewed_it_meanwhile(cluster: StoredObjects) -> None:
    held(cluster, "run-0", ago_s=60)
    lease_of(cluster).take()
    spec = in_store(cluster)["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("run-1", 1)
    assert cluster.now_s > 4


def test_a_holder_whose_clock_is_wrong_is_alive_all_the_same(cluster: StoredObjects) -> None:
    lease = held(cluster, "run-0", ago_s=60)
    key = cluster.api.key("leases", "aftershock")
    later = datetime.fromisoformat(lease["spec"]["renewTime"]) + timedelta(seconds=4)
    renewed = {"spec": {"renewTime": later.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
    cluster.at[4.0] = lambda: cluster.api.store.patch(key, renewed)
    with pytest.raises(RefusedError, match="run run-0 holds"):
        lease_of(cluster).take()


@pytest.mark.parametrize("moment", range(3))
def test_of_two_runs_that_take_it_at_once_one_has_it_and_the_other_is_refused(
    cluster: StoredObjects, moment: int
) -> None:
    lease_of(cluster, "run-0").take()
    lease_of(cluster, "run-0").let_go()
    holders: list[str] = []
    calls: list[str] = []

    def take(run: str) -> None:
        with suppress(RefusedError):
            lease_of(cluster, run).take()
            holders.append(run)

    def between(verb: str) -> None:
        calls.append(verb)
        if len(calls) == moment + 1:
            take("run-2")

    cluster.mishap = between
    take("run-1")
    assert [in_store(cluster)["spec"]["holderIdentity"]] == holders


def test_an_api_server_that_does_not_answer_is_inconclusive(cluster: StoredObjects) -> None:
    cluster.mishap = lambda _: 500
    with pytest.raises(InconclusiveError, match="the lease of inference cannot be had"):
        lease_of(cluster).take()


@dataclass
class Renewing:
    """A run that renews its lease at the times that its thread would, on a clock of the test's own."""

    cluster: StoredObjects
    ends: list[str] = field(default_factory=list)
    lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        self.lease = Lease(self.cluster, NAMESPACE, "run-1", self.ends.append, self.cluster.clock)
        self.lease.take()

    def run(self, until_s: float) -> None:
        wait_s = RENEW_EVERY_S
        while self.cluster.now_s < until_s and not self.lease.lost:
            self.cluster.sleep(wait_s)
            wait_s = RENEW_EVERY_S if self.lease.renew() else 1.0


def test_a_lease_that_is_renewed_is_held_for_as_long_as_it_takes(cluster: StoredObjects) -> None:
    renewing = Renewing(cluster)
    renewing.run(600)
    renewing.lease.require()
    assert renewing.ends == []


def test_a_short_outage_costs_nothing(cluster: StoredObjects) -> None:
    renewing = Renewing(cluster)
    cluster.mishap = lambda _: 500 if 100 < cluster.now_s < 105 else None
    renewing.run(200)
    renewing.lease.require()
    assert renewing.ends == []


@pytest.mark.parametrize("status", [0, 500, 403])
def test_a_run_that_cannot_renew_ends_before_the_reaper_could_act(
    cluster: StoredObjects, status: int
) -> None:
    renewing = Renewing(cluster)
    renewing.run(20)
    last_s = cluster.now_s
    cluster.mishap = lambda _: status
    renewing.run(200)
    assert last_s + GIVE_UP_AFTER_S - 4 < cluster.now_s < last_s + DURATION_S
    assert len(renewing.ends) == 1
    with pytest.raises(AbortedError, match=rf"could not be renewed for 1\d s: mishap {status}"):
        renewing.lease.require()


def test_a_run_whose_lease_another_took_ends_at_once(cluster: StoredObjects) -> None:
    renewing = Renewing(cluster)
    key = cluster.api.key("leases", "aftershock")
    cluster.api.store.patch(key, {"spec": {"holderIdentity": "run-2"}})
    renewing.run(200)
    assert cluster.now_s < 10
    assert "run-2 holds the lease" in renewing.ends[0]


def test_a_runner_that_slept_through_its_lease_does_not_renew_it_but_ends(cluster: StoredObjects) -> None:
    renewing = Renewing(cluster)
    cluster.now_s += 3600
    before = in_store(cluster)
    assert not renewing.lease.renew()
    assert in_store(cluster) == before
    assert len(renewing.ends) == 1


def test_a_runner_that_slept_through_its_lease_injects_nothing(cluster: StoredObjects) -> None:
    renewing = Renewing(cluster)
    cluster.now_s += 3600
    with pytest.raises(AbortedError):
        renewing.lease.require()


def test_the_thread_renews_it_and_gives_it_back(
    cluster: StoredObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.targets.kubernetes.undoing.lease.RENEW_EVERY_S", 0.01)
    with Lease(cluster, NAMESPACE, "run-1") as lease:
        first = in_store(cluster)["spec"]["renewTime"]
        wait_until(lambda: in_store(cluster)["spec"]["renewTime"] > first, within_s=30)
        lease.require()
    assert Holding.of(in_store(cluster)).holder == ""


@given(st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=30), st.floats(-7200, 7200))
def test_whoever_watches_believes_a_lease_while_it_changes_and_for_its_duration_whatever_its_stamps_say(
    looks: list[tuple[float, bool]], skew_s: float
) -> None:
    now_s, number, changed_s = 0.0, 0, 0.0
    sight = Sight(Clock(lambda: now_s))
    began = datetime.now(UTC) + timedelta(seconds=skew_s)
    for wait_s, renewed in [(0.0, True), *looks]:
        now_s += wait_s
        if renewed:
            number, changed_s = number + 1, now_s
        stamp = (began + timedelta(seconds=number)).isoformat()
        spec = {"holderIdentity": "run-1", "leaseDurationSeconds": 15, "renewTime": stamp}
        assert sight.holder({"spec": spec}) == ("run-1" if now_s - changed_s < 15 else "")
    assert sight.holder({"spec": {}}) == ""
    assert sight.holder(None) == ""
