"""The door for faults of a server: who may order, how long an order stands, and that nothing of it stays."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from reference_server.config import Settings
from reference_server.faults.layers import Layers
from tests.conftest import wait_until
from tests.support.reference_replicas import Hold, InThread, replica_in_thread

KEY = "only this test has this key"
WITH_KEY = {"x-aftershock-key": KEY}
HANG = {"fault": "gray-failure", "answer": "hang"}
REFUSE = {"fault": "gray-failure", "answer": "503"}
QUICK: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "metrics_port": 0, "torch_threads": 1}


@pytest.fixture(scope="module")
def replica() -> Iterator[InThread]:
    settings = Settings(**QUICK, faults_key=KEY, max_running=2, stall_s=0.5)
    with replica_in_thread(settings, Hold()) as one:
        yield one


def put(replica: InThread, order: dict[str, Any], *, name: str = "it", lease_s: float = 20.0) -> int:
    body: Any = {"lease_s": lease_s, "order": order}
    return requests.put(f"{replica.url}/faults/{name}", json=body, headers=WITH_KEY, timeout=5).status_code


def end(replica: InThread, name: str = "it") -> bool:
    answer = requests.delete(f"{replica.url}/faults/{name}", headers=WITH_KEY, timeout=5)
    assert answer.status_code == 200
    return bool(answer.json()["ended"])


def in_force(replica: InThread) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{replica.url}/faults", headers=WITH_KEY, timeout=5).json()
    return answer


def complete(replica: InThread, timeout_s: float = 10.0, **body: Any) -> requests.Response:
    asked: Any = {"prompt": "Hello", "max_tokens": 4, "seed": 1, "ignore_eos": True} | body
    return requests.post(f"{replica.url}/v1/completions", json=asked, timeout=timeout_s)


@pytest.mark.parametrize("headers", [{}, {"x-aftershock-key": KEY[:-1]}, {"x-aftershock-key": ""}], ids=str)
def test_whoever_has_no_key_finds_no_such_path(replica: InThread, headers: dict[str, str]) -> None:
    body: Any = {"lease_s": 1, "order": REFUSE}
    answer = requests.put(f"{replica.url}/faults/it", json=body, headers=headers, timeout=5)
    unknown = requests.put(f"{replica.url}/nothing", json=body, timeout=5)
    assert (answer.status_code, unknown.status_code) == (404, 404)
    assert (
        answer.json()["error"]["message"].replace("faults/it", "nothing")
        == unknown.json()["error"]["message"]
    )
    assert complete(replica).status_code == 200


def test_there_is_no_path_where_no_key_was_given() -> None:
    with replica_in_thread(Settings(**QUICK), Hold()) as one:
        assert (
            requests.get(f"{one.url}/faults", headers={"x-aftershock-key": ""}, timeout=5).status_code == 404
        )


@pytest.mark.parametrize(
    "order",
    [
        {"fault": "gray-failure"},
        {"fault": "gray-failure", "answer": "maybe"},
        {"fault": "slow-steps", "factor": 1.0},
        {"fault": "slow-steps", "factor": "4"},
        {"fault": "kv-reservation", "share": 1.1},
        {"fault": "stuck-stream", "way": "silence", "after_tokens": -1},
        {"fault": "clock-shift", "offset_s": "600"},
        {"fault": "unheard-of"},
        {**REFUSE, "typo": 1},
        {},
    ],
    ids=str,
)
def test_an_order_that_is_not_understood_changes_nothing(replica: InThread, order: dict[str, Any]) -> None:
    assert put(replica, order) == 400
    assert in_force(replica) == {}
    assert complete(replica).status_code == 200


def test_a_lease_must_be_short_and_positive(replica: InThread) -> None:
    assert [put(replica, REFUSE, lease_s=lease_s) for lease_s in (0, -1, 61)] == [400] * 3


def test_an_order_ends_by_itself_when_whoever_gave_it_falls_silent(replica: InThread) -> None:
    assert put(replica, REFUSE, lease_s=0.3) == 200
    assert complete(replica).status_code == 503
    wait_until(lambda: complete(replica).status_code == 200, within_s=5, what="the end of a lease")
    assert not end(replica)


def test_a_lease_that_is_renewed_stands_and_is_not_begun_anew(replica: InThread) -> None:
    deadline_s = time.monotonic() + 1.0
    while time.monotonic() < deadline_s:
        assert put(replica, REFUSE, lease_s=0.5) == 200
        assert complete(replica).status_code == 503
    assert end(replica)
    assert not end(replica)
    assert complete(replica).status_code == 200


def test_a_function_is_wrapped_in_the_layers_that_are_left_whichever_came_off_first() -> None:
    installed: list[Callable[[], str]] = []
    layers: Layers[Callable[[], str]] = Layers(lambda: "bare", installed.append)
    off = {name: layers.put_on(lambda inner, name=name: lambda: f"{name}({inner()})") for name in "abc"}  # type: ignore[misc]
    seen = [installed[-1]()]
    for name in ("b", "b", "c", "a"):
        off[name]()
        seen.append(installed[-1]())
    assert seen == ["c(b(a(bare)))", "c(a(bare))", "c(a(bare))", "a(bare)", "bare"]


def test_orders_of_several_names_are_in_force_together_and_end_in_any_order(replica: InThread) -> None:
    for name, factor in (("a", 2.0), ("b", 3.0), ("c", 4.0)):
        assert put(replica, {"fault": "slow-steps", "factor": factor}, name=name) == 200
    assert [end(replica, name) for name in ("b", "a", "c")] == [True] * 3
    bare = replica.server.engine.take_step
    assert bare == replica.server.engine._step
    assert complete(replica).status_code == 200


def test_another_order_under_the_same_name_takes_its_place(replica: InThread) -> None:
    assert put(replica, REFUSE) == 200
    assert put(replica, {"fault": "slow-steps", "factor": 2.0}) == 200
    assert [each["fault"] for each in in_force(replica).values()] == ["slow-steps"]
    assert complete(replica).status_code == 200
    assert end(replica)


def test_a_hang_keeps_the_probes_well_for_longer_than_a_stall_and_loses_nothing(replica: InThread) -> None:
    with ThreadPoolExecutor(1) as client:
        running: Future[requests.Response] = client.submit(complete, replica, 30, max_tokens=400)
        wait_until(lambda: replica.running() == 1, within_s=10, what="a request in the engine")
        assert put(replica, HANG) == 200
        with pytest.raises(requests.exceptions.ReadTimeout):
            complete(replica, timeout_s=1.2)  # stall_s is 0.5
        assert (replica.probe("healthz"), replica.probe("readyz")) == (200, 200)
        assert not running.done()
        assert end(replica)
        assert running.result().json()["usage"]["completion_tokens"] == 400


def test_a_server_that_hangs_on_purpose_still_leaves_when_it_is_told_to() -> None:
    settings = Settings(**QUICK, faults_key=KEY, drain_s=0.2)
    with replica_in_thread(settings, Hold()) as one:
        assert put(one, HANG) == 200
        with pytest.raises(requests.exceptions.ReadTimeout):
            complete(one, timeout_s=0.5)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 10
    assert not one.server.engine._thread.is_alive()


def test_blocks_that_are_reserved_make_requests_wait_and_come_back(replica: InThread) -> None:
    pool = replica.server.engine._core.scheduler.pool  # type: ignore[union-attr]
    assert put(replica, {"fault": "kv-reservation", "share": 1.0}) == 200
    usage = 'ds_kv_cache_usage_ratio{model="tiny"}'
    wait_until(lambda: replica.metric(usage) == 1.0, within_s=5, what="all blocks in use")
    with ThreadPoolExecutor(1) as client:
        waiting: Future[requests.Response] = client.submit(complete, replica, 30)
        wait_until(
            lambda: replica.metric('ds_requests_waiting{model="tiny"}') == 1, within_s=5, what="a queue"
        )
        assert end(replica)
        assert waiting.result().status_code == 200
    wait_until(lambda: pool.usage.used == 0, within_s=5, what="every block back")


def test_a_reservation_takes_the_blocks_of_running_requests_by_preempting_them(replica: InThread) -> None:
    preempted = 'ds_engine_preemptions_total{model="tiny"}'
    before = replica.metric(preempted)
    with ThreadPoolExecutor(2) as clients:
        running = [clients.submit(complete, replica, 60, max_tokens=600) for _ in range(2)]
        wait_until(lambda: replica.running() == 2, within_s=10, what="two requests in the engine")
        assert put(replica, {"fault": "kv-reservation", "share": 0.97}) == 200
        wait_until(lambda: replica.metric(preempted) > before, within_s=20, what="a preemption")
        assert end(replica)
        assert [each.result().json()["usage"]["completion_tokens"] for each in running] == [600, 600]


def test_a_request_with_the_key_is_in_nobodys_counts(replica: InThread) -> None:
    before = replica.ended("ok")
    body: Any = {"prompt": "Hello", "max_tokens": 4}
    answer = requests.post(f"{replica.url}/v1/completions", json=body, headers=WITH_KEY, timeout=10)
    assert answer.status_code == 200
    assert complete(replica).status_code == 200
    assert replica.ended("ok") == before + 1


def test_streams_that_began_before_are_left_alone_and_silence_ends_with_the_fault(replica: InThread) -> None:
    silence = {"fault": "stuck-stream", "way": "silence", "after_tokens": 2}
    with ThreadPoolExecutor(2) as clients:
        earlier = clients.submit(complete, replica, 30, max_tokens=600, stream=True)
        wait_until(lambda: replica.running() == 1, within_s=10, what="a stream")
        assert put(replica, silence) == 200
        later = clients.submit(complete, replica, 30, max_tokens=8, stream=True)
        assert earlier.result().text.endswith("data: [DONE]\n\n")
        assert not later.done()
        assert end(replica)
        assert later.result().text.endswith("data: [DONE]\n\n")


def test_a_stream_that_is_cut_short_leaves_no_work_behind(replica: InThread) -> None:
    pool = replica.server.engine._core.scheduler.pool  # type: ignore[union-attr]
    for way in ("reset", "end", "abort", "error"):
        assert put(replica, {"fault": "stuck-stream", "way": way, "after_tokens": 2}) == 200
        if way == "reset":
            with pytest.raises(
                (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)
            ):
                complete(replica, max_tokens=900, stream=True)
        else:
            assert complete(replica, max_tokens=900, stream=True).status_code == 200
        wait_until(lambda: pool.usage.used == 0, within_s=10, what=f"no block in use after {way}")
    assert end(replica)


def test_a_shifted_clock_is_read_by_stamps_and_by_no_timer_and_two_add_up(replica: InThread) -> None:
    def stamped_s() -> float:
        asked_s = time.monotonic()
        stamp = float(complete(replica).json()["created"])
        assert time.monotonic() - asked_s < 5
        return stamp

    began_s = stamped_s()
    assert put(replica, {"fault": "clock-shift", "offset_s": 3600.0}) == 200
    assert put(replica, {"fault": "clock-shift", "offset_s": -600.0}, name="other") == 200
    assert stamped_s() - began_s == pytest.approx(3000, abs=60)
    assert end(replica)
    assert stamped_s() - began_s == pytest.approx(-600, abs=60)
    assert end(replica, "other")
    assert stamped_s() - began_s == pytest.approx(0, abs=60)
