"""The generator's own stalls, and that what it does without a garbage collector leaves no garbage."""

import gc
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest

from chaos.load.process import Load, LoadConfig
from loadtests.rows import read_rows
from loadtests.stalls import LOOK_EVERY_S, StallWatch, without_collector
from tests.support.scripted_server import ScriptedServer

CERTIFICATE = Path(__file__).parent / "data" / "tls" / "loopback.pem"
STOPPED_S = 0.45


def test_a_load_that_was_stopped_says_when_and_for_how_long(tmp_path: Path) -> None:
    config = LoadConfig(
        url="",
        model="tiny",
        rate_per_s=100.0,
        duration_s=2.0,
        seed=1,
        plan_path=tmp_path / "plan.jsonl",
        rows_path=tmp_path / "requests.jsonl",
        summary_path=tmp_path / "load.json",
        log_path=tmp_path / "locust.log",
    )
    with ScriptedServer() as server, Load(config.but(url=server.url())) as load:
        zero_s = load.start().start_monotonic_s
        time.sleep(max(0.0, zero_s + 1.0 - time.monotonic()))
        os.kill(load.pids[0], signal.SIGSTOP)
        stopped_s = time.monotonic() - zero_s
        time.sleep(STOPPED_S)
        os.kill(load.pids[0], signal.SIGCONT)
        went_on_s = time.monotonic() - zero_s
        summary = load.wait(within_s=30)

    assert summary.stalls is not None
    assert summary.stall_count == len(summary.stalls)
    (stall,) = [stall for stall in summary.stalls if stall.length_s > STOPPED_S * 0.9]
    assert (stall.what, stall.worker) == ("stopped", 0)
    assert stopped_s - 3 * LOOK_EVERY_S < stall.start_s <= stopped_s
    assert stall.start_s + stall.length_s == pytest.approx(went_on_s, abs=0.1)
    rows = [row for row in read_rows(config.rows_path) if stopped_s < row.intended_s < went_on_s - 0.1]
    assert rows
    assert all(row.lag_s is not None and row.lag_s > 0.05 for row in rows), "the rows say the same"


def watched(cause: str) -> tuple[list[tuple[str, float]], float]:
    """What a watch says of one thing that kept the loop for at least 0.2 s, its length, and our share of a core."""
    junk: list[list[object]] = [[] for _ in range(10)]
    with StallWatch(time.monotonic()) as watch:
        gevent.sleep(3 * LOOK_EVERY_S)
        began_s, used_s = time.monotonic(), time.process_time()
        until_s = began_s + 0.2
        if cause == "stopped":
            time.sleep(0.2)
        elif cause == "busy":
            while time.monotonic() < until_s:
                pass
        else:
            gc.collect()
            while time.monotonic() < until_s:
                junk = [[junk] for _ in range(200_000)]
                gc.collect()
        share = (time.process_time() - used_s) / (time.monotonic() - began_s)
        gevent.sleep(3 * LOOK_EVERY_S)
    return [(stall.what, stall.length_s) for stall in watch.stalls if stall.length_s > 0.19], share


@pytest.mark.parametrize("cause", ["stopped", "busy", "collector"])
def test_a_stall_says_what_kept_the_loop(cause: str) -> None:
    for _ in range(20):
        found, share = watched(cause)
        if (
            cause == "stopped" or share > 0.7
        ):  # a neighbour may take the core from what computes: then that is true
            break
    else:
        pytest.skip("the machine is too busy for a process to be busy on it")
    assert [what for what, _ in found] == [cause]
    assert found[0][1] < 2.0


def test_of_many_stalls_the_longest_are_kept_in_order_and_all_are_counted() -> None:
    watch = StallWatch(0.0)
    for number in range(500):
        watch._note(number, 1.0 + number % 100, 0.0)
    assert watch.count == 500
    assert len(watch.stalls) == 200
    assert min(stall.length_s for stall in watch.stalls) == 61.0
    assert watch.stalls == sorted(watch.stalls, key=lambda stall: stall.start_s)


def test_the_collector_is_off_meanwhile_and_back_afterwards() -> None:
    with without_collector():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


GARBAGE = """
import gc, json, sys, time
import gevent
from loadtests.endpoint import Endpoint
from loadtests.spec import Timeouts
from loadtests.streaming import StreamingClient

def request(url, kill=False):
    client = StreamingClient(Endpoint.parse(url), Timeouts(ttft_s=0.2, stall_s=0.1, deadline_s=0.3), time.monotonic())
    greenlet = gevent.spawn(client.request, 1, 0.0, b"{}")
    if kill:
        gevent.sleep(0.05)
        greenlet.kill()
    row = greenlet.get()
    return row.outcome

gc.disable()
found = {}
for url in json.load(sys.stdin):
    for kill in (False, True):
        request(url, kill)
        gc.collect()
        outcome = request(url, kill)
        found[f"{url} {kill} {outcome}"] = gc.collect()
print(json.dumps(found))
"""

SCRIPTS = (
    *(
        "ok",
        "ok-3-20",
        "unframed",
        "interim",
        "status-503",
        "reset",
        "eof",
        "silent",
        "stall",
        "trickle",
        "reset_mid",
    ),
    *(
        "cut",
        "no_done",
        "no_finish",
        "garbage",
        "not_http",
        "error_event",
        "finish-abort",
        "finish-stop-0",
        "head_of-503",
    ),
)


def test_no_request_leaves_a_cycle_whatever_becomes_of_it(free_port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with ScriptedServer() as server, ScriptedServer(tls=context) as secured:
        named = server.url().replace("127.0.0.1", "localhost")
        nowhere = (f"http://127.0.0.1:{free_port}", "http://no-such-host.invalid")
        urls = [*map(server.url, SCRIPTS), secured.url("ok-2"), secured.url("stall"), named, *nowhere]
        # A process of its own: this one has a server in it, which makes garbage too.
        asked = subprocess.run(
            [sys.executable, "-c", GARBAGE],
            input=json.dumps(urls),
            env={**os.environ, "SSL_CERT_FILE": str(CERTIFICATE)},
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(asked.stdout)
    assert len(found) == 2 * len(urls)
    assert f"{secured.url('ok-2')} False ok" in found
    assert {what: count for what, count in found.items() if count} == {}
