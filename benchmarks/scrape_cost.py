"""What a scrape costs: one replica, 200 replicas' worth behind one endpoint, and 200 targets of a real Prometheus.

    python benchmarks/scrape_cost.py [--replicas 200] [--seconds 30] [--interval 5]

Rendering runs in this process; Prometheus (on PATH) scrapes one replica's endpoint under as many target names as there
are replicas. Prints series, bytes and milliseconds, then what Prometheus says of itself. Takes about a minute.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from chaos.prometheus import PrometheusClient
from chaos.targets.local.ports import free_port
from chaos.targets.local.prometheus import find_prometheus
from exporters.inference import InferenceMetrics, serve
from exporters.registry import Registry, counter, gauge, histogram
from exporters.series.family import Family, Kind
from exporters.series.groups import GROUPS
from exporters.series.server import DIRECTIONS, OUTCOMES, STREAMING

VALUES: Mapping[str, tuple[str, ...]] = {
    "outcome": OUTCOMES,
    "streaming": STREAMING,
    "direction": DIRECTIONS,
    "tier": ("memory",),
    "version": ("0",),
    "python": ("3",),
}
FIRST_SCRAPES_S = 15.0
"""Prometheus takes about five seconds to its first scrape, and one interval to scrape all targets once."""


def busy_replica() -> InferenceMetrics:
    """One server's series after a request of each kind."""
    metrics = InferenceMetrics("tiny", cache_tiers=("memory",))
    for outcome, streaming in itertools.product(OUTCOMES, (True, False)):
        request = metrics.request(streaming=streaming)
        request.scheduled()
        request.token()
        request.token()
        request.finished(outcome, prompt_tokens=8)
    metrics.cache_lookup("memory", queried_tokens=8, hit_tokens=4)
    return metrics


def fleet(replicas: int) -> CollectorRegistry:
    """The series of that many servers in one registry, told apart by the label `model`."""
    registry = Registry()
    for family in GROUPS["Inference server"]:
        fill(family, replicas, registry)
    return registry


def fill(family: Family, replicas: int, registry: CollectorRegistry) -> None:
    """Every child of one family."""
    make: dict[Kind, Callable[[Family, CollectorRegistry], Counter | Gauge | Histogram]]
    make = {"counter": counter, "gauge": gauge, "histogram": histogram}
    registered = make[family.kind](family, registry)
    names = {"model": tuple(f"replica-{number:03d}" for number in range(replicas)), **VALUES}
    for values in itertools.product(*(names[label] for label in family.labels)):
        registered.labels(*values)


def rendered(registry: CollectorRegistry, times: int) -> tuple[int, int, float]:
    """Series, bytes and the median milliseconds of rendering."""
    took_ms = []
    text = b""
    for _ in range(times):
        began_s = time.perf_counter()
        text = generate_latest(registry)
        took_ms.append(1000 * (time.perf_counter() - began_s))
    series = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    return series, len(text), statistics.median(took_ms)


def scraped(replicas: int, interval_s: float, seconds: float) -> None:
    """Print what a real Prometheus says of scraping that many targets."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        exposition = stack.enter_context(serve(busy_replica().registry, host="127.0.0.1", port=0))
        rows = [
            {"targets": [f"127.0.0.1:{exposition.port}"], "labels": {"replica": f"replica-{number:03d}"}}
            for number in range(replicas)
        ]
        port = free_port((exposition.port,))
        jobs = [
            {"job_name": "replicas", "static_configs": rows},
            {"job_name": "itself", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        ]
        every = {"scrape_interval": f"{interval_s:g}s", "scrape_timeout": f"{interval_s:g}s"}
        # JSON is YAML: no library is needed to write it.
        (folder / "prometheus.yml").write_text(json.dumps({"global": every, "scrape_configs": jobs}))
        process = subprocess.Popen(
            [
                *(find_prometheus(), f"--config.file={folder / 'prometheus.yml'}"),
                *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
                "--log.level=error",
            ]
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        time.sleep(FIRST_SCRAPES_S)
        ours_s, began_s = sum(os.times()[:2]), time.monotonic()
        time.sleep(seconds)
        ours_share = (sum(os.times()[:2]) - ours_s) / (time.monotonic() - began_s)
        tell(PrometheusClient(f"http://127.0.0.1:{port}"), seconds, ours_share)


def tell(client: PrometheusClient, seconds: float, ours_share: float) -> None:
    """Print Prometheus's own figures over the last `seconds`."""
    window = f"[{seconds:.0f}s]"
    for what, query, unit in (
        ("targets up", 'sum(up{job="replicas"})', ""),
        ("series in memory", "prometheus_tsdb_head_series", ""),
        ("samples a second", f"rate(prometheus_tsdb_head_samples_appended_total{window})", ""),
        ("mean scrape", 'avg(scrape_duration_seconds{job="replicas"}) * 1000', " ms"),
        ("slowest scrape", 'max(scrape_duration_seconds{job="replicas"}) * 1000', " ms"),
        ("Prometheus, of a core", f"rate(process_cpu_seconds_total{window}) * 100", " %"),
        ("Prometheus, memory", "process_resident_memory_bytes / 1048576", " MiB"),
    ):
        found = client.instant(query, time.time())
        value = sum(series.value for series in found) if found else float("nan")
        print(f"  {what:<32}{value:10.1f}{unit}")
    print(f"  {'rendering all of them, of a core':<32}{100 * ours_share:10.1f} %")


def main() -> int:
    """Print all three parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--interval", type=float, default=5.0)
    options = parser.parse_args()
    for what, registry, times in (
        ("one replica", busy_replica().registry, 50),
        (f"{options.replicas} replicas' worth in one registry", fleet(options.replicas), 5),
    ):
        series, size, took_ms = rendered(registry, times)
        print(f"{what}: {series} series, {size / 1000:.0f} kB, {took_ms:.1f} ms to render")
    print(f"Prometheus, {options.replicas} targets every {options.interval:g} s:")
    scraped(options.replicas, options.interval, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
