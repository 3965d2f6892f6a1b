"""The pinger of a run on a real cluster: the network in front of each replica, timed all along."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from chaos.prometheus import PrometheusClient
from chaos.targets.effects import Link, Traffic
from chaos.targets.identity import of_run
from chaos.targets.local.naming import GATEWAY, PEERS, PROMETHEUS, ways
from chaos.targets.local.spec import PingerSpec
from chaos.targets.local.target import LocalTarget
from exporters.series import comm
from exporters.series.jobs import COMM_JOB
from tests.conftest import wait_until
from tests.support.local_cluster import terminate, toy_spec

QUICK = PingerSpec(every_s=0.1, timeout_s=0.5)
LATE = Traffic(delay_s=0.2)
SILENT = Traffic(delay_s=0.9)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    wanted = toy_spec(tmp_path_factory.mktemp("pinged"), 2, prometheus=True, pinger=QUICK)
    with LocalTarget(wanted) as started:
        yield started
    assert of_run(wanted.run_id) == []


def told(target: LocalTarget, promql: str) -> dict[str, float]:
    url = target.endpoints().prometheus_url
    assert url is not None
    found = PrometheusClient(url).instant(f"sum by (peer) ({promql})", time.time())
    return {series.labels["peer"]: series.value for series in found}


def late(target: LocalTarget) -> dict[str, float]:
    """Round trips so far of more than a tenth of a second, by replica."""
    count, bucket = (f'{comm.COMM_LATENCY.name}_{part}{{job="{COMM_JOB}"' for part in ("count", "bucket"))
    return told(target, f'{count}}} - ignoring(le) {bucket},le="0.1"}}')


def trips(target: LocalTarget) -> dict[str, float]:
    return told(target, f'{comm.COMM_LATENCY.name}_count{{job="{COMM_JOB}"}}')


def failures(target: LocalTarget) -> dict[str, float]:
    return told(target, f'{comm.COMM_FAILURES.name}{{job="{COMM_JOB}"}}')


def inject(target: LocalTarget, occurrence: str, link: Link, victim: str) -> None:
    victims = [replica for replica in target.replicas() if replica.name == victim]
    target.aim(occurrence, [link], victims)
    target.inject(occurrence, victims)


def test_a_network_that_delays_one_replica_is_in_its_round_trips_and_in_nobody_elses(
    target: LocalTarget,
) -> None:
    slow, well = (replica.name for replica in target.replicas())
    wait_until(lambda: late(target).keys() == {slow, well}, within_s=30, what="round trips to both")
    before = late(target)
    inject(target, "late#1", Link(from_replica=LATE), slow)
    wait_until(lambda: late(target)[slow] >= before[slow] + 5, within_s=30, what="round trips that are late")
    assert late(target)[well] < before[well] + 5
    target.recover("late#1")


def test_a_network_slower_than_its_patience_is_a_failure_of_that_replica(target: LocalTarget) -> None:
    slow, well = (replica.name for replica in target.replicas())
    wait_until(lambda: failures(target).keys() == {slow, well}, within_s=30, what="both, at any count")
    before = failures(target)
    inject(target, "silent#1", Link(from_replica=SILENT), slow)
    wait_until(lambda: failures(target)[slow] >= before[slow] + 3, within_s=30, what="round trips that fail")
    assert failures(target)[well] < before[well] + 3
    target.recover("silent#1")


def test_a_fault_that_means_one_caller_is_none_of_the_peers(tmp_path: Path) -> None:
    pinged = toy_spec(tmp_path, 2, prometheus=True, pinger=QUICK)
    assert ways(pinged, {"app": GATEWAY}) == (GATEWAY,)
    assert ways(pinged, None) == (GATEWAY, PROMETHEUS, PEERS)
    assert ways(replace(pinged, pinger=None), None) == (GATEWAY, PROMETHEUS)


def test_who_is_gone_is_pinged_no_more_and_who_takes_its_place_is(target: LocalTarget) -> None:
    gone, stays = target.replicas()
    terminate(target, [gone])

    def replaced() -> bool:
        names = {replica.name for replica in target.replicas()}
        return gone.name not in names and len(names) == 2 and names <= late(target).keys()

    wait_until(replaced, within_s=30, what="round trips to another replica")
    ended = failures(target).get(gone.name, 0)
    (new,) = {replica.name for replica in target.replicas()} - {stays.name}
    counted = trips(target)[new]
    wait_until(lambda: trips(target)[new] >= counted + 20, within_s=30, what="twenty more")
    assert failures(target).get(gone.name, 0) <= ended + 1


def test_its_processor_time_has_a_role_of_its_own(target: LocalTarget) -> None:
    (pid,) = target.pids()["pinger"]
    assert "chaos.targets.local.pinger" in psutil.Process(pid).cmdline()
