"""The scaled rules on a real Prometheus over a real exposition: alerts become pending, fire, and resolve."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.rules import files as rules
from exporters.inference import Exposition, InferenceMetrics, serve
from tests.conftest import wait_until

LIVE_RULES = Path(__file__).parents[1] / rules.FOLDER / "live.rules.yaml"


@dataclass
class Watched:
    """One replica's exposition, and the Prometheus that evaluates the live rules over it."""

    metrics: InferenceMetrics
    exposition: Exposition
    url: str
    states: dict[str, list[str]] = field(default_factory=dict)

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.load(answer)["data"]

    def state(self, name: str) -> str:
        """Of one alert: pending, firing, or empty; each change is kept."""
        found = [
            alert["state"]
            for alert in self.ask("/api/v1/alerts")["alerts"]
            if alert["labels"]["alertname"] == name
        ]
        now = found[0] if found else ""
        seen = self.states.setdefault(name, [""])
        if seen[-1] != now:
            seen.append(now)
        return now

    def alert(self, name: str) -> dict[str, Any]:
        (found,) = [a for a in self.ask("/api/v1/alerts")["alerts"] if a["labels"]["alertname"] == name]
        return dict(found)

    def recorded(self, name: str) -> bool:
        return bool(self.ask(f"/api/v1/query?query={name}")["result"])

    def wait_for(self, name: str, state: str) -> None:
        wait_until(lambda: self.state(name) == state, within_s=60, what=f"{name} {state or 'resolved'}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder, port = tmp_path_factory.mktemp("live"), free_port()
    metrics = InferenceMetrics("tiny", cache_tiers=("memory",))
    with serve(metrics.registry, host="127.0.0.1", port=0) as exposition:
        scrape = {
            "job_name": "deepseek-metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{exposition.port}"], "labels": {"pod": "a"}}],
        }
        every = {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"}
        config = {"global": every, "rule_files": [str(LIVE_RULES)], "scrape_configs": [scrape]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as server:
            try:
                here = Watched(metrics, exposition, f"http://127.0.0.1:{port}")
                wait_until(lambda: is_ready(here.url), within_s=30, what="Prometheus")
                wait_until(lambda: here.recorded("inf:replicas_up"), within_s=30, what="a recorded signal")
                yield here
            finally:
                server.terminate()


def test_a_full_cache_with_requests_waiting_is_pending_then_fires_then_resolves(watched: Watched) -> None:
    assert watched.state("KvCacheExhausted") == ""
    watched.metrics.kv_usage(1.0)
    waiting = watched.metrics.request(streaming=True)
    watched.wait_for("KvCacheExhausted", "firing")
    alert = watched.alert("KvCacheExhausted")
    assert alert["labels"] == {
        "alertname": "KvCacheExhausted",
        "severity": "ticket",
        "job": "deepseek-metrics",
        "instance": f"127.0.0.1:{watched.exposition.port}",
        "pod": "a",
        "model": "tiny",
        "runtime": "reference",
    }
    assert alert["annotations"]["description"].startswith(
        "100% of the KV cache of tiny is used and requests wait"
    )
    assert alert["annotations"]["runbook_url"] == "docs/runbooks/KvCacheExhausted.md"
    waiting.scheduled()
    waiting.finished("ok")
    watched.wait_for("KvCacheExhausted", "")
    assert watched.states["KvCacheExhausted"] == ["", "pending", "firing", ""]


def test_failing_requests_burn_the_budget_of_an_hour_in_a_minute(watched: Watched) -> None:
    def one_more_fails() -> bool:
        watched.metrics.request(streaming=True).finished("error")
        return watched.state("ErrorRatioHigh") == "firing"

    wait_until(one_more_fails, within_s=60, what="ErrorRatioHigh firing")
    assert watched.states["ErrorRatioHigh"] == ["", "pending", "firing"]
    burning = [
        a["labels"]
        for a in watched.ask("/api/v1/alerts")["alerts"]
        if a["labels"]["alertname"] == "E2eBudgetBurn"
    ]
    assert {(labels["severity"], labels["long_window"]) for labels in burning} >= {
        ("page", "1h"),
        ("ticket", "3d"),
    }
    watched.wait_for("ErrorRatioHigh", "")


def test_every_rule_evaluates_without_an_error(watched: Watched) -> None:
    evaluated = [rule for group in watched.ask("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert [(rule["name"], rule["lastError"]) for rule in evaluated if rule["health"] == "err"] == []
    assert len(evaluated) == LIVE_RULES.read_text().count("expr:")


def test_a_replica_that_falls_silent_is_down_and_its_signals_are_missed(watched: Watched) -> None:
    watched.exposition.close()
    watched.wait_for("ReplicaDown", "firing")
    assert watched.states["ReplicaDown"] == ["", "pending", "firing"]

    def missed() -> set[str]:
        alerts = watched.ask("/api/v1/alerts")["alerts"]
        return {a["labels"]["signal"] for a in alerts if "signal" in a["labels"] and a["state"] == "firing"}

    told = {"collector_success", "e2e_seconds", "itl_seconds", "kv_usage", "prefix_hits", "prefix_lookups"}
    told |= {"queue_age_seconds", "request", "ttft_seconds", "waiting"}
    wait_until(lambda: missed() == told, within_s=60, what="every signal missed")
