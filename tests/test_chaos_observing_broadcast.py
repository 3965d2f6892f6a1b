"""A run as its own Prometheus sees it: a cluster of toys, its faults, its load, its telemetry and its alerts."""

import io
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from chaos.collecting import alerts
from chaos.display.progress import QuietProgress
from chaos.events import Event
from chaos.prometheus import PrometheusClient, Series, WallClock
from chaos.publishing.annotations import GrafanaAnnotations
from chaos.publishing.broadcast import Broadcast
from chaos.run_folder import RunFolder
from chaos.targets.effects import Termination
from chaos.targets.local.target import LocalTarget
from loadtests.plan import Plan
from tests.conftest import Eventually, wait_until
from tests.support.documented_grafana import TOKEN, State, grafana
from tests.support.local_cluster import all_ready, toy_spec
from tests.test_chaos_observing_series import config

RULES = {
    "groups": [
        {
            "name": "toys",
            "rules": [
                {"alert": "FaultInForce", "expr": "ds_chaos_active == 1", "labels": {"severity": "ticket"}},
                {
                    "alert": "ReplicaGone",
                    "expr": 'sum(up{job="deepseek-metrics"}) < 2',
                    "labels": {"severity": "page"},
                },
                {"alert": "Always", "expr": "vector(1)", "labels": {"severity": "page"}},
            ],
        }
    ]
}


@dataclass
class Watched:
    """A run that is over while its Prometheus still answers."""

    client: PrometheusClient
    url: str
    victim: str
    zero_s: float
    began_s: float
    ended_s: float
    over_s: float
    said: str
    grafana: State


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder, said, state = tmp_path_factory.mktemp("broadcast"), io.StringIO(), State()
    (folder / "rules.yaml").write_text(yaml.safe_dump(RULES))
    with grafana(state) as grafana_url:
        annotations = GrafanaAnnotations(grafana_url, TOKEN, "toys")
        with Broadcast("toys", annotations, QuietProgress(said)) as told:
            spec = toy_spec(folder, 2, prometheus=True, run_metrics_address=told.address)
            with LocalTarget(spec) as target:
                told.target_started(target, RunFolder(folder))
                target.evaluate(folder / "rules.yaml")
                url = str(target.endpoints().prometheus_url)
                client, zero_s = PrometheusClient(url), time.monotonic()
                load = config(folder, duration_s=60.0)
                Plan.of(load).write(load.plan_path)
                told.load_planned(load).begin(zero_s)
                _reaches(client, 'ds_telemetry_targets_reporting{job_name="deepseek-metrics"} == 2')
                _reaches(client, 'ALERTS{alertname="Always",alertstate="firing"}')
                [victim] = target.replicas()[:1]
                target.aim("kill-one#1", [Termination(grace_s=0)], [victim])
                began_s = target.inject("kill-one#1", [victim])
                fault = {
                    "id": "kill-one#1",
                    "name": "kill-one",
                    "kind": "PodChaos/pod-kill",
                    "targets": [victim.name],
                    "lasts": False,
                    "fidelity": "exact",
                    "candidates": 2,
                }
                told.fault_began(Event(began_s, "fault_injected", detail=fault))
                _reaches(client, 'ALERTS{alertname="FaultInForce",alertstate="firing"}')
                _reaches(client, 'ALERTS{alertname="ReplicaGone",alertstate="firing"}')
                wait_until(lambda: all_ready(target), within_s=30, what="the replacement")
                told.capacity_restored()
                ended_s = time.monotonic()
                _reaches(client, 'sum(up{job="deepseek-metrics"}) == 2')
                _reaches(client, "ds_chaos_active == 0")
                _is_gone(client, 'ALERTS{alertname=~"FaultInForce|ReplicaGone",alertstate="firing"}')
                yield Watched(
                    *(client, url, victim.name, zero_s, began_s, ended_s, time.monotonic()),
                    said=said.getvalue(),
                    grafana=state,
                )


def _reaches(client: PrometheusClient, query: str) -> None:
    wait_until(lambda: client.instant(query, time.time()), within_s=30, what=query)


def _is_gone(client: PrometheusClient, query: str) -> None:
    # Long enough gone that the end of the firing can be told from a late sample.
    since = f"max_over_time(({query})[4s:1s])"
    wait_until(lambda: not client.instant(since, time.time()), within_s=30, what=f"the end of {query}")


def over_the_run(watched: Watched, query: str) -> list[Series]:
    clock = WallClock.now()
    return watched.client.range(query, clock.wall_s(watched.zero_s), clock.wall_s(watched.over_s), 0.5)


def test_a_fault_window_can_be_read_from_prometheus_alone(watched: Watched) -> None:
    clock = WallClock.now()
    [window] = over_the_run(watched, "ds_chaos_active > 0")
    labels = {key: window.labels[key] for key in ("experiment", "fault", "kind", "target")}
    assert labels == {
        "experiment": "toys",
        "fault": "kill-one",
        "kind": "PodChaos/pod-kill",
        "target": watched.victim,
    }
    assert clock.monotonic_s(window.points[0][0]) == pytest.approx(watched.began_s, abs=2.5)
    assert clock.monotonic_s(window.points[-1][0]) == pytest.approx(watched.ended_s, abs=2.5)


def test_the_window_in_grafana_is_the_one_that_happened(watched: Watched) -> None:
    clock = WallClock.now()
    [annotation] = watched.grafana.annotations.values()
    assert annotation["time"] / 1000 == pytest.approx(clock.wall_s(watched.began_s), abs=0.1)
    assert annotation["timeEnd"] / 1000 == pytest.approx(clock.wall_s(watched.ended_s), abs=0.1)


def test_a_dead_replica_shows_as_telemetry_that_is_missing(watched: Watched) -> None:
    [reporting] = over_the_run(watched, 'ds_telemetry_targets_reporting{job_name="deepseek-metrics"}')
    assert {value for _, value in reporting.points} == {1.0, 2.0}
    expected = over_the_run(watched, "ds_telemetry_targets_expected")
    assert {series.labels["job_name"]: series.value for series in expected} == {
        "deepseek-metrics": 2,
        "gateway": 1,
        "aftershock": 1,
    }


def test_the_load_is_a_series_from_its_first_arrival_on(watched: Watched) -> None:
    [planned] = over_the_run(watched, "ds_load_planned_total")
    [in_flight] = over_the_run(watched, "ds_load_in_flight")
    assert planned.value == in_flight.value > 0
    assert [value for _, value in planned.points] == sorted(value for _, value in planned.points)


def test_alerts_of_the_run_are_kept_with_their_times(watched: Watched) -> None:
    kept = alerts.fired(watched.url, watched.zero_s - 5, watched.zero_s, watched.over_s)
    found = {each.name: each for each in kept}
    assert sorted(found) == ["Always", "FaultInForce", "ReplicaGone"]
    began_s, ended_s = watched.began_s - watched.zero_s, watched.ended_s - watched.zero_s
    assert found["FaultInForce"].severity == "ticket"
    assert found["FaultInForce"].fired_s == pytest.approx(began_s, abs=4)
    assert found["FaultInForce"].resolved_s == pytest.approx(ended_s, abs=4)
    assert found["Always"].resolved_s is None
    assert found["ReplicaGone"].fired_s >= began_s - 1


def test_alerts_that_were_over_before_the_run_are_not_of_it(watched: Watched) -> None:
    kept = alerts.fired(watched.url, watched.zero_s - 5, watched.over_s, watched.over_s)
    assert [(each.name, each.resolved_s) for each in kept] == [("Always", None)]
    assert kept[0].fired_s < 0


def test_an_engine_that_nobody_knows_is_said_once_and_gets_no_rules_of_ours(watched: Watched) -> None:
    assert watched.said.count("what these replicas can tell") == 1
    assert "engine not recognised" in watched.said
    assert "none are evaluated" in watched.said


def test_rules_can_be_given_to_a_cluster_that_runs(watched: Watched, eventually: Eventually) -> None:
    with urllib.request.urlopen(f"{watched.url}/api/v1/rules", timeout=30) as answer:
        groups = json.load(answer)["data"]["groups"]
    assert [group["name"] for group in groups] == ["toys"]


def test_a_target_whose_replicas_have_one_port_is_scraped_there(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, 1, command=("sh", "-c", "exec engine --port {port}"))
    assert not spec.metrics_apart
    assert toy_spec(tmp_path, 1).metrics_apart
    assert toy_spec(tmp_path, 1, command=("engine",), env={"PORT": "{metrics_port}"}).metrics_apart
