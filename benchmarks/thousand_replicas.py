"""What one Prometheus takes for 1,000 replicas: series, samples, CPU, memory, rules, the Fleet dashboard's queries.

    python -m benchmarks.thousand_replicas [--replicas 1000] [--interval 15] [--seconds 450] [--json FILE]

A crowd of replicas (`tests.support.replica_crowd`) is scraped by a real Prometheus: `--seconds` without rules, then as
many with the production rule files. Then nothing is scraped or evaluated any more, and each query is asked alone: its
processor time is Prometheus' own, however busy the machine is. Needs about 3 GB of memory at 1,000 replicas.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import yaml

from chaos.errors import InconclusiveError
from chaos.prometheus import PrometheusClient
from chaos.targets.local.ports import free_port
from chaos.targets.local.prometheus import find_prometheus
from dashboards.boards.catalogue import dashboards
from dashboards.boards.panels import Panel
from dashboards.config import bound

RULES = Path("dashboards/generated/rules/reference.yaml")
TIMES = 3
POINTS = 1000
"""Grafana asks for about one point per pixel, and never finer than the scrape interval."""
QUERY_TIMEOUT_S = 60.0
Told = dict[str, Any]


def config(replicas: int, interval_s: float, crowd: int, itself: int, *, rules: bool) -> Told:
    """As a Prometheus in production would have it, one target per replica."""
    every = f"{interval_s:g}s"
    rows = [
        {
            "targets": [f"127.0.0.1:{crowd}"],
            "labels": {
                "__metrics_path__": f"/{number}",
                "instance": f"10.0.{number // 250}.{number % 250}:8081",
                "pod": f"replica-{number:04d}",
            },
        }
        for number in range(replicas)
    ]
    gateway = {"targets": [f"127.0.0.1:{crowd}"], "labels": {"__metrics_path__": "/gateway"}}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(RULES.resolve())] if rules else [],
        "scrape_configs": [
            {"job_name": "deepseek-metrics", "static_configs": rows},
            {"job_name": "gateway", "static_configs": [gateway]},
            {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{itself}"]}]},
        ],
    }


def cost(client: PrometheusClient, window_s: float) -> Told:
    """What Prometheus says of itself over the last `window_s` seconds."""
    window = f"[{window_s:.0f}s]"
    replicas = '{job="deepseek-metrics"}'
    asked = {
        "replicas_up": f"sum(up{replicas})",
        "series_per_replica": f"avg(scrape_samples_scraped{replicas})",
        "series_in_memory": "prometheus_tsdb_head_series",
        "samples_per_s": f"rate(prometheus_tsdb_head_samples_appended_total{window})",
        "cpu_of_a_core": f'rate(process_cpu_seconds_total{{job="prometheus"}}{window})',
        "resident_mib": 'process_resident_memory_bytes{job="prometheus"} / 1048576',
        "resident_most_mib": f'max_over_time(process_resident_memory_bytes{{job="prometheus"}}{window}) / 1048576',
        "scrape_mean_ms": f"1000 * avg(avg_over_time(scrape_duration_seconds{replicas}{window}))",
        "scrape_slowest_ms": f"1000 * max(max_over_time(scrape_duration_seconds{replicas}{window}))",
        "rule_iterations_missed": "sum(prometheus_rule_group_iterations_missed_total)",
        "rule_failures": "sum(prometheus_rule_evaluation_failures_total)",
        "rules_all_groups_s": f"sum(avg_over_time(prometheus_rule_group_last_duration_seconds{window}))",
    }
    return {name: _one(client, query) for name, query in asked.items()}


def rule_groups(client: PrometheusClient, window_s: float) -> Sequence[Told]:
    """Each group's rules and evaluation time, the slowest first."""
    family, window = "prometheus_rule_group_last_duration_seconds", f"[{window_s:.0f}s]"
    now_s = time.time()
    mean = {
        s.labels["rule_group"]: s.value for s in client.instant(f"avg_over_time({family}{window})", now_s)
    }
    most = {
        s.labels["rule_group"]: s.value for s in client.instant(f"max_over_time({family}{window})", now_s)
    }
    rules = {s.labels["rule_group"]: s.value for s in client.instant("prometheus_rule_group_rules", now_s)}
    return [
        {
            "group": group.rpartition(";")[2],
            "rules": int(rules[group]),
            "mean_ms": round(1000 * mean[group], 1),
            "slowest_ms": round(1000 * most[group], 1),
        }
        for group in sorted(mean, key=lambda name: -mean[name])
    ]


def panel_times(asker: "Asker", range_s: float, interval_s: float) -> Sequence[Told]:
    """Each query of the Fleet dashboard over its range, as Grafana would ask it."""
    step_s = max(interval_s, range_s / POINTS)
    # Grafana's $__rate_interval: the step and one scrape more, and never fewer than four scrapes.
    window = f"{max(step_s + interval_s, 4 * interval_s):g}s"
    return [
        {
            "panel": panel.title,
            "legend": query.legend,
            **asker.timed(bound(query.expression.text, window), range_s, max(step_s, _least_s(panel))),
        }
        for panel in dashboards()["fleet"].panels
        for query in panel.queries
    ]


def rule_times(asker: "Asker") -> Sequence[Told]:
    """Each group of the production rules: what one evaluation takes, its rules asked one after the other."""
    found = []
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        times = [asker.timed(rule["expr"], 0.0, 1.0, times=1) for rule in group["rules"]]
        total_ms = {key: round(sum(t[key] or 0.0 for t in times), 1) for key in ("median_ms", "cpu_ms")}
        found.append({"group": group["name"], "rules": len(times), **total_ms})
    return found


def _least_s(panel: Panel) -> float:
    return float((panel.min_step or "0s").removesuffix("s"))


class Asker:
    """Asks a Prometheus that does nothing else, at one instant of its past."""

    def __init__(self, client: PrometheusClient, pid: int, at_s: float) -> None:
        self._client = client
        self._process = psutil.Process(pid)
        self._at_s = at_s

    def timed(self, query: str, range_s: float, step_s: float, times: int = TIMES) -> Told:
        """Series, median and slowest wall time, and Prometheus' processor time of one asking."""
        took_ms, series, cpu_s = [], 0, self._cpu_s()
        for _ in range(times):
            began_s = time.perf_counter()
            try:
                series = len(self._client.range(query, self._at_s - range_s, self._at_s, step_s))
            except InconclusiveError as error:
                return {
                    "series": 0,
                    "median_ms": None,
                    "slowest_ms": None,
                    "cpu_ms": None,
                    "error": str(error),
                }
            took_ms.append(1000 * (time.perf_counter() - began_s))
        return {
            "series": series,
            "median_ms": round(statistics.median(took_ms), 1),
            "slowest_ms": round(max(took_ms), 1),
            "cpu_ms": round(1000 * (self._cpu_s() - cpu_s) / times, 1),
        }

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def _one(client: PrometheusClient, query: str) -> float | None:
    found = client.instant(query, time.time())
    return round(found[0].value, 3) if found else None


def measured(folder: Path, replicas: int, interval_s: float, seconds: float) -> Told:
    """Scrape the crowd without and with rules, then ask."""
    with ExitStack() as stack:
        crowd = _child(
            stack,
            *(sys.executable, "-m", "tests.support.replica_crowd", "--replicas", str(replicas)),
            *("--interval", str(interval_s), "--seconds", str(2 * seconds + 900)),
        )
        assert crowd.stdout is not None
        port, itself = int(crowd.stdout.readline()), free_port(())
        file, url = folder / "prometheus.yml", f"http://127.0.0.1:{itself}"
        file.write_text(json.dumps(config(replicas, interval_s, port, itself, rules=False)))
        prometheus = _child(
            stack,
            *(find_prometheus(), f"--config.file={file}", "--log.level=error", "--web.enable-lifecycle"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{itself}"),
        )
        client = PrometheusClient(url, timeout_s=QUERY_TIMEOUT_S)
        time.sleep(seconds)
        # The first scrapes create every series: what they cost is not what running costs.
        told: Told = {"cost": cost(client, seconds / 2)}
        _reload(url, file, config(replicas, interval_s, port, itself, rules=True))
        time.sleep(seconds)
        told["cost_with_rules"] = cost(client, seconds / 2)
        told["rule_groups"] = rule_groups(client, seconds / 2)
        asked_at_s = time.time()
        _reload(url, file, {})
        told["crowd_cpu_s"] = sum(psutil.Process(crowd.pid).cpu_times()[:2])
        asker = Asker(client, prometheus.pid, asked_at_s)
        told["range_s"] = min(2 * seconds, 900)
        told["panels"] = panel_times(asker, told["range_s"], interval_s)
        told["rules_alone"] = rule_times(asker)
        return told


def _reload(url: str, file: Path, wanted: Told) -> None:
    file.write_text(json.dumps(wanted))
    request = urllib.request.Request(f"{url}/-/reload", method="POST")
    urllib.request.urlopen(request, timeout=QUERY_TIMEOUT_S).close()


def _child(stack: ExitStack, *command: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE if "-m" in command else None, text=True)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=450.0, help="of each of the two halves")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = measured(Path(folder), options.replicas, options.interval, options.seconds)
    asked = {"replicas": options.replicas, "interval_s": options.interval, "seconds": options.seconds}
    told = {**asked, "cpus": os.cpu_count(), "load": os.getloadavg(), **told}
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    for name, value in told["cost"].items():
        print(f"{name:<24}{value!s:>14}{told['cost_with_rules'][name]!s:>14}")
    for row in (*told["rule_groups"], *told["rules_alone"], *told["panels"]):
        print(*(f"{value!s:<28}" for value in row.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
