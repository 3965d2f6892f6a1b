"""Reference servers for tests: as a process of their own, or in a thread whose engine a test can hold."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from reference_server.config import Settings
from reference_server.instrumentation import Instrumentation
from reference_server.models.served_model import ServedModel
from reference_server.server import Server
from tests.conftest import wait_until

if TYPE_CHECKING:
    from reference_server.batch import Backend, Drawn, Piece
    from reference_server.core import Core, Outputs

STARTED = r"(?s)(?=.*Model initialized).*metrics host=\S+ port=(\d+)\n.*listening host=\S+ port=(\d+)\n"


ONE_THREAD = {"DS_TORCH_THREADS": "1"}
"""Threads of one product spin until the last is done: beside a busy neighbour, seconds for milliseconds."""


@dataclass(frozen=True)
class Replica:
    """Where a server listens, and what it says of itself."""

    url: str
    metrics_url: str

    def probe(self, name: str) -> int:
        """The status of `healthz` or `readyz`."""
        return requests.get(f"{self.url}/{name}", timeout=10).status_code

    def metric(self, series: str) -> float:
        """One series, labels in the order of the exposition, as `/metrics` shows it now."""
        lines = requests.get(self.metrics_url, timeout=10).text.splitlines()
        (value,) = (line.rpartition(" ")[2] for line in lines if line.startswith(series + " "))
        return float(value)

    def ended(self, outcome: str) -> float:
        """How many requests ended that way."""
        return self.metric(f'ds_requests_total{{model="tiny",outcome="{outcome}"}}')

    def running(self) -> float:
        """How many requests are being computed."""
        return self.metric('ds_requests_running{model="tiny"}')

    def generated(self) -> float:
        """Output tokens so far."""
        return self.metric('ds_tokens_total{direction="generation",model="tiny"}')


@dataclass(frozen=True)
class Process(Replica):
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def terminate(self) -> int:
        """Send SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def replica_process(folder: Path, **environ: str) -> Iterator[Process]:
    """A ready server process with these variables; it is told to leave at the end."""
    log = folder / "stderr.log"
    ports = ["--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"]
    command = [sys.executable, "-m", "reference_server", *ports]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, env=os.environ | ONE_THREAD | environ, stderr=stderr) as process,
    ):
        try:
            said = wait_until(
                lambda: re.search(STARTED, log.read_text()), within_s=60, what=f"start in {log}"
            )
            assert said is not None
            metrics_url, url = (f"http://127.0.0.1:{port}" for port in said.groups())
            yield Process(url, f"{metrics_url}/metrics", process, log)
        finally:
            process.terminate()


@dataclass
class Hold:
    """What a test does to the engine of a server in a thread."""

    loading: threading.Event = field(default_factory=threading.Event)
    """Set to let the model load."""
    stepping: threading.Event = field(default_factory=threading.Event)
    """Set to let steps happen."""
    steps: int = 0
    """Steps begun, the warm-up's included."""
    failure: Exception | None = None
    """Raised by the next step."""
    token_s: float = 0.0
    """What a token takes, on top of computing it."""
    backend: "Backend | None" = None
    """Of the model that was loaded."""

    def __post_init__(self) -> None:
        self.loading.set()
        self.stepping.set()

    def load(self, settings: Settings, served: ServedModel, instrumentation: Instrumentation) -> "Core":
        """A core whose steps obey."""
        from reference_server.loading import load_core

        self.loading.wait()
        core = load_core(settings, served, instrumentation)
        self._slow_down(core.backend)
        step = core.step

        def obedient() -> "Outputs":
            self.steps += 1
            self.stepping.wait()
            if self.failure is not None:
                raise self.failure
            return step()

        core.step = obedient  # type: ignore[method-assign]
        return core

    def _slow_down(self, backend: "Backend") -> None:
        self.backend = backend
        submit = backend.submit

        def slow(pieces: "Sequence[Piece]") -> "Drawn":
            tokens = sum(1 if piece.tokens is None else len(piece.tokens) for piece in pieces)
            time.sleep(self.token_s * tokens)
            return submit(pieces)

        backend.submit = slow  # type: ignore[method-assign]


@dataclass(frozen=True)
class InThread(Replica):
    """A server in a thread of this process."""

    server: Server


@contextmanager
def replica_in_thread(settings: Settings, hold: Hold, *, ready: bool = True) -> Iterator[InThread]:
    """A server that is ready, or one that only listens. Everything is released and drained at the end."""
    started = threading.Event()
    parts: list[tuple[Server, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        server = Server(settings, hold.load)
        await server.start()
        parts.append((server, asyncio.get_running_loop()))
        started.set()
        await server.leave.wait()
        await server.drain()
        await server.stop()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert started.wait(timeout=30)
    server, loop = parts[0]
    try:
        url, metrics_url = (f"http://127.0.0.1:{port}" for port in (server.port, server.metrics_port))
        replica = InThread(url, f"{metrics_url}/metrics", server)
        if ready:
            wait_until(lambda: replica.probe("readyz") == 200, within_s=60, what="readiness")
        yield replica
    finally:
        hold.loading.set()
        hold.stepping.set()
        if thread.is_alive():
            loop.call_soon_threadsafe(server.told_to_leave)
        thread.join(timeout=60)
