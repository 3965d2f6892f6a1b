"""The prober of a run on a real cluster: sees what clients would, is counted nowhere, and ends with the run."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from chaos.prometheus import PrometheusClient
from chaos.targets.effects import Link, Traffic
from chaos.targets.engine_effects import GrayFailure
from chaos.targets.identity import of_run
from chaos.targets.local.options import LocalOptions
from chaos.targets.local.ports import free_port
from chaos.targets.local.spec import LocalSpec, ProberSpec
from chaos.targets.local.target import LocalTarget
from chaos.targets.options import Opening
from exporters.series import probe, server
from exporters.series.jobs import PROBE_JOB
from tests.conftest import wait_until
from tests.support.engine_cluster import spec
from tests.support.local_cluster import gateway_total, helper, last, samples, total

QUICK = ProberSpec(every_s=0.3, timeout_s=1.0, most_per_s=100.0)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    wanted = spec(tmp_path_factory.mktemp("probed"), prometheus=True, prober=QUICK)
    with LocalTarget(wanted) as started:
        yield started
    assert of_run(wanted.run_id) == []


def told(target: LocalTarget, family: str = probe.PROBE_SUCCESS.name) -> dict[str, float]:
    """What the run's Prometheus has of the prober now, by replica."""
    url = target.endpoints().prometheus_url
    assert url is not None
    found = PrometheusClient(url).instant(f'sum by (target) ({family}{{job="{PROBE_JOB}"}})', time.time())
    return {series.labels["target"]: series.value for series in found}


def wait_until_told(target: LocalTarget, success: dict[str, float]) -> None:
    wait_until(lambda: told(target) == success, within_s=30, what=f"probes that tell {success}")


def test_a_gray_replica_is_seen_by_the_probe_while_it_lasts_and_nobody_else(target: LocalTarget) -> None:
    gray, well = target.replicas()
    wait_until_told(target, {gray.name: 1, well.name: 1})
    target.aim("gray#1", [GrayFailure("hang")], [gray])
    target.inject("gray#1", [gray])
    wait_until_told(target, {gray.name: 0, well.name: 1})
    assert all(replica.ready for replica in target.replicas())
    target.recover("gray#1")
    wait_until_told(target, {gray.name: 1, well.name: 1})


def test_a_network_that_delays_is_in_the_time_to_first_token_of_its_replica_alone(
    target: LocalTarget,
) -> None:
    slow, well = target.replicas()
    wait_until_told(target, {slow.name: 1, well.name: 1})
    late = Traffic(delay_s=0.4)
    target.aim("late#1", [Link(from_replica=late)], [slow])
    target.inject("late#1", [slow])
    wait_until(
        lambda: told(target, probe.PROBE_TTFT.name).get(slow.name, 0) >= 0.4,
        within_s=30,
        what="a first token that is late",
    )
    assert told(target, probe.PROBE_TTFT.name)[well.name] < told(target, probe.PROBE_TTFT.name)[slow.name]
    target.recover("late#1")
    wait_until(
        lambda: told(target, probe.PROBE_TTFT.name).get(slow.name, 1) < 0.4,
        within_s=30,
        what="a first token that is not late",
    )


def test_what_it_asks_is_in_no_count_of_gateway_and_replicas(target: LocalTarget) -> None:
    replicas = [replica.name for replica in target.replicas()]
    wait_until(
        lambda: min(told(target, probe.PROBE_REQUESTS.name).get(name, 0) for name in replicas) > 3,
        within_s=30,
        what="a few probes of each",
    )
    counted = [total(last(target, name)["metrics_port"], server.REQUESTS.name) for name in replicas]
    assert counted == [0, 0]
    assert gateway_total(target, "attempts_total") == 0


def test_who_becomes_ready_is_asked_at_once_and_who_is_not_has_no_figures_while_another_is() -> None:
    seldom = ProberSpec(every_s=1000, timeout_s=1, model="tiny")
    hit, other = ({"name": name, "port": free_port(())} for name in ("hit", "other"))
    with helper("prober") as prober:
        port = prober.ask("listen", prober=asdict(seldom), wanted=2, observer_key="")["metrics_port"]

        def tell(*ready: bool) -> None:
            rows = [{**row, "ready": each} for row, each in zip((hit, other), ready, strict=True)]
            prober.ask("replicas", replicas=rows)

        def counted(times: int) -> bool:
            return total(port, probe.PROBE_REQUESTS.name, 'target="hit"', "refused") == times

        def shown() -> set[str]:
            names = [name for name in samples(port) if name.startswith(f"{probe.PROBE_SUCCESS.name}{{")]
            return {each for each in ("hit", "other") if any(f'target="{each}"' in name for name in names)}

        tell(False, False)
        assert shown() == set()
        tell(True, True)
        wait_until(lambda: counted(1) and shown() == {"hit", "other"}, within_s=10, what="both asked")
        tell(False, True)
        assert shown() == {"other"}
        assert counted(1)
        tell(True, True)
        wait_until(lambda: counted(2) and shown() == {"hit", "other"}, within_s=10, what="one asked anew")
        tell(False, True)
        tell(False, False)
        wait_until(
            lambda: counted(3) and shown() == {"hit", "other"}, within_s=10, what="all that were ready"
        )


def test_its_processor_time_has_a_role_of_its_own(target: LocalTarget) -> None:
    (pid,) = target.pids()["prober"]
    assert "chaos.targets.local.prober" in psutil.Process(pid).cmdline()


def test_it_dies_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    wanted = spec(tmp_path, replicas=1, prometheus=True, prober=QUICK)
    with LocalTarget(wanted) as target:
        (pid,) = target.pids()["prober"]
        (supervisor,) = target.pids()["supervisor"]
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(pid), within_s=10, what="a prober that is gone")
    assert of_run(wanted.run_id) == []


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        pytest.param({}, True, id="a reference server, and nothing said"),
        pytest.param({"prober": False}, False, id="said no"),
        pytest.param({"command": ["serve", "{port}"]}, False, id="another server, and nothing said"),
        pytest.param({"command": ["serve", "{port}"], "prober": True}, True, id="another server, said yes"),
    ],
)
def test_it_runs_by_itself_where_the_replicas_leave_it_out_of_their_counts(
    said: dict[str, object], runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs: list[LocalSpec] = []
    monkeypatch.setattr("chaos.targets.local.options.LocalTarget", lambda spec, *_: specs.append(spec))
    LocalOptions.model_validate({"replicas": 2, **said}).open(Opening("probed", tmp_path, 1, model="m"))
    assert [each.prober for each in specs] == [ProberSpec(model="m") if runs else None]
    assert LocalSpec.from_wire(specs[0].to_wire()) == specs[0]


def test_the_more_replicas_there_are_the_rarer_each_is_asked() -> None:
    few, many = (ProberSpec(every_s=5, most_per_s=2).period_s(count) for count in (4, 100))
    assert (few, many) == (5, 50)
