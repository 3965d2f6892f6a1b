"""A real Prometheus over changing targets with the scaled rules, and when each alert became what."""

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from chaos.targets.local.ports import free_port
from chaos.targets.local.prometheus import find_prometheus
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB
from tests.support.drill_page import Rule

POLL_S = 0.2
READY_S = 20.0


@dataclass(frozen=True, slots=True)
class ScrapedAt:
    """One target: its job, address, and the namespace that its series and alerts carry."""

    job: str
    address: str
    namespace: str


class Watch:
    """Prometheus with file-based targets; a thread asks it five times a second which alerts fire."""

    def __init__(self, folder: Path, rules: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self._lock = threading.Lock()
        self._firing: set[tuple[str, frozenset[tuple[str, str]]]] = set()
        self._closed = threading.Event()
        self.url = f"http://127.0.0.1:{free_port(())}"
        (folder / "prometheus.yml").write_text(json.dumps(self._config(rules)))
        self.show(())

    def _config(self, rules: Path) -> dict[str, Any]:
        every = {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"}
        scrapes = [
            {"job_name": job, "file_sd_configs": [{"files": [str(self._folder / f"{job}.json")]}]}
            for job in (REPLICA_JOB, GATEWAY_JOB, "exporters")
        ]
        return {"global": every, "rule_files": [str(rules.resolve())], "scrape_configs": scrapes}

    def show(self, targets: Iterable[ScrapedAt]) -> None:
        """Scrape these from now on (Prometheus takes up to five seconds to follow)."""
        told = list(targets)
        for job in (REPLICA_JOB, GATEWAY_JOB, "exporters"):
            rows = [
                {"targets": [t.address], "labels": {"namespace": t.namespace}} for t in told if t.job == job
            ]
            fresh = self._folder / f"{job}.tmp"
            fresh.write_text(json.dumps(rows))
            fresh.replace(self._folder / f"{job}.json")

    def __enter__(self) -> Self:
        command = [
            *(find_prometheus(), f"--config.file={self._folder / 'prometheus.yml'}"),
            *(f"--storage.tsdb.path={self._folder / 'data'}", "--log.level=error"),
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        self._process = subprocess.Popen(command)
        deadline_s = time.monotonic() + READY_S
        while not self._ask("/-/ready"):
            if time.monotonic() > deadline_s:
                self._process.terminate()
                raise TimeoutError("Prometheus does not get ready")
            time.sleep(0.05)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(5)
        self._process.terminate()
        self._process.wait()

    def is_firing(self, rule: Rule, namespace: str | None) -> bool:
        """Whether an alert of this rule fires now, in this namespace (None: in any, or in none)."""
        wanted = set(rule.labels.items()) | ({("namespace", namespace)} if namespace else set())
        with self._lock:
            return any(name == rule.name and wanted <= labels for name, labels in self._firing)

    def up(self) -> int:
        """How many targets answered their last scrape."""
        found = json.loads(self._ask("/api/v1/query?query=sum(up)") or "{}").get("data", {}).get("result", [])
        return int(float(found[0]["value"][1])) if found else 0

    def version(self) -> str:
        """Of Prometheus."""
        return str(json.loads(self._ask("/api/v1/status/buildinfo") or "{}")["data"]["version"])

    def _follow(self) -> None:
        while not self._closed.wait(POLL_S):
            text = self._ask("/api/v1/alerts")
            if text:
                alerts = json.loads(text)["data"]["alerts"]
                firing = {
                    (a["labels"]["alertname"], frozenset(a["labels"].items()))
                    for a in alerts
                    if a["state"] == "firing"
                }
                with self._lock:
                    self._firing = firing

    def _ask(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""
