import json
import math
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chaos.errors import InconclusiveError, RefusedError
from chaos.prometheus import PrometheusClient, Series, WallClock
from chaos.targets.identity import of_run
from chaos.targets.local.prometheus import ScrapeTarget, ServerFiles, find_prometheus
from chaos.targets.local.target import LocalTarget
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB
from tests.conftest import Eventually
from tests.support.local_cluster import all_ready, complete, gateway_port, terminate, toy_spec


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    """A cluster with its Prometheus, ten requests old; it must leave nothing."""
    spec = toy_spec(tmp_path_factory.mktemp("prometheus"), 3, prometheus=True)
    with LocalTarget(spec) as started:
        for _ in range(10):
            complete(gateway_port(started))
        yield started
    assert of_run(spec.run_id) == []
    assert sorted(path.name for path in spec.run_folder.iterdir()) == ["logs"]


@pytest.fixture
def client(target: LocalTarget) -> PrometheusClient:
    url = target.endpoints().prometheus_url
    assert url is not None
    return PrometheusClient(url)


def test_on_entry_every_replica_and_the_gateway_are_scraped(
    target: LocalTarget, client: PrometheusClient
) -> None:
    up = client.instant("up", time.time())
    assert [series.value for series in up] == [1.0] * 4
    replicas = {s.labels["pod"]: s.labels for s in up if s.labels["job"] == REPLICA_JOB}
    assert {
        name: (labels["namespace"], labels["zone"], labels["node"]) for name, labels in replicas.items()
    } == {r.name: (r.namespace, r.labels["zone"], r.node) for r in target.replicas()}
    assert [s.labels["job"] for s in up if "pod" not in s.labels] == [GATEWAY_JOB]


def test_the_gateways_counters_arrive(client: PrometheusClient, eventually: Eventually) -> None:
    query = 'sum(ds_gateway_requests_total{outcome="ok"})'
    eventually(lambda: [s.value for s in client.instant(query, time.time())] == [10.0], within_s=30)


def test_a_range_has_one_point_per_step(client: PrometheusClient, eventually: Eventually) -> None:
    end_s = time.time()
    (series,) = client.range("vector(7)", end_s - 5, end_s, 1.0)
    assert [value for _, value in series.points] == [7.0] * 6
    times = [at_s for at_s, _ in series.points]
    assert times[0] == pytest.approx(end_s - 5, abs=0.001)
    assert [round(b - a, 3) for a, b in pairwise(times)] == [1.0] * 5


def test_infinite_and_absent_values_are_read_as_such(client: PrometheusClient) -> None:
    assert client.instant("vector(1) / 0", time.time())[0].value == math.inf
    assert math.isnan(client.instant("vector(0) / 0", time.time())[0].value)
    assert client.instant("no_such_series_anywhere", time.time()) == []
    assert math.isnan(Series({}, ()).value)


def test_a_killed_replica_leaves_the_targets_and_its_replacement_joins_them(
    target: LocalTarget, client: PrometheusClient, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    terminate(target, [victim])

    def scraped() -> set[str]:
        query = f'up{{job="{REPLICA_JOB}"}} == 1'
        return {series.labels["pod"] for series in client.instant(query, time.time())}

    eventually(lambda: all_ready(target), within_s=30)
    eventually(lambda: scraped() == {replica.name for replica in target.replicas()}, within_s=30)
    assert victim.name not in scraped()


@pytest.mark.parametrize("query", ["sum(", "1"], ids=["not PromQL", "a scalar, not series"])
def test_a_wrong_query_is_named(client: PrometheusClient, query: str) -> None:
    with pytest.raises(InconclusiveError, match=repr(query).replace("(", r"\(")):
        client.instant(query, time.time())


def test_too_fine_a_step_is_refused_with_prometheus_own_words(client: PrometheusClient) -> None:
    with pytest.raises(InconclusiveError, match="exceeded maximum resolution"):
        client.range("up", time.time() - 86_400, time.time(), 1.0)


def test_a_server_that_is_not_there_is_inconclusive(free_port: int) -> None:
    with pytest.raises(InconclusiveError, match="did not answer"):
        PrometheusClient(f"http://127.0.0.1:{free_port}").instant("up", 0.0)


def test_without_the_program_the_refusal_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RefusedError) as refusal:
        find_prometheus()
    assert "apt install prometheus" in (refusal.value.hint or "")
    assert "brew install prometheus" in (refusal.value.hint or "")


def test_the_configuration_is_valid_whatever_the_folder_is_called(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path / 'it\'s: a "folder" # really')
    files.write_targets([ScrapeTarget("127.0.0.1:8081", {"pod": "a"})])
    files.write_config("127.0.0.1:9000")
    checked = subprocess.run(
        ["promtool", "check", "config", files.config], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(files.targets.read_text()) == [{"targets": ["127.0.0.1:8081"], "labels": {"pod": "a"}}]


def test_the_wall_clock_and_the_monotonic_clock_are_one_offset_apart() -> None:
    clock = WallClock.now()
    assert clock.wall_s(time.monotonic()) == pytest.approx(time.time(), abs=0.1)
    assert clock.monotonic_s(clock.wall_s(123.5)) == pytest.approx(123.5, abs=1e-6)


def test_prometheus_has_a_port_of_its_own(target: LocalTarget) -> None:
    endpoints = target.endpoints()
    urls = (endpoints.url, endpoints.prometheus_url, endpoints.gateway_metrics_url)
    assert len({urlsplit(str(url)).port for url in urls}) == 3
