"""What the drill lets Prometheus scrape: our instrumentation fed with made events, recordings, real processes."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from chaos.targets.local.ports import free_port
from exporters.comm import CommMetrics
from exporters.exposition import Exposition, serve
from exporters.gpu import GpuCollector, GpuReading
from exporters.gpu_sources import Device
from exporters.inference import InferenceMetrics
from exporters.registry import counter, gauge
from exporters.request_events import RequestMetrics
from exporters.series import comm, gateway
from exporters.series.gpu import THROTTLE_REASONS, XIDS

RECORDED = Path(__file__).parents[1] / "tests" / "data" / "h200"
READY_S = 90.0


class Instrumented:
    """One exposition of the real instrumentation. Ten made requests a second; each attribute says how they go."""

    def __init__(self, model: str) -> None:
        self._now_s = 0.0
        self._xids = 0
        self.inference = InferenceMetrics(model, cache_tiers=("memory",), clock=lambda: self._now_s)
        registry = self.inference.registry
        self._comm = CommMetrics(registry)
        self._comm.expect(comm.TCP_RTT, "inter", "10.0.0.8:8085")
        self._gateway_requests = counter(gateway.GATEWAY_REQUESTS, registry)
        for outcome in ("ok", "http_5xx"):
            self._gateway_requests.labels(outcome)
        self._gateway_retries = counter(gateway.GATEWAY_RETRIES, registry)
        self._ready = gauge(gateway.GATEWAY_READY, registry)
        self.inference.collectors.add("gpu", _Collector(self._gpu_families))
        self.inference.collectors.add("drill", _Collector(self._nothing))
        self._in_queue: RequestMetrics | None = None
        self.reset()
        self.port = next(PORTS)
        self._exposition: Exposition | None = None
        self.listen()

    def reset(self) -> None:
        """Everything is well, and GPUs are made up instead of recorded."""
        self.outcome, self.gateway_outcome = "ok", "ok"
        self.gap_s, self.hit_tokens, self.retries, self.rtt_s = 0.05, 32, 0, 0.0005
        self.gpu_lost, self.throttle, self.xids_per_tick, self.ready = False, "", 0, 1
        self.collector_broken, self.recording = False, ""
        self.kv_usage, self.one_waits = 0.5, False

    def listen(self) -> None:
        """Serve again at the same port."""
        self._exposition = serve(self.inference.registry, host="127.0.0.1", port=self.port)

    def fall_silent(self) -> None:
        """Close the listener, as a process that has gone."""
        if self._exposition is not None:
            self._exposition.close()
            self._exposition = None

    @property
    def address(self) -> str:
        """Where it is scraped."""
        return f"127.0.0.1:{self.port}"

    def tick(self) -> None:
        """One request, seen by everything that counts requests."""
        request = self.inference.request(streaming=True)
        request.scheduled()
        for _ in range(3):
            self._now_s += self.gap_s
            request.token()
        request.finished(self.outcome, prompt_tokens=64)
        self.inference.cache_lookup("memory", queried_tokens=64, hit_tokens=self.hit_tokens)
        self._gateway_requests.labels(self.gateway_outcome).inc()
        self._gateway_retries.inc(self.retries)
        self.inference.kv_usage(self.kv_usage)
        self.inference.engine.preempted(0)
        if self.one_waits and self._in_queue is None:
            self._in_queue = self.inference.request(streaming=True)
        elif self._in_queue is not None and not self.one_waits:
            self._in_queue.finished("aborted", prompt_tokens=64)
            self._in_queue = None
        self._ready.set(self.ready)
        self._xids += self.xids_per_tick
        self._comm.observe(comm.TCP_RTT, "inter", "10.0.0.8:8085", self.rtt_s)

    def _gpu_families(self) -> Iterable[Metric]:
        if not self.recording:
            return GpuCollector(self._gpus).collect()
        text = (RECORDED / f"{self.recording}.prom").read_text()
        return [one for one in text_string_to_metric_families(text) if one.name.startswith("ds_gpu")]

    def _gpus(self) -> GpuReading:
        if self.gpu_lost:
            raise OSError("GPU is lost")
        throttle = {reason: reason == self.throttle for reason in THROTTLE_REASONS}
        xids = {code: self._xids if code == "79" else 0 for code in XIDS}
        return GpuReading([Device(0, "GPU-drill", 2**30, throttle=throttle, xid_events=xids)])

    def _nothing(self) -> Iterable[Metric]:
        if self.collector_broken:
            raise OSError("this collector is broken")
        return ()


@dataclass(frozen=True, slots=True)
class _Collector:
    collect: Callable[[], Iterable[Metric]]


class Traffic:
    """Ticks every exposition ten times a second until closed."""

    def __init__(self) -> None:
        self._ticked: list[Instrumented] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def of(self, model: str) -> Instrumented:
        """A new exposition with traffic of its own."""
        made = Instrumented(model)
        self._ticked.append(made)
        return made

    def close(self) -> None:
        """No more ticks, no listener."""
        self._closed.set()
        self._thread.join()
        for one in self._ticked:
            one.fall_silent()

    def _run(self) -> None:
        while not self._closed.wait(0.1):
            for one in tuple(self._ticked):
                one.tick()


class Process:
    """A program of ours that can be killed, stopped and started again."""

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, "-m", *arguments]
        self.start()

    def start(self) -> None:
        """Run it (again)."""
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, stopped or not."""
        if self._process.poll() is None:
            self.resume()
            self.kill()


class Replica(Process):
    """A reference server on the CPU."""

    def __init__(self, *options: str) -> None:
        self.port, self.metrics_port = next(PORTS), next(PORTS)
        ports = ("--port", str(self.port), "--metrics-port", str(self.metrics_port), "--host", "127.0.0.1")
        super().__init__("reference_server", *ports, *options)

    def wait_ready(self) -> None:
        """TimeoutError when it does not answer in time."""
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            with suppress(OSError):
                url = f"http://127.0.0.1:{self.port}/readyz"
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if answer.status == 200:
                        return
            time.sleep(0.2)
        raise TimeoutError("a reference server does not get ready")

    def ask(self, tokens: int) -> None:
        """One request to its end, whatever comes of it."""
        body = {"prompt": "x" * 16, "max_tokens": tokens, "ignore_eos": True}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with suppress(OSError, http.client.HTTPException):
            connection.request(
                "POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"}
            )
            connection.getresponse().read()
        connection.close()


class Load:
    """Requests to one replica: two short ones a second, and many long ones while it is to be overloaded."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._short, daemon=True)]
        self._threads += [threading.Thread(target=self._long, daemon=True) for _ in range(16)]
        for thread in self._threads:
            thread.start()

    def begin(self) -> None:
        """Overload it from now on."""
        self._wanted.set()

    def end(self) -> None:
        """No further long request."""
        self._wanted.clear()

    def close(self) -> None:
        """No further request."""
        self._wanted.clear()
        self._closed.set()

    def _short(self) -> None:
        while not self._closed.wait(0.5):
            threading.Thread(target=self._replica.ask, args=(4,), daemon=True).start()

    def _long(self) -> None:
        while not self._closed.wait(0.3):
            if self._wanted.is_set():
                self._replica.ask(280)


def _free_ports() -> Iterator[int]:
    taken: list[int] = []
    while True:
        taken.append(free_port(taken))
        yield taken[-1]


PORTS = _free_ports()
