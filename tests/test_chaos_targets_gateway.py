import asyncio
import http.client
import json
import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Self

import pytest

from chaos.targets.local.gateway.balancer import Balancer
from chaos.targets.local.gateway.metrics import GatewayMetrics
from chaos.targets.local.gateway.retry_budget import RetryBudget
from chaos.targets.local.gateway.spec import EjectionSpec, GatewaySpec, RetrySpec
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import (
    Answer,
    Helper,
    Toy,
    complete,
    helper,
    request,
    samples,
    tell,
    total,
    toys,
)


class Gateway:
    """The module's one gateway as one test sees it: idle, knowing no replica, its counters at zero."""

    def __init__(self, orders: Helper, listening: dict[str, int]) -> None:
        self.port = listening["port"]
        self.metrics_port = listening["metrics_port"]
        self._orders = orders
        self._before: dict[str, float] = {}
        self.show()
        wait_until(lambda: self.counted("requests_in_flight") == 0, within_s=30, what="an idle gateway")
        self._before = samples(self.metrics_port)

    def show(self, *toys: Toy | int, unready: Sequence[str] = (), probed_s: float | None = None) -> None:
        """Toys, or bare ports, as replicas named a, b, c, ..."""
        rows = [
            {
                "name": name,
                "port": toy if isinstance(toy, int) else toy.port,
                "ready": name not in unready,
                "probed_s": time.monotonic() if probed_s is None else probed_s,
            }
            for name, toy in zip("abcdefgh", toys, strict=False)
        ]
        self._orders.ask("endpoints", endpoints=rows)

    def counted(self, family: str, *having: str) -> float:
        """The sum over matching samples, less what they were when the test began."""
        return sum(
            value - self._before.get(name, 0)
            for name, value in samples(self.metrics_port).items()
            if name.startswith(f"ds_gateway_{family}") and all(part in name for part in having)
        )


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Helper, dict[str, int]]]:
    with helper("gateway") as orders:
        plenty = GatewaySpec(retries=RetrySpec(min_per_second=1000))
        yield orders, orders.ask("listen", gateway=asdict(plenty))


@pytest.fixture
def gateway(started: tuple[Helper, dict[str, int]]) -> Gateway:
    return Gateway(*started)


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Toy]]:
    with toys(2) as two:
        yield two


class Stream:
    """A streaming completion under way, read event by event."""

    def __init__(self, port: int, tokens: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.request(
            "POST", "/v1/completions", json.dumps({"stream": True, "max_tokens": tokens})
        )
        self.response = self._connection.getresponse()

    def event(self) -> dict[str, Any]:
        line = self.response.readline()
        assert self.response.readline() == b"\n"
        return dict(json.loads(line.removeprefix(b"data: ")))

    def leave(self) -> None:
        self.response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


def test_a_stream_passes_complete_and_names_its_replica(gateway: Gateway, pair: list[Toy]) -> None:
    gateway.show(*pair)
    answer = complete(gateway.port, tokens=5)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-aftershock-replica"] in "ab"
    assert answer.headers["x-aftershock-attempts"] == "1"
    assert answer.body.count(b"data: {") == 5
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_each_event_is_passed_on_before_the_next_is_made(gateway: Gateway) -> None:
    with toys(1, "--gap-s", "0.1") as one:
        gateway.show(*one)
        with Stream(gateway.port, 3) as stream:
            seen = [(stream.event()["sent_s"], time.monotonic()) for _ in range(3)]
    assert all(seen_s < later_sent_s for (_, seen_s), (later_sent_s, _) in pairwise(seen))


@pytest.mark.parametrize(
    ("method", "path", "body", "arrived"),
    [
        (
            "GET",
            "/v1/batches?limit=2&x=%2F",
            None,
            {"method": "GET", "path": "/v1/batches?limit=2&x=%2F", "bytes": 0},
        ),
        (
            "PUT",
            "/files/a%20b",
            "x" * 3_000_000,
            {"method": "PUT", "path": "/files/a%20b", "bytes": 3_000_002},
        ),
    ],
    ids=["path and query untouched", "a body of three megabytes"],
)
def test_any_request_reaches_the_replica_as_it_was_sent(
    gateway: Gateway, pair: list[Toy], method: str, path: str, body: Any, arrived: dict[str, Any]
) -> None:
    gateway.show(*pair)
    answer = request(gateway.port, method, path, body)
    assert answer.status == 404
    assert answer.json() == arrived


def test_what_asks_for_no_tokens_is_passed_on_and_counted_nowhere(gateway: Gateway, pair: list[Toy]) -> None:
    gateway.show(*pair)
    assert request(gateway.port, "GET", "/v1/models").status == 200
    assert gateway.counted("requests_total") == gateway.counted("attempts_total") == 0
    assert request(gateway.port, "POST", "/files", {}).status == 404
    assert gateway.counted("requests_total") == gateway.counted("attempts_total") == 1


def test_the_replica_with_the_fewest_open_requests_gets_the_next(
    gateway: Gateway, eventually: Eventually
) -> None:
    with toys(3, "--gap-s", "5") as three, ExitStack() as clients:
        gateway.show(*three)
        for _ in range(9):
            clients.enter_context(socket_request(gateway.port))
        eventually(lambda: gateway.counted("requests_in_flight") == 9, within_s=30)
        assert [gateway.counted("replica_outstanding", f'"{name}"') for name in "abc"] == [3, 3, 3]


def socket_request(port: int, tokens: int = 3) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    body = json.dumps({"stream": True, "max_tokens": tokens}).encode()
    client.sendall(
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return client


def chosen(balancer: Balancer, times: int) -> str:
    return "".join(choice.endpoint.name for _ in range(times) if (choice := balancer.choose()))


def test_idle_replicas_take_turns_and_a_new_one_is_next() -> None:
    def rows(names: str) -> list[dict[str, Any]]:
        return [{"name": name, "port": 1, "ready": True, "probed_s": 1.0} for name in names]

    balancer = Balancer(random.Random(7), EjectionSpec())
    balancer.update(rows("abcd"))
    first = chosen(balancer, 4)
    assert sorted(first) == list("abcd")
    assert chosen(balancer, 8) == 2 * first
    balancer.update(rows("abcde"))
    assert chosen(balancer, 6) == f"e{first}e"


def test_the_first_of_equals_is_drawn_at_random_so_that_no_name_is_preferred() -> None:
    def first(seed: int) -> str:
        balancer = Balancer(random.Random(seed), EjectionSpec())
        balancer.update({"name": name, "port": 1, "ready": True, "probed_s": 1.0} for name in "abcd")
        return chosen(balancer, 1)

    assert {first(seed) for seed in range(40)} == set("abcd")


def test_an_unready_replica_gets_no_request(gateway: Gateway, pair: list[Toy]) -> None:
    gateway.show(*pair, unready="a")
    before = pair[0].accepted
    assert {complete(gateway.port).headers["x-aftershock-replica"] for _ in range(20)} == {"b"}
    assert pair[0].accepted == before
    assert gateway.counted("replicas_ready") == 1


def test_without_a_ready_replica_the_answer_is_503_in_openai_shape_and_says_when_to_come_back(
    gateway: Gateway, pair: list[Toy], eventually: Eventually
) -> None:
    gateway.show(*pair, unready="ab")
    answer = complete(gateway.port)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-aftershock-attempts"] == "0"
    assert answer.json()["error"]["code"] == "no_ready_replica"
    eventually(lambda: gateway.counted("requests_total", '"no_replica"') == 1, within_s=30)
    assert gateway.counted("attempts_total") == 0


def test_a_refused_attempt_is_repeated_elsewhere_and_the_replica_left_alone_until_a_later_probe(
    gateway: Gateway, pair: list[Toy], free_port: int
) -> None:
    shown_s = time.monotonic()
    gateway.show(free_port, pair[0], probed_s=shown_s)
    answers = [complete(gateway.port) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.headers["x-aftershock-attempts"] for answer in answers) == ["1"] * 19 + ["2"]
    gateway.show(free_port, pair[0], probed_s=shown_s)  # the same old probe: no news
    assert complete(gateway.port).headers["x-aftershock-attempts"] == "1"
    assert gateway.counted("attempts_total", '"a"', '"unreachable"') == 1
    assert gateway.counted("retries_total") == 1
    gateway.show(free_port, pair[0])  # a probe that began after the failure
    answers = [complete(gateway.port) for _ in range(20)]
    assert Counter(answer.headers["x-aftershock-attempts"] for answer in answers)["2"] == 1


def test_a_replica_that_dies_before_its_first_token_costs_a_retry_and_no_error(
    gateway: Gateway, eventually: Eventually
) -> None:
    with toys(2) as (mute, good):
        tell(mute.port, silent=True)
        gateway.show(mute, good, unready="b")
        with socket_request(gateway.port) as client:
            eventually(lambda: mute.accepted == 1, within_s=30)
            gateway.show(mute, good)
            mute.process.kill()
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 200
            assert response.headers["x-aftershock-replica"] == "b"
            assert response.headers["x-aftershock-attempts"] == "2"
            assert response.read().endswith(b"[DONE]\n\n")
            response.close()


@pytest.mark.parametrize(
    ("status", "seen", "attempts"),
    [(503, 200, "2"), (429, 429, "1"), (500, 500, "1"), (400, 400, "1")],
    ids=["503 is tried elsewhere", "429 is the client's to wait for", "500 passes", "400 passes"],
)
def test_what_status_is_tried_again(gateway: Gateway, status: int, seen: int, attempts: str) -> None:
    with toys(2) as (bad, good):
        tell(bad.port, status=status)
        gateway.show(bad, good)
        answers = [complete(gateway.port) for _ in range(20)]
    of_bad = [a for a in answers if a.status != 200 or a.headers["x-aftershock-attempts"] == "2"]
    assert of_bad
    assert {(a.status, a.headers["x-aftershock-attempts"]) for a in of_bad} == {(seen, attempts)}


def test_a_503_with_nowhere_else_to_go_passes_as_it_is(gateway: Gateway) -> None:
    with toys(1) as (only,):
        tell(only.port, status=503)
        gateway.show(only)
        answer = complete(gateway.port)
    assert (answer.status, answer.json()["error"]["message"]) == (503, "as told")


def test_when_every_attempt_fails_the_answer_is_502(gateway: Gateway) -> None:
    with toys(2) as dead:
        pass
    gateway.show(*dead)
    answer = complete(gateway.port)
    assert answer.status == 502
    assert answer.headers["x-aftershock-attempts"] == "2"
    assert answer.json()["error"]["code"] == "replica_unreachable"


def test_a_stream_whose_replica_dies_is_broken_off_and_never_ends_cleanly(
    gateway: Gateway, eventually: Eventually
) -> None:
    with toys(2, "--gap-s", "0.05") as two:
        gateway.show(*two)
        with Stream(gateway.port, 1000) as stream:
            stream.event()
            two["ab".index(stream.response.headers["x-aftershock-replica"])].process.kill()
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                stream.response.read()
    eventually(lambda: gateway.counted("requests_total", '"truncated"') == 1, within_s=30)
    assert gateway.counted("retries_total") == 0


@pytest.mark.parametrize("silent", [True, False], ids=["before the first token", "between tokens"])
def test_a_client_that_leaves_ends_the_work_at_its_replica(
    gateway: Gateway, silent: bool, eventually: Eventually
) -> None:
    with toys(1, "--gap-s", "0.05") as (toy,):
        tell(toy.port, silent=silent)
        gateway.show(toy)
        with socket_request(gateway.port, tokens=1000) as client:
            eventually(lambda: toy.accepted == 1, within_s=30)
            if not silent:
                assert client.recv(1)
        eventually(
            lambda: total(toy.metrics_port, "toy_requests_total", '"client_left"') == 1,
            within_s=30,
            what="the leave",
        )
        eventually(lambda: gateway.counted("requests_total", '"client_gone"') == 1, within_s=30)
        assert gateway.counted("requests_in_flight") == 0
        assert gateway.counted("replica_outstanding") == 0


def test_logical_requests_and_attempts_add_up_exactly_with_a_kill_in_the_middle(
    gateway: Gateway, eventually: Eventually
) -> None:
    with toys(4, "--gap-s", "0.005") as four:
        gateway.show(*four)
        outcomes = asyncio.run(many(gateway.port, 300, at=150, then=four[0].process.kill))
        accepted = [toy.accepted for toy in four[1:]]
    assert sum(outcomes.values()) == 300
    # The gateway counts a request when its last byte is out, a moment after the client has it.
    eventually(lambda: gateway.counted("requests_total") == 300, within_s=30)
    assert gateway.counted("requests_total", '"ok"') == outcomes["ok"]
    assert gateway.counted("request_seconds_count") == 300
    assert gateway.counted("attempts_total") == 300 + gateway.counted("retries_total")
    assert [gateway.counted("attempts_total", f'"{name}"') for name in "bcd"] == accepted
    assert gateway.counted("requests_total", '"truncated"') == outcomes["broken"]


async def many(port: int, count: int, at: int, then: Any) -> Counter[str]:
    """`count` streams, 60 at a time; `then` is called when the stream number `at` starts."""
    gate, outcomes = asyncio.Semaphore(60), Counter[str]()

    async def one(index: int) -> None:
        async with gate:
            if index == at:
                then()
            answer = await asyncio.to_thread(attempt, port)
            outcomes["ok" if answer is not None and answer.status == 200 else "broken"] += 1

    await asyncio.gather(*(one(index) for index in range(count)))
    return outcomes


def attempt(port: int) -> Answer | None:
    try:
        return complete(port, tokens=8)
    except (http.client.HTTPException, ConnectionError):
        return None


def test_the_exposition_is_clean(gateway: Gateway, pair: list[Toy]) -> None:
    gateway.show(*pair)
    complete(gateway.port)
    text = request(gateway.metrics_port, "GET", "/metrics").body
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_replicas_beyond_the_first_200_share_one_label() -> None:
    balancer = Balancer(random.Random(7), EjectionSpec())
    counting = GatewayMetrics(balancer, RetryBudget(RetrySpec()), lambda: 0)
    for index in range(300):
        counting.attempt_ended(f"replica-{index}", "ok", retry=False)
    values = {
        sample.labels["replica"]: sample.value
        for family in counting.registry.collect()
        for sample in family.samples
        if sample.name == "ds_gateway_attempts_total"
    }
    assert len(values) == 201
    assert values["other"] == 100


def test_a_replica_that_answered_once_shows_the_attempts_that_did_not_fail_yet() -> None:
    fresh = GatewayMetrics(Balancer(random.Random(7), EjectionSpec()), RetryBudget(RetrySpec()), lambda: 0)
    fresh.attempt_ended("a", "ok", retry=False)
    values = {
        sample.labels["outcome"]: sample.value
        for family in fresh.registry.collect()
        for sample in family.samples
        if sample.name == "ds_gateway_attempts_total"
    }
    assert values.keys() >= {"ok", "truncated", "unreachable", "http_5xx"}
    assert {outcome for outcome, value in values.items() if value} == {"ok"}


def test_every_outcome_is_counted_from_zero_so_that_a_rate_sees_the_first_failure(gateway: Gateway) -> None:
    fresh = GatewayMetrics(Balancer(random.Random(7), EjectionSpec()), RetryBudget(RetrySpec()), lambda: 0)
    counts = {
        sample.labels["outcome"]: sample.value
        for family in fresh.registry.collect()
        for sample in family.samples
        if sample.name == "ds_gateway_requests_total"
    }
    assert set(counts.values()) == {0.0}
    shown = {name for name in samples(gateway.metrics_port) if name.startswith("ds_gateway_requests_total")}
    assert len(shown) == len(counts) == 8


def test_its_own_health_is_not_a_request(gateway: Gateway) -> None:
    assert request(gateway.port, "GET", "/healthz").status == 200
    assert "ds_gateway_requests_in_flight" in samples(gateway.metrics_port)
    assert gateway.counted("requests_total") == 0


def test_the_gateway_ends_when_nobody_gives_orders_any_more() -> None:
    assert Helper("gateway").close() == 0
