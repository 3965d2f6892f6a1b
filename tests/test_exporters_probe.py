"""The probe sees what a client would see, ends at its deadline whatever the server does, and keeps count."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporters.collectors import CollectorSet
from exporters.probe import ProbeCollector, Prober, ProbeTarget, probe
from exporters.series.groups import GROUPS
from exporters.series.probe import PROBE_OUTCOMES
from tests.support.scripted_server import ScriptedServer

Eventually = Callable[..., object]
DEADLINE_S = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("ok", "ok"),
        ("unframed", "ok"),
        ("no_finish", "incomplete"),
        ("status-500", "error"),
        ("status-429", "error"),
        ("reset", "error"),
        ("eof", "error"),
        ("half_a_head", "incomplete"),
        ("reset_mid", "error"),
        ("garbage", "error"),
        ("not_http", "error"),
        ("error_event", "error"),
        ("finish-tool_calls", "ok"),
        ("finish-abort", "incomplete"),
        ("cut_unframed", "incomplete"),
        ("no_done", "incomplete"),
        ("ok-0", "incomplete"),
        ("silent", "timeout"),
        ("heartbeats", "timeout"),
        ("stall", "timeout"),
        ("trickle", "timeout"),
    ],
)
def test_every_way_of_a_server_to_answer_is_one_outcome_before_the_deadline(
    server: ScriptedServer, script: str, outcome: str
) -> None:
    deadline_s = (
        DEADLINE_S if outcome == "timeout" else 20.0
    )  # others must not need it, on the busiest machine
    began_s = time.monotonic()
    result = probe(ProbeTarget(server.url(script), "tiny", timeout_s=deadline_s))
    assert result.outcome == outcome
    assert result.outcome in PROBE_OUTCOMES
    assert result.duration_s <= time.monotonic() - began_s < deadline_s + 5
    assert (result.duration_s >= deadline_s) == (outcome == "timeout")


def test_a_stream_that_is_cut_is_no_success(server: ScriptedServer) -> None:
    assert probe(ProbeTarget(server.url("cut"), "tiny", timeout_s=20)).outcome in {
        "incomplete",
        "error",
    }


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:80"])
def test_a_server_that_is_not_there_is_refused(address: str) -> None:
    result = probe(ProbeTarget(f"http://{address}", "tiny", timeout_s=5))
    assert (result.outcome, result.ttft_s, result.tpot_s) == ("refused", None, None)


def test_tokens_are_timed_from_the_start_of_the_probe_and_from_each_other(server: ScriptedServer) -> None:
    result = probe(ProbeTarget(server.url("ok-6-50"), "tiny"))
    assert result.outcome == "ok"
    assert result.ttft_s is not None
    assert result.tpot_s is not None
    assert 0.05 <= result.ttft_s < result.duration_s
    assert 0.04 < result.tpot_s < 5
    assert result.ttft_s + 5 * result.tpot_s <= result.duration_s + 1e-6


def test_a_single_token_has_no_time_per_token(server: ScriptedServer) -> None:
    result = probe(ProbeTarget(server.url("ok-1"), "tiny"))
    assert (result.outcome, result.tpot_s) == ("ok", None)


def test_the_request_is_small_streams_and_carries_the_key(server: ScriptedServer) -> None:
    probe(ProbeTarget(server.url("ok"), "tiny", api_key="sk-secret"))
    path, headers, body = server.requests[-1]
    assert path == "/ok/v1/chat/completions"
    assert headers["authorization"] == "bearer sk-secret"
    assert json.loads(body) | {"messages": []} == {
        "model": "tiny",
        "messages": [],
        "max_tokens": 8,
        "temperature": 0,
        "stream": True,
    }


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://a:port"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a base URL"):
        ProbeTarget(url, "tiny")


def test_series_follow_a_server_that_dies_and_promtool_likes_them(eventually: Eventually) -> None:
    registry = CollectorRegistry()
    with ScriptedServer() as server:
        target = ProbeTarget(server.url("ok-3"), "tiny", timeout_s=2)
        prober = Prober(target, every_s=0.02)
        CollectorSet(registry).add("probe", ProbeCollector([prober]))

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(name, {"target": target.name, "model": "tiny", **labels})

        eventually(lambda: (value("ds_probe_requests_total", outcome="ok") or 0) >= 2, within_s=30)
        assert value("ds_probe_success") == 1
        assert (value("ds_probe_time_to_first_token_seconds") or 0) > 0
        assert value("ds_probe_time_per_output_token_seconds") is not None
        assert 0 <= (value("ds_probe_age_seconds") or 0) < 5
        text = generate_latest(registry).decode()
    eventually(lambda: (value("ds_probe_requests_total", outcome="refused") or 0) >= 1, within_s=30)
    eventually(lambda: value("ds_probe_success") == 0, within_s=30)
    assert value("ds_probe_time_to_first_token_seconds") is None, "a figure of an earlier probe must not stay"
    prober.stop()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ds_probe")}
    assert exposed == {family.name for family in GROUPS["Probe"]}


def test_every_outcome_is_countable_from_zero_before_the_first_probe_has_ended(
    server: ScriptedServer,
) -> None:
    prober = Prober(ProbeTarget(server.url("silent"), "tiny"), every_s=1)
    registry = CollectorRegistry()
    CollectorSet(registry).add("probe", ProbeCollector([prober]))
    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("ds_probe")]
    assert [line.rpartition(" ")[2] for line in lines] == ["0.0"] * len(PROBE_OUTCOMES)
    prober.stop()
