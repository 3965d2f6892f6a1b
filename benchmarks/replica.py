"""A reference server in a process of its own, as benchmarks start it: ready, on free ports, ended with the block."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.targets.local.ports import free_port

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 180.0


@dataclass(frozen=True)
class Replica:
    """A running one."""

    process: psutil.Process
    port: int
    metrics_port: int

    @property
    def url(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def replica(
    environ: Mapping[str, str], *options: str, checkout: Path = ROOT, log: Path | None = None
) -> Iterator[Replica]:
    """A ready replica with these settings, of that checkout; SystemExit when it does not become ready."""
    port = free_port(())
    metrics_port = free_port((port,))
    ports = ("--host", "127.0.0.1", "--port", str(port), "--metrics-port", str(metrics_port))
    command = [sys.executable, "-m", "reference_server", *ports, *options]
    env = {**os.environ, **environ}
    with (
        (log or Path(os.devnull)).open("w") as stderr,
        subprocess.Popen(command, cwd=checkout, env=env, stderr=stderr) as process,
    ):
        try:
            started = Replica(psutil.Process(process.pid), port, metrics_port)
            _wait_until_ready(started.url, process)
            yield started
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        with suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):
            return
        time.sleep(0.01)
    raise SystemExit(f"the server did not become ready within {READY_WITHIN_S:g} s")
