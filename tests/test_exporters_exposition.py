"""The endpoint: one path, its own threads, and lines that promtool accepts."""

import asyncio
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from exporters.gpu import watch_gpus
from exporters.gpu_sources import Device
from exporters.inference import InferenceMetrics, serve
from exporters.series.groups import GROUPS
from exporters.series.server import OUTCOMES


def fetch(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        body: bytes = response.read()
        return body.decode()


def traffic(metrics: InferenceMetrics) -> None:
    for outcome in OUTCOMES:
        for streaming in (True, False):
            request = metrics.request(streaming=streaming)
            request.scheduled()
            for _ in range(3):
                request.token()
            request.finished(outcome, prompt_tokens=64, output_tokens=3)
    metrics.request(streaming=True).scheduled()
    metrics.request(streaming=True)
    metrics.cache_lookup("memory", queried_tokens=64, hit_tokens=48)
    metrics.kv_usage(0.25)


def test_a_path_that_leads_elsewhere_leads_there_and_no_other_does() -> None:
    metrics = InferenceMetrics("tiny")
    with serve(metrics.registry, host="127.0.0.1", port=0) as exposition:
        exposition.lead("/series", f"http://127.0.0.1:{exposition.port}/metrics?a=b%20c")
        assert fetch(exposition.port, "/series").startswith("# HELP")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(exposition.port, "/other")


def test_promtool_finds_nothing_wrong_after_real_traffic() -> None:
    metrics = InferenceMetrics("tiny", cache_tiers=("memory",))
    traffic(metrics)
    gpu = watch_gpus(metrics.collectors, devices=lambda: [Device(0, "GPU-a", 1024)])
    with gpu, serve(metrics.registry, host="127.0.0.1", port=0) as exposition:
        text = fetch(exposition.port)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_exactly_the_declared_families_are_exposed() -> None:
    metrics = InferenceMetrics("tiny", cache_tiers=("memory",))
    metrics.cache_lookup("memory", queried_tokens=1, hit_tokens=1)
    metrics.invalid_requests.count("body")
    with serve(metrics.registry, host="127.0.0.1", port=0) as exposition:
        lines = fetch(exposition.port).splitlines()
    exposed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert exposed == {
        family.name for group in ("Inference server", "Collectors") for family in GROUPS[group]
    }


def test_whoever_would_rather_have_openmetrics_gets_the_text_format() -> None:
    accepted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    with serve(InferenceMetrics("tiny").registry, host="127.0.0.1", port=0) as exposition:
        request = urllib.request.Request(f"http://127.0.0.1:{exposition.port}/metrics", headers=accepted)
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.headers.get_content_type() == "text/plain"
            assert b"# TYPE ds_requests_total counter" in answer.read()


@pytest.mark.parametrize("path", ["/", "/metrics/", "/favicon.ico", "/healthz"])
def test_nothing_but_metrics_is_served(path: str) -> None:
    with serve(CollectorRegistry(), host="127.0.0.1", port=0) as exposition:
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(exposition.port, path)
        refused.value.close()
    assert refused.value.code == 404


def test_a_port_in_use_is_an_error_and_a_closed_one_is_free_again() -> None:
    first = serve(CollectorRegistry(), host="127.0.0.1", port=0)
    with pytest.raises(OSError, match="in use"):
        serve(CollectorRegistry(), host="127.0.0.1", port=first.port)
    first.close()
    first.close()
    serve(CollectorRegistry(), host="127.0.0.1", port=first.port).close()


class Stuck:
    """Holds two scrapes at once until both are let go."""

    def __init__(self) -> None:
        self.both_inside = threading.Barrier(2)
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.threads: set[int] = set()

    def collect(self) -> Iterable[Metric]:
        self.threads.add(threading.get_ident())
        self.both_inside.wait(10)
        self.entered.set()
        assert self.let_go.wait(10)
        return ()


def test_stuck_scrapes_hold_up_neither_the_event_loop_nor_each_other() -> None:
    stuck = Stuck()
    registry = CollectorRegistry()
    registry.register(stuck)

    async def serve_tokens() -> int:
        with serve(registry, host="127.0.0.1", port=0) as exposition:
            scrapes = [asyncio.create_task(asyncio.to_thread(fetch, exposition.port)) for _ in range(2)]
            assert await asyncio.to_thread(stuck.entered.wait, 10)
            stuck.let_go.set()  # only a loop that still runs gets here
            await asyncio.wait_for(asyncio.gather(*scrapes), timeout=10)
        return threading.get_ident()

    loop_thread = asyncio.run(serve_tokens())
    assert len(stuck.threads) == 2
    assert loop_thread not in stuck.threads
