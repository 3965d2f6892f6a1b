"""A network fault on the local target: it is proved from outside, hits whom it names, blinds a scrape, and ends."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.prometheus import PrometheusClient
from chaos.targets import Replica
from chaos.targets.effects import Bucket, Link, Traffic
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import all_ready, kinds, last, named, tell, terminate, toy_spec

BOTH = Link(from_replica=Traffic(delay_s=0.05), to_replica=Traffic(delay_s=0.05))
CUT = Traffic(cut=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    with LocalTarget(toy_spec(tmp_path_factory.mktemp("network"), 3)) as started:
        yield started


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    wait_until(lambda: all_ready(cluster), within_s=30, what="three ready replicas")
    return cluster


@pytest.mark.parametrize(
    "link",
    [BOTH, Link(from_replica=Traffic(delay_s=0.1)), Link(to_replica=Traffic(delay_s=0.1, jitter_s=0.02))],
    ids=["both ways", "from the replica", "to the replica, with jitter"],
)
def test_a_delay_is_seen_on_its_victim_alone_and_no_more_once_it_is_undone(
    target: LocalTarget, link: Link
) -> None:
    victim, bystander = target.replicas()[:2]
    for occurrence, whom in (("delay#1", victim), ("beside#1", bystander)):
        target.aim(occurrence, [link], [whom])
    target.inject("delay#1", [victim])
    (evidence,) = target.verify("delay#1", within_s=5)
    assert evidence.verified, evidence.how
    assert "round trip" in evidence.how
    assert not target.verify("beside#1", within_s=0)[0].verified
    assert not target.verify_recovered("delay#1", within_s=0)[0].verified
    target.recover("delay#1")
    target.recover("delay#1")
    (evidence,) = target.verify_recovered("delay#1", within_s=5)
    assert evidence.verified, evidence.how


def test_a_delay_that_is_aimed_and_injected_into_nobody_fails_verification(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("control#1", [BOTH], [victim])
    target.inject("control#1", [])
    (evidence,) = target.verify("control#1", within_s=0.5)
    assert not evidence.verified
    assert "0 packets" in evidence.how
    assert "200.0 ms more were to be seen" in evidence.how


@pytest.mark.parametrize(
    "link",
    [
        Link(from_replica=CUT, to_replica=CUT),
        Link(from_replica=CUT),
        Link(to_replica=CUT),
        Link(from_replica=Traffic(bucket=Bucket(30_000, 3_000, 20_000))),
        Link(to_replica=Traffic(bucket=Bucket(100_000, 10_000, 20_000))),
        Link(to_replica=Traffic(corruption=0.5)),
    ],
    ids=["a partition", "half of one", "the other half", "narrow from it", "narrow to it", "damaging"],
)
def test_a_network_fault_is_seen_on_its_victim_alone_and_no_more_once_it_is_undone(
    target: LocalTarget, link: Link
) -> None:
    victim, bystander = target.replicas()[:2]
    target.aim("fault#1", [link], [victim])
    target.aim("control#1", [link], [bystander])
    target.inject("fault#1", [victim])
    target.inject("control#1", [])
    (evidence,) = target.verify("fault#1", within_s=10)
    assert evidence.verified, evidence.how
    assert not target.verify("control#1", within_s=0)[0].verified
    if not link.to_replica or not link.to_replica.corruption:  # by chance alone nothing of ten may be late
        assert not target.verify_recovered("fault#1", within_s=0)[0].verified
    target.recover("fault#1")
    (evidence,) = target.verify_recovered("fault#1", within_s=5)
    assert evidence.verified, evidence.how


def test_of_several_narrow_networks_none_is_without_its_turn_in_a_look(target: LocalTarget) -> None:
    """Each keeps what is moved for 0.4 s and longer; twice through all of them is more than one look may take."""
    victims = target.replicas()
    assert len(victims) >= 3
    narrow = Link(from_replica=Traffic(bucket=Bucket(6_000, 3_000, 20_000)))
    target.aim("fault#1", [narrow], victims)
    target.inject("fault#1", victims)
    evidence = target.verify("fault#1", within_s=0)
    target.recover("fault#1")
    assert [each.how for each in evidence if not each.verified] == []


def test_what_comes_twice_cannot_be_proved_and_says_so(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("twice#1", [Link(from_replica=Traffic(duplication=0.5))], [victim])
    target.inject("twice#1", [victim])
    (evidence,) = target.verify("twice#1", within_s=0)
    target.recover("twice#1")
    assert not evidence.verified
    assert "TCP discards what comes twice" in evidence.how


def test_a_delay_can_be_undone_while_a_partition_goes_on(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("slow#1", [BOTH], [victim])
    target.inject("slow#1", [victim])
    target.aim("cut#1", [Link(CUT, CUT)], [victim])
    target.inject("cut#1", [victim])
    assert target.verify("cut#1", within_s=5)[0].verified
    target.recover("slow#1")
    (evidence,) = target.verify_recovered("slow#1", within_s=5)
    assert evidence.verified
    assert "which another fault has cut" in evidence.how
    target.recover("cut#1")
    assert target.verify_recovered("cut#1", within_s=5)[0].verified


@pytest.mark.parametrize("toward", [{"zone": "zone-b"}, {"app": "redis"}])
def test_a_partition_from_a_side_where_nobody_lives_cuts_nothing_and_is_not_verified(
    target: LocalTarget, toward: dict[str, str]
) -> None:
    victim = target.replicas()[0]
    target.aim("nobody#1", [Link(CUT, CUT, toward)], [victim])
    target.inject("nobody#1", [victim])
    (evidence,) = target.verify("nobody#1", within_s=0.5)
    target.recover("nobody#1")
    assert not evidence.verified


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    folder = tmp_path_factory.mktemp("scraped")
    with LocalTarget(toy_spec(folder, 3, prometheus=True, ready_within_s=60.0)) as started:
        yield started


@pytest.mark.parametrize(
    ("toward", "requests", "scrapes"),
    [
        (None, True, True),
        ({"zone": "zone-a"}, True, True),
        ({"app": "inference-gateway"}, True, False),
        ({"app": "prometheus", "topology.kubernetes.io/zone": "zone-a"}, False, True),
        ({"zone": "zone-b"}, False, False),
    ],
    ids=["everybody", "a zone", "the gateway", "Prometheus", "nobody"],
)
def test_a_partition_cuts_exactly_the_pairs_that_it_names(
    scraped: LocalTarget, toward: dict[str, str] | None, requests: bool, scrapes: bool
) -> None:
    victims = [replica for replica in scraped.replicas() if replica.labels["zone"] == "zone-b"]
    occurrence = f"pairs {toward}"
    scraped.aim(occurrence, [Link(CUT, CUT, toward)], victims)
    scraped.inject(occurrence, victims)
    try:
        assert len(victims) == 1
        for replica in scraped.replicas():
            of_victim = replica in victims
            for caller, cut in (("gateway", requests), ("prometheus", scrapes)):
                assert answers(scraped, replica, caller) is not (of_victim and cut), (replica.node, caller)
        assert all(
            each.verified is (requests or scrapes) for each in scraped.verify(occurrence, within_s=0.5)
        )
    finally:
        scraped.recover(occurrence)


def answers(target: LocalTarget, replica: Replica, caller: str) -> bool:
    """Whether a new connection gets through the proxy, where this caller's would."""
    rows = {row["replica"]["uid"]: row for row in target._describe()["replicas"]}
    port = rows[replica.uid]["proxy_port" if caller == "gateway" else "metrics_proxy_port"]
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.3).close()
    except TimeoutError:
        return False
    return True


def test_a_partition_blinds_the_scrape_of_its_victim_and_the_run_says_from_when_to_when(
    scraped: LocalTarget, eventually: Eventually
) -> None:
    victim, bystander = scraped.replicas()[:2]
    eventually(
        lambda: all(kinds(scraped, each.name)[-1] != "scrape_lost" for each in scraped.replicas()),
        within_s=30,
    )
    scraped.aim("blind#1", [Link(CUT, CUT)], [victim])
    scraped.inject("blind#1", [victim])
    eventually(lambda: kinds(scraped, victim.name)[-1] == "scrape_lost", within_s=30)
    lost_s = time.time()
    eventually(lambda: reached_at_s(scraped, bystander) > lost_s, within_s=30)
    eventually(lambda: kinds(scraped, bystander.name)[-1] != "scrape_lost", within_s=30)
    assert named(scraped, victim.name) == victim, "its probes pass: it is ready all the while"
    assert reached_at_s(scraped, victim) == 0
    assert kinds(scraped, victim.name)[-1] == "scrape_lost"
    scraped.recover("blind#1")
    eventually(lambda: kinds(scraped, victim.name)[-1] == "scrape_back", within_s=30)


def reached_at_s(target: LocalTarget, replica: Replica) -> float:
    """Unix seconds of Prometheus' last scrape of a replica, 0 if that failed."""
    url = target.endpoints().prometheus_url
    assert url is not None
    last = f'up{{pod="{replica.name}"}}'
    series = PrometheusClient(url).instant(f"timestamp({last}) and {last} == 1", time.time())
    return max((each.value for each in series), default=0.0)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_loss_is_seen_in_late_requests_and_no_more_once_it_is_undone(
    target: LocalTarget, share: float
) -> None:
    victim, bystander = target.replicas()[:2]
    lossy = Link(from_replica=Traffic(loss=share), to_replica=Traffic(loss=share))
    target.aim("loss#1", [lossy], [victim])
    target.aim("control#2", [lossy], [bystander])
    target.inject("loss#1", [victim])
    (evidence,) = target.verify("loss#1", within_s=20)
    assert evidence.verified, evidence.how
    assert "late by a retransmission" in evidence.how
    (evidence,) = target.verify("control#2", within_s=1)
    assert not evidence.verified, evidence.how
    target.recover("loss#1")
    (evidence,) = target.verify_recovered("loss#1", within_s=5)
    assert evidence.verified, evidence.how


def test_of_two_delays_of_one_replica_each_is_proved_by_its_own_part(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    for occurrence in ("first#1", "control#3"):
        target.aim(occurrence, [BOTH], [victim])
    target.inject("first#1", [victim])
    target.aim("second#1", [BOTH], [victim])
    assert target.verify("first#1", within_s=5)[0].verified
    assert not target.verify("control#3", within_s=0.5)[0].verified, "the first is no proof of another"
    assert not target.verify("second#1", within_s=0.5)[0].verified, "the first is no proof of the second"
    target.inject("second#1", [victim])
    assert target.verify("second#1", within_s=5)[0].verified
    target.recover("first#1")
    for occurrence in ("first#1", "control#3"):
        (evidence,) = target.verify_recovered(occurrence, within_s=5)
        assert evidence.verified, f"the second goes on: {evidence.how}"
    assert target.verify("second#1", within_s=5)[0].verified
    assert not target.verify_recovered("second#1", within_s=0)[0].verified
    target.recover("second#1")
    assert target.verify_recovered("second#1", within_s=5)[0].verified


def test_a_restarted_process_of_a_victim_stays_behind_its_slow_network(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    target.aim("restart#1", [BOTH], [victim])
    target.inject("restart#1", [victim])
    with pytest.raises(ConnectionError):
        tell(last(target, victim.name)["port"], exit=3)
    eventually(lambda: last(target, victim.name).get("restarts") and all_ready(target), within_s=30)
    (evidence,) = target.verify("restart#1", within_s=5)
    target.recover("restart#1")
    assert evidence.verified, evidence.how
    assert target.verify_recovered("restart#1", within_s=5)[0].verified


def test_the_replacement_of_a_victim_is_not_hit_and_its_end_is_no_failed_recovery(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    target.aim("frozen#1", [BOTH], [victim])
    target.inject("frozen#1", [victim])
    terminate(target, [victim])
    eventually(lambda: all_ready(target) and victim.uid not in uids(target), within_s=30)
    fresh = target.replicas()[-1]
    target.aim("fresh#1", [BOTH], [fresh])
    assert not target.verify("fresh#1", within_s=0)[0].verified
    target.recover("frozen#1")
    (evidence,) = target.verify_recovered("frozen#1", within_s=5)
    assert (evidence.verified, evidence.how) == (True, "is not there any more")


def uids(target: LocalTarget) -> set[str]:
    return {replica.uid for replica in target.replicas()}


def test_recovery_is_harmless_when_the_cluster_has_ended(tmp_path: Path) -> None:
    with LocalTarget(toy_spec(tmp_path, 1)) as target:
        victims: list[Replica] = [*target.replicas()]
        target.aim("late#1", [BOTH], victims)
        target.inject("late#1", victims)
    target.recover("late#1")
    assert target.events()[-1].kind == "target_stopped"
