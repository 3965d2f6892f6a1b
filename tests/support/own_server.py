"""A server that nobody looks after: a process of its own at a port, to be killed and started again by hand."""

import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conftest import wait_until

_TOY = Path(__file__).parent / "toy_replica.py"


class OwnServer:
    """The toy replica as somebody's own service."""

    def __init__(self, port: int, metrics_port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, str(_TOY), "--port", str(port), "--metrics-port", str(metrics_port)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Come up until it answers."""
        self._process = subprocess.Popen(self._command)
        wait_until(self.answers, within_s=20, what="the server's own start")

    def kill(self) -> None:
        """As `kill -9` does it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)

    def answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/v1/models", timeout=5) as answer:
            return bool(answer.status == 200)
        return False
