"""The whole chain against a known truth: a server silent for exactly 3.000 s, measured by Locust, rows and SLIs."""

import asyncio
import math
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from chaos.load.process import Load, LoadConfig
from chaos.measuring.evidence import evidence
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria, RecoveryTime, Status
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record.rows_file import read_columns
from tests.support.scripted_server import CHUNKED, ROLE, ScriptedServer, ending, framed, token

RATE_PER_S = 200
BEFORE_S = 4.0
SILENT_S = 3.0
AFTER_S = 4.0
TRIES = 6
# Whoever arrives within the bound before the silence ends is still good, and whoever arrives just after it waits behind
# the 600 that queued up, which takes some 0.1 s to work off. With this bound the two about cancel.
OBJECTIVES = Objectives(ttft_s=0.12, e2e_s=0.3)
CRITERIA = Criteria(goodput=0.95, error_ratio=0.02, window_s=0.5, hold_s=2.0, within_s=5.0)


ANSWER = CHUNKED + framed(ROLE + token(0) + token(1) + ending(2)) + b"0\r\n\r\n"


class Quick(asyncio.Protocol):
    """Answers each request with the same two tokens, at the least cost: a backlog must not outlast its silence."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, _, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length is not None and len(body) >= int(length.group(1)):
            self.transport.write(ANSWER)


class QuickServer(ScriptedServer):
    """The scripted server's silence, and nothing else of it."""

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(Quick, "127.0.0.1", 0, backlog=65535)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await self._stop.wait()


@dataclass(frozen=True)
class Measured:
    """What the chain saw, beside what the server says of itself; seconds on the run clock."""

    recovery: RecoveryTime
    timeline: Timeline
    began_s: float
    ended_s: float


def measured(folder: Path, silent_s: float) -> Measured:
    config = LoadConfig(
        url="",
        model="tiny",
        output_tokens=2,
        rate_per_s=RATE_PER_S,
        duration_s=BEFORE_S + SILENT_S + AFTER_S,
        seed=11,
        plan_path=folder / "plan.jsonl",
        rows_path=folder / "requests.jsonl",
        summary_path=folder / "load.json",
        log_path=folder / "locust.log",
        max_in_flight=2000,
    )
    with QuickServer() as server, Load(config.but(url=server.url())) as load:
        started = load.start()
        strikes_s = started.start_monotonic_s + BEFORE_S
        if silent_s:
            server.silence(strikes_s, silent_s)
        load.wait(within_s=40)
    began_s, ended_s = server.silences[0] if silent_s else (strikes_s, strikes_s)
    zero_s = started.start_monotonic_s
    fault = FaultWindow(
        "silence", "scripted", "exact", began_s - zero_s, None, ("server",), 1, True, id="silence#1"
    )
    timeline = Timeline(
        read_columns(config.rows_path), (), started.planned, 1.0, started.duration_s, 1, (fault,)
    )
    recovery = measure(timeline, OBJECTIVES, CRITERIA).service
    return Measured(recovery, timeline, began_s - zero_s, ended_s - zero_s)


@pytest.fixture(scope="module")
def silenced(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    # A neighbour on the machine can make the backlog last, and the recovery with it, never shorten it.
    for _ in range(TRIES):
        seen = measured(tmp_path_factory.mktemp("silence"), SILENT_S)
        silent_s = seen.ended_s - seen.began_s
        exact = silent_s == pytest.approx(SILENT_S, abs=0.02)  # as the server itself could keep it
        if exact and seen.recovery.value_s is not None and seen.recovery.value_s <= silent_s + 0.150:
            break
    return seen


def test_a_silence_of_exactly_3_s_is_measured_within_150_ms(silenced: Measured) -> None:
    silent_s = silenced.ended_s - silenced.began_s
    assert silent_s == pytest.approx(SILENT_S, abs=0.02)
    assert silenced.recovery.status is Status.RECOVERED, silenced.recovery
    assert silenced.recovery.value_s == pytest.approx(silent_s, abs=0.150), silenced.recovery
    assert silenced.recovery.resolution_s is not None
    assert silenced.recovery.resolution_s < 0.15


def test_the_open_loop_meets_every_moment_of_the_silence(silenced: Measured) -> None:
    inside = silenced.timeline.rows.between(silenced.began_s, silenced.ended_s - OBJECTIVES.ttft_s)
    assert inside.stop - inside.start == pytest.approx(RATE_PER_S * (SILENT_S - OBJECTIVES.ttft_s), rel=0.2)
    assert not np.any(evidence(silenced.timeline, OBJECTIVES).good[inside])


def test_the_same_server_without_an_outage_shows_no_impact(tmp_path: Path) -> None:
    # A neighbour on the machine can make an outage of its own, never hide one.
    for _ in range(TRIES):
        recovery = measured(tmp_path, 0.0).recovery
        if recovery.status is Status.NO_IMPACT:
            break
    assert recovery.status is Status.NO_IMPACT, recovery
    assert recovery.value_s == 0.0
    assert recovery.interval_s[0] == 0.0
    assert not math.isinf(recovery.interval_s[1])
