"""Probes, overload, clients that leave, deadlines, drains and failures: real sockets, an engine that can be held."""

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from reference_server.config import Settings
from reference_server.server import run
from tests.support.reference_replicas import (
    Hold,
    InThread,
    Process,
    Replica,
    replica_in_thread,
    replica_process,
)

Eventually = Callable[..., Any]

SETTINGS = Settings(host="127.0.0.1", port=0, metrics_port=0, max_running=2, max_context=512, torch_threads=1)


def body(**fields: Any) -> dict[str, Any]:
    return {"prompt": "Hello", "seed": 1, "max_tokens": 4} | fields


def post(replica: Replica, **fields: Any) -> requests.Response:
    return requests.post(f"{replica.url}/v1/completions", json=body(**fields), timeout=30)


@contextmanager
def open_request(replica: Replica, **fields: Any) -> Iterator[socket.socket]:
    """A request on a socket that the test can close when it likes."""
    payload = json.dumps(body(**fields)).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: {len(payload)}\r\n\r\n"
    address = replica.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((address[0], int(address[1])), timeout=30)) as connection:
        connection.sendall(head.encode() + payload)
        yield connection


@contextmanager
def in_background(call: Callable[[], requests.Response]) -> Iterator[Future[requests.Response]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


@pytest.fixture
def hold() -> Hold:
    return Hold()


@pytest.fixture
def replica(hold: Hold) -> Iterator[InThread]:
    with replica_in_thread(SETTINGS, hold) as one:
        yield one


def test_a_replica_is_alive_but_not_ready_while_its_model_loads(hold: Hold, eventually: Eventually) -> None:
    hold.loading.clear()
    with replica_in_thread(SETTINGS, hold, ready=False) as replica:
        assert (replica.probe("healthz"), replica.probe("readyz")) == (200, 503)
        refused = post(replica)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        hold.loading.set()
        eventually(lambda: replica.probe("readyz") == 200, within_s=30)
        assert post(replica).status_code == 200
        assert replica.ended("rejected") == 1


def test_a_replica_is_not_ready_before_it_has_generated_a_token(hold: Hold, eventually: Eventually) -> None:
    hold.stepping.clear()
    with replica_in_thread(SETTINGS, hold, ready=False) as replica:
        eventually(lambda: hold.steps == 1, within_s=30)
        assert (replica.probe("healthz"), replica.probe("readyz")) == (200, 503)
        assert "warming up" in requests.get(f"{replica.url}/readyz", timeout=10).text
        hold.stepping.set()
        eventually(lambda: replica.probe("readyz") == 200, within_s=30)


def complaint(replica: InThread) -> str:
    """What `healthz` says when it is not well."""
    answer = requests.get(f"{replica.url}/healthz", timeout=10)
    return answer.text if answer.status_code == 503 else ""


def test_a_hang_inside_a_step_is_seen_and_so_is_its_end(
    hold: Hold, replica: InThread, eventually: Eventually
) -> None:
    hold.stepping.clear()
    with in_background(lambda: post(replica)) as answer:
        eventually(lambda: replica.server.engine.step_age_s() > 0, within_s=30)
        assert replica.probe("healthz") == 200
        said = str(eventually(lambda: complaint(replica), within_s=30))
        assert "has been in one step for 1." in said, "seen within two seconds"
        assert replica.probe("readyz") == 503
        assert post(replica).status_code == 503
        hold.stepping.set()
        assert answer.result(timeout=30).status_code == 200
    eventually(lambda: replica.probe("healthz") == 200, within_s=30)
    assert replica.probe("readyz") == 200


def test_a_long_prefill_is_not_a_hang_and_a_hang_as_long_as_it_is_one(
    hold: Hold, eventually: Eventually
) -> None:
    hold.token_s = 0.025
    with replica_in_thread(replace(SETTINGS, stall_s=0.8, step_tokens=60), hold) as replica:
        prompt_of_one_step = "x" * 60
        with in_background(lambda: post(replica, prompt=prompt_of_one_step, max_tokens=1)) as answer:
            ages = []
            while not answer.done():
                ages.append(replica.server.engine.step_age_s())
                assert replica.probe("healthz") == 200
            assert max(ages) > 1.2, "longer than a step of one token may take"
            assert answer.result().status_code == 200
        with in_background(lambda: post(replica, max_tokens=20)) as answer:
            generated = replica.generated()
            eventually(lambda: replica.generated() >= generated + 2, within_s=30)
            hold.stepping.clear()
            said = str(eventually(lambda: complaint(replica), within_s=30))
            assert re.search(r"in one step for [01]\.", said), "no later than the prefill took"
            hold.stepping.set()
            assert answer.result(timeout=30).status_code == 200


def test_a_backend_that_is_lost_while_nobody_asks_ends_the_replica(
    hold: Hold, replica: InThread, eventually: Eventually
) -> None:
    assert hold.backend is not None
    hold.backend.statistics.lost = "rank 1 is gone"
    eventually(replica.server.leave.is_set, within_s=30)
    assert str(replica.server.engine.failure) == "rank 1 is gone"


def test_a_compilation_that_the_backend_announces_is_not_a_hang(hold: Hold, eventually: Eventually) -> None:
    with replica_in_thread(replace(SETTINGS, stall_s=0.1), hold) as replica:
        assert hold.backend is not None
        hold.backend.statistics.one_off_s = 60.0
        hold.stepping.clear()
        with in_background(lambda: post(replica)) as answer:
            eventually(lambda: replica.server.engine.step_age_s() > 0.3, within_s=30)
            assert replica.probe("healthz") == 200
            hold.backend.statistics.one_off_s = 0.0
            assert replica.probe("healthz") == 503
            hold.stepping.set()
            assert answer.result(timeout=30).status_code == 200


def test_neither_idling_nor_slow_steps_are_a_hang(hold: Hold) -> None:
    slow = replace(SETTINGS, stall_s=0.15, min_step_s=0.2)
    with replica_in_thread(slow, hold) as replica, open_request(replica) as connection:
        received = b""
        while b"finish_reason" not in received:
            assert replica.probe("healthz") == 200
            received += connection.recv(1 << 16)
        assert replica.probe("healthz") == 200


def test_a_full_queue_is_answered_429_with_a_time_to_retry(hold: Hold, eventually: Eventually) -> None:
    with replica_in_thread(replace(SETTINGS, max_running=1, max_queue=1), hold) as replica:
        hold.stepping.clear()
        with open_request(replica):
            eventually(lambda: replica.running() == 1, within_s=30)
            with open_request(replica) as queued:
                waiting = 'ds_requests_waiting{model="tiny"}'
                eventually(lambda: replica.metric(waiting) == 1, within_s=30)
                refused = post(replica)
                assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
                assert refused.json()["error"]["code"] == "queue_full"
                assert replica.ended("rejected") == 1
                hold.stepping.set()
                assert b"200 OK" in queued.recv(1 << 16)


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not streaming"])
def test_a_client_that_leaves_costs_nothing_from_the_next_step_on(
    hold: Hold, eventually: Eventually, stream: bool
) -> None:
    with replica_in_thread(replace(SETTINGS, min_step_s=0.02), hold) as replica:
        with open_request(replica, max_tokens=500, stream=stream):
            eventually(lambda: replica.generated() >= 3, within_s=30)
        usage = 'ds_kv_cache_usage_ratio{model="tiny"}'
        # Its 500 tokens would take ten seconds.
        eventually(lambda: replica.ended("aborted") == 1 and replica.metric(usage) == 0, within_s=30)
        assert replica.running() == 0
        assert replica.ended("ok") == 0
        assert replica.server.engine.step_age_s() == 0, "the engine idles"


def test_a_client_that_leaves_the_queue_is_never_computed(hold: Hold, eventually: Eventually) -> None:
    with replica_in_thread(replace(SETTINGS, max_running=1), hold) as replica:
        hold.stepping.clear()
        with open_request(replica) as running:
            eventually(lambda: replica.running() == 1, within_s=30)
            with open_request(replica):
                eventually(lambda: replica.metric('ds_requests_waiting{model="tiny"}') == 1, within_s=30)
            eventually(lambda: replica.ended("aborted") == 1, within_s=30)
            hold.stepping.set()
            assert b"200 OK" in running.recv(1 << 16)
        eventually(lambda: replica.server.engine.step_age_s() == 0, within_s=30)
        assert replica.ended("ok") == 1
        assert hold.steps == 2 + 4, "the warm-up, and the four tokens of the other request"


def test_a_request_beyond_its_deadline_is_a_timeout(hold: Hold, eventually: Eventually) -> None:
    with replica_in_thread(replace(SETTINGS, request_s=0.3), hold) as replica:
        hold.stepping.clear()
        late = post(replica)
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        assert replica.ended("timeout") == 1


def test_a_request_may_ask_for_an_earlier_end_and_gets_it_in_the_queue_too(
    hold: Hold, eventually: Eventually
) -> None:
    with replica_in_thread(replace(SETTINGS, max_running=1), hold) as replica:
        hold.stepping.clear()
        with open_request(replica) as running:
            eventually(lambda: replica.running() == 1, within_s=30)
            late = post(replica, timeout_seconds=0.2)
            assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
            assert "0.2 s" in late.json()["error"]["message"]
            hold.stepping.set()
            assert b"200 OK" in running.recv(1 << 16)
        eventually(lambda: replica.server.engine.step_age_s() == 0, within_s=30)
        assert hold.steps == 2 + 4, "the late one was never computed"


def test_a_stream_beyond_its_deadline_ends_with_an_error_and_no_terminal_event(
    hold: Hold, eventually: Eventually
) -> None:
    with replica_in_thread(replace(SETTINGS, request_s=0.4, min_step_s=0.05), hold) as replica:
        late = post(replica, stream=True, max_tokens=400)
        assert late.status_code == 200
        last = late.text.rstrip().rpartition("data: ")[2]
        assert json.loads(last)["error"]["code"] == "timeout"
        assert replica.ended("timeout") == 1
        assert post(replica).status_code == 200


def test_a_replica_in_batch_mode_refuses_streams(hold: Hold, eventually: Eventually) -> None:
    with replica_in_thread(replace(SETTINGS, serving_mode="batch"), hold) as replica:
        assert post(replica, stream=True).status_code == 400
        assert post(replica).status_code == 200


def test_every_policy_gives_the_same_answers_to_requests_that_come_together(hold: Hold) -> None:
    def texts(scheduling: str) -> list[str]:
        changed = replace(SETTINGS, scheduling=scheduling, window_size=3, window_s=0.05)
        with replica_in_thread(changed, hold) as replica, ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(post, replica, seed=seed, max_tokens=20) for seed in range(4)]
            return [answer.result().json()["choices"][0]["text"] for answer in answers]

    assert texts("none") == texts("window") == texts("continuous")


def test_without_instrumentation_answers_are_the_same(hold: Hold, eventually: Eventually) -> None:
    texts = []
    for metrics in ("on", "off"):
        with replica_in_thread(replace(SETTINGS, metrics=metrics), hold) as replica:
            texts.append(post(replica).json()["choices"][0]["text"])
    assert texts[0] == texts[1]


def test_an_engine_that_fails_fails_its_requests_and_the_process(hold: Hold, eventually: Eventually) -> None:
    with replica_in_thread(SETTINGS, hold) as replica:
        hold.failure = RuntimeError("out of memory")
        failed = post(replica)
        assert (failed.status_code, failed.json()["error"]["code"]) == (500, "engine_failed")
        eventually(replica.server.leave.is_set, within_s=30)
    broken = Hold(failure=RuntimeError("out of memory"))
    assert asyncio.run(run(SETTINGS, broken.load)) == 1


@pytest.fixture
def slow_process(tmp_path: Path) -> Iterator[Process]:
    with replica_process(tmp_path, DS_MIN_STEP_SECONDS="0.05", DS_DRAIN_SECONDS="20") as one:
        yield one


def test_a_termination_signal_drains(slow_process: Process, eventually: Eventually) -> None:
    with open_request(slow_process, max_tokens=60, stream=True) as connection:
        received = connection.recv(1 << 16)
        slow_process.process.terminate()
        eventually(lambda: slow_process.probe("readyz") == 503, within_s=30)
        assert slow_process.probe("healthz") == 200
        refused = post(slow_process)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        while b"[DONE]" not in received:
            received += connection.recv(1 << 16)
        assert received.count(b'"finish_reason":null') == 60
    assert slow_process.process.wait(timeout=30) == 0


def test_a_second_signal_ends_the_drain(slow_process: Process, eventually: Eventually) -> None:
    with open_request(slow_process, max_tokens=900, stream=True) as connection:
        received = connection.recv(1 << 16)
        slow_process.process.terminate()
        eventually(lambda: slow_process.probe("readyz") == 503, within_s=30)
        assert slow_process.terminate() == 0
        while part := connection.recv(1 << 16):
            received += part
    assert b'"code":"unavailable"' in received
    assert b"[DONE]" not in received


def test_a_drain_is_bounded(tmp_path: Path) -> None:
    with (
        replica_process(tmp_path, DS_MIN_STEP_SECONDS="0.05", DS_DRAIN_SECONDS="0.3") as bounded,
        open_request(bounded, max_tokens=900, stream=True) as connection,
    ):
        received = connection.recv(1 << 16)
        assert bounded.terminate() == 0
        while part := connection.recv(1 << 16):
            received += part
    assert b'"code":"unavailable"' in received


def test_a_port_that_is_taken_is_named(tmp_path: Path, replica: InThread) -> None:
    with pytest.raises(ValueError, match="DS_PORT"):
        asyncio.run(run(replace(SETTINGS, port=replica.server.port)))
