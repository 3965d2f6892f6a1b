"""What one Prometheus takes for 1,000 replicas: series, samples, CPU, memory, rules, the Fleet dashboard's queries.

    python -m benchmarks.thousand_replicas [--replicas 1000] [--interval 15] [--seconds 900] [--json FILE]

A crowd of replicas (`benchmarks.replica_crowd`) is scraped by a real Prometheus with the production rule files. Takes
`--seconds` and about one minute more; needs about 2.5 GB of memory at 1,000 replicas.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from chaos.errors import InconclusiveError
from chaos.prometheus import PrometheusClient, find_prometheus
from chaos.targets.local.ports import free_port
from dashboards.config import bound
from dashboards.fleet import fleet
from dashboards.panels import Panel

RULES = Path("dashboards/generated")
RULE_FILES = ("recording", "slo", "alerts")
TIMES = 5
POINTS = 1000
"""Grafana asks for about one point per pixel, and never finer than the scrape interval."""
QUERY_TIMEOUT_S = 60.0
Told = dict[str, Any]


def config(replicas: int, interval_s: float, crowd: int, itself: int) -> Told:
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
        "rule_files": [str((RULES / f"{name}.rules.yaml").resolve()) for name in RULE_FILES],
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


def panel_times(client: PrometheusClient, range_s: float, interval_s: float) -> Sequence[Told]:
    """Each query of the Fleet dashboard over its range, as Grafana would ask it: median and slowest of several."""
    step_s = max(interval_s, range_s / POINTS)
    # Grafana's $__rate_interval: the step and one scrape more, and never fewer than four scrapes.
    window = f"{max(step_s + interval_s, 4 * interval_s):g}s"
    return [
        {
            "panel": panel.title,
            "legend": target.legend,
            **_timed(client, bound(target.expression, window), range_s, max(step_s, _least_s(panel))),
        }
        for panel in fleet().panels
        for target in panel.targets
    ]


def _least_s(panel: Panel) -> float:
    return float((panel.min_step or "0s").removesuffix("s"))


def _timed(client: PrometheusClient, query: str, range_s: float, step_s: float) -> Told:
    took_ms, series = [], 0
    for _ in range(TIMES):
        now_s, began_s = time.time(), time.perf_counter()
        try:
            series = len(client.range(query, now_s - range_s, now_s, step_s))
        except InconclusiveError as error:
            return {"series": 0, "median_ms": None, "slowest_ms": None, "error": str(error)[-200:]}
        took_ms.append(1000 * (time.perf_counter() - began_s))
    return {
        "series": series,
        "median_ms": round(statistics.median(took_ms), 1),
        "slowest_ms": round(max(took_ms), 1),
    }


def _one(client: PrometheusClient, query: str) -> float | None:
    found = client.instant(query, time.time())
    return round(found[0].value, 3) if found else None


def measured(folder: Path, replicas: int, interval_s: float, seconds: float) -> Told:
    """Scrape the crowd for so long, then ask."""
    with ExitStack() as stack:
        crowd = _child(
            stack,
            *(sys.executable, "-m", "benchmarks.replica_crowd", "--replicas", str(replicas)),
            *("--interval", str(interval_s), "--seconds", str(seconds + 600)),
        )
        assert crowd.stdout is not None
        port, itself = int(crowd.stdout.readline()), free_port(())
        (folder / "prometheus.yml").write_text(json.dumps(config(replicas, interval_s, port, itself)))
        _child(
            stack,
            *(find_prometheus(), f"--config.file={folder / 'prometheus.yml'}", "--log.level=error"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{itself}"),
        )
        time.sleep(seconds)
        client = PrometheusClient(f"http://127.0.0.1:{itself}", timeout_s=QUERY_TIMEOUT_S)
        # The first minute creates every series: what it costs is not what running costs.
        window_s = max(seconds - 60, seconds / 2)
        crowd_times = psutil.Process(crowd.pid).cpu_times()
        told = {
            "cost": cost(client, window_s),
            "crowd_cpu_of_a_core": round((crowd_times.user + crowd_times.system) / seconds, 3),
            "rule_groups": rule_groups(client, window_s),
        }
        range_s = min(seconds, 900)
        return {**told, "range_s": range_s, "panels": panel_times(client, range_s, interval_s)}


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
    parser.add_argument("--seconds", type=float, default=900.0)
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
        print(f"{name:<24}{value:>14}")
    for row in (*told["rule_groups"], *told["panels"]):
        print(*(f"{value!s:<28}" for value in row.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
