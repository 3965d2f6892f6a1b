"""A Prometheus that scrapes a real H200's recorded expositions, one after the other, as if they happened now."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time

from chaos.prometheus import PrometheusClient
from chaos.targets.local.ports import free_port
from chaos.targets.local.prometheus import ScrapeTarget, ServerFiles, find_prometheus
from tests.conftest import wait_until

RECORDED = Path(__file__).parents[1] / "data" / "h200"
STEPS = (
    "idle",
    "load",
    *(f"fragmentation-{step}" for step in ("before", "filled", "fragmented", "refused", "after")),
)
STEP_S = 12.0
POD = "recorded-h200"


@contextmanager
def recorded_gpu(folder: Path) -> Iterator[PrometheusClient]:
    """Play the steps once from the first scrape on, stay at the last, and hold the Prometheus open."""
    begin = threading.Event()
    with _played(begin) as address:
        files = ServerFiles(folder)
        files.write_config(address)  # as the gateway's job, which the GPU dashboard does not look at
        files.write_targets([ScrapeTarget(address, {"pod": POD})])
        port = free_port(())
        process = subprocess.Popen(files.command(find_prometheus(), port), stderr=subprocess.DEVNULL)
        client = PrometheusClient(f"http://127.0.0.1:{port}")

        def scraped() -> bool:
            with suppress(Exception):  # it listens a moment after it starts
                return bool(client.instant("ds_gpu_up == 1", time()))
            return False

        try:
            wait_until(scraped, within_s=30, what="the first scrape of the recorded GPU")
            begin.set()
            yield client
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def _played(begin: threading.Event) -> Iterator[str]:
    """The address at which the exposition of the moment is served: the first one until it begins."""
    texts = [(RECORDED / f"{step}.prom").read_bytes() for step in STEPS]
    now, over = [texts[0]], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(now[0])

        def log_message(self, *_: object) -> None:
            pass

    def play() -> None:
        begin.wait()
        for text in texts:
            now[0] = text
            if over.wait(STEP_S):
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threads = [threading.Thread(target=work) for work in (server.serve_forever, play)]
    for thread in threads:
        thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        over.set()
        begin.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
