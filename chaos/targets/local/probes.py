"""Asking a replica how it is, as a kubelet does: a GET per period, a verdict after enough equal answers."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import ProbeSpec

_HEAD_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer, or the lack of one."""

    began_s: float
    """Monotonic seconds when it was asked."""
    passed: bool
    what: str
    """The status, or why there was none."""


class Thresholds:
    """Turns single observations into a verdict by the probe's thresholds."""

    def __init__(self, probe: ProbeSpec, *, verdict: bool) -> None:
        self.verdict = verdict
        self._probe = probe
        self._against = 0

    def observe(self, *, passed: bool) -> bool:
        """Take one observation in; returns the verdict that now holds."""
        self._against = self._against + 1 if passed != self.verdict else 0
        needed = self._probe.failure_threshold if self.verdict else self._probe.success_threshold
        if self._against >= needed:
            self.verdict, self._against = not self.verdict, 0
        return self.verdict


async def observe(probe: ProbeSpec, port: int) -> Observation:
    """Ask once, over a connection of its own: passed means a status of 200..399 within the timeout."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(probe.timeout_s):
            status = await _status(probe.path, port)
    except TimeoutError:
        return Observation(began_s, passed=False, what=f"no answer within {probe.timeout_s:g} s")
    except (OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
        return Observation(began_s, passed=False, what=f"{type(error).__name__}")
    return Observation(began_s, passed=200 <= status < 400, what=f"status {status}")


async def watch(
    probe: ProbeSpec, port: int, startup_period_s: float = math.inf
) -> AsyncGenerator[Observation, None]:
    """Ask at once and then every period; an answer that takes longer than a period delays the next.

    Until one has passed, a period is at most `startup_period_s`.
    """
    due_s, period_s = time.monotonic(), min(probe.period_s, startup_period_s)
    while True:
        seen = await observe(probe, port)
        yield seen
        if seen.passed:
            period_s = probe.period_s
        due_s = max(due_s + period_s, time.monotonic())
        await asyncio.sleep(due_s - time.monotonic())


async def _status(path: str, port: int) -> int:
    reader, writer = await asyncio.open_connection(HOST, port, limit=_HEAD_LIMIT_BYTES)
    try:
        head = (
            f"GET {path} HTTP/1.1",
            f"Host: {HOST}:{port}",
            "User-Agent: kube-probe/aftershock",
            "Connection: close",
        )
        writer.write("\r\n".join((*head, "", "")).encode())
        status_line = await reader.readuntil(b"\r\n")
        version, status, *_ = status_line.decode("latin-1").split()
        if not version.startswith("HTTP/"):
            raise ValueError(f"not an HTTP status line: {status_line!r}")
        return int(status)
    finally:
        with suppress(OSError):
            writer.transport.abort()
