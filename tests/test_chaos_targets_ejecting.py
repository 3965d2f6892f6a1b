"""The gateway process in front of scripted servers, under load: who is taken out of rotation, and who is not."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest

from chaos.targets.local.gateway.spec import EjectionSpec, GatewaySpec, RetrySpec
from tests.conftest import Eventually
from tests.support.local_cluster import Helper, helper, samples, total
from tests.support.scripted_server import ScriptedServer

QUICK = EjectionSpec(first_token_s=0.5, stall_s=0.5, base_s=0.5, longest_s=4.0)
PATH = "/v1/chat/completions"
WORKERS = 8


def ask(port: int, method: str = "POST") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, PATH, json.dumps({"stream": True}) if method == "POST" else None)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Front:
    """A gateway under a test's orders, before servers named a, b, c, ..., and clients that never rest."""

    def __init__(self, orders: Helper, spec: GatewaySpec, servers: list[ScriptedServer]) -> None:
        listening = orders.ask("listen", gateway=asdict(spec))
        self.port, self.metrics_port = listening["port"], listening["metrics_port"]
        self.changes: list[dict[str, Any]] = []
        self.seen: Counter[str] = Counter()
        self.stop = threading.Event()
        self._orders, self._servers, self._asking = orders, servers, threading.Lock()
        self.unready: set[str] = set()
        self.show()
        self._clients = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(WORKERS)]
        self._clients.append(threading.Thread(target=self._probe, daemon=True))

    def show(self) -> None:
        with self._asking:
            rows = [
                {
                    "name": name,
                    "port": server.port,
                    "ready": name not in self.unready,
                    "probed_s": time.monotonic(),
                }
                for name, server in zip("abcdefgh", self._servers, strict=False)
            ]
            self.changes += self._orders.ask("endpoints", endpoints=rows)["changes"]

    def _probe(self) -> None:
        """As a supervisor does: probes pass all the time, whatever becomes of requests."""
        while not self.stop.wait(0.1):
            self.show()

    def load(self) -> None:
        for client in self._clients:
            client.start()

    def _ask_on(self) -> None:
        while not self.stop.is_set():
            try:
                status, body = ask(self.port)
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1
            else:
                whole = status == 200 and body.endswith(b"[DONE]\n\n")
                self.seen["ok" if whole else str(status)] += 1

    def served(self, more: int) -> Callable[[], bool]:
        until = self.seen["ok"] + more
        return lambda: self.seen["ok"] >= until

    def told(self, *, ejected: bool) -> list[str]:
        self.show()
        return [change["replica"] for change in self.changes if change["ejected"] is ejected]

    def counted(self, family: str, *having: str) -> float:
        return total(self.metrics_port, f"ds_gateway_{family}", *having)

    def close(self) -> None:
        self.stop.set()
        for client in self._clients:
            if client.ident is not None:
                client.join(20)


@contextmanager
def front(
    spec: GatewaySpec, count: int = 5, script: str = "ok-3"
) -> Iterator[tuple[Front, list[ScriptedServer]]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(only=script)) for _ in range(count)]
        started = Front(stack.enter_context(helper("gateway")), spec, servers)
        stack.callback(started.close)
        yield started, servers


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("status-500", "errors"),
        ("status-503", "errors"),
        ("reset", "errors"),
        ("silent", "broken streams"),
        pytest.param("stall-2", "broken streams", marks=pytest.mark.slow),
        ("reset_mid", "broken streams"),
        ("cut", "broken streams"),
        ("no_done", "broken streams"),
        ("finish-abort", "broken streams"),
        ("error_first", "broken streams"),
        ("error_event", "broken streams"),
    ],
)
def test_a_replica_that_answers_badly_is_out_and_comes_back_when_it_is_well(
    script: str, reason: str, eventually: Eventually
) -> None:
    with front(GatewaySpec(QUICK)) as (gateway, servers):
        gateway.load()
        eventually(gateway.served(600), within_s=30, what="a healthy past")
        servers[2].only = script
        began_s = time.monotonic()
        eventually(lambda: "c" in gateway.told(ejected=True), within_s=20, what="the ejection")
        [change] = gateway.changes
        assert change["at_s"] > began_s
        assert change["kind"] == reason
        assert gateway.counted("replicas_ejected") == 1
        assert gateway.counted("ejections_total", f'"{reason}"') == 1
        servers[2].only = "ok-3"
        eventually(lambda: "c" in gateway.told(ejected=False), within_s=20, what="the way back")
        assert {change["replica"] for change in gateway.changes} == {"c"}


def test_servers_with_full_queues_stay_in_rotation(eventually: Eventually) -> None:
    with front(GatewaySpec(QUICK), count=3, script="full-1-3-20") as (gateway, _):
        gateway.load()
        eventually(lambda: gateway.seen["503"] > 60 and gateway.seen["ok"] > 60, within_s=40)
        assert gateway.told(ejected=True) == []


def test_with_its_switch_off_a_replica_that_answers_badly_stays(eventually: Eventually) -> None:
    with front(GatewaySpec(replace(QUICK, errors=False))) as (gateway, servers):
        gateway.load()
        eventually(gateway.served(600), within_s=30)
        servers[2].only = "status-500"
        eventually(lambda: gateway.seen["500"] > 100, within_s=30)
        assert gateway.told(ejected=True) == []


def test_never_more_than_the_share_are_out_though_more_fail(eventually: Eventually) -> None:
    with front(GatewaySpec(QUICK), count=4) as (gateway, servers):
        gateway.load()
        eventually(gateway.served(600), within_s=30)
        for server in servers[:3]:
            server.only = "status-500"
        most = 0.0
        while gateway.seen["500"] < 300:
            most = max(most, gateway.counted("replicas_ejected"))
        assert most <= 2


def test_a_silent_replica_costs_its_waiting_clients_time_and_no_request(eventually: Eventually) -> None:
    patient = replace(QUICK, first_token_s=2.0)  # so that a slow machine does not make a healthy one silent
    with front(GatewaySpec(patient, RetrySpec(min_per_second=1000))) as (gateway, servers):
        gateway.load()
        eventually(gateway.served(600), within_s=30)
        servers[0].only = "silent"
        eventually(lambda: "a" in gateway.told(ejected=True), within_s=20)
        eventually(gateway.served(200), within_s=30)
        assert gateway.counted("attempts_total", '"a"', '"silent"') >= 3
        assert set(gateway.seen) == {"ok"}, [
            f"{n}={v}" for n, v in samples(gateway.metrics_port).items() if v and "bucket" not in n
        ]


def test_an_error_as_the_first_event_of_a_200_is_tried_elsewhere(eventually: Eventually) -> None:
    off = replace(QUICK, errors=False, broken_streams=False)
    with front(GatewaySpec(off, RetrySpec(min_per_second=1000)), count=2) as (gateway, servers):
        servers[0].only = "error_first"
        bodies = [ask(gateway.port) for _ in range(20)]
        assert all(status == 200 and b"engine died" not in body for status, body in bodies)
        assert gateway.counted("attempts_total", '"a"', '"error_event"') >= 10


def test_an_error_later_in_a_200_is_the_clients_to_see_and_counts_as_one(eventually: Eventually) -> None:
    with front(GatewaySpec(), count=1, script="finish-abort") as (gateway, _):
        status, body = ask(gateway.port)
        assert (status, b'"abort"' in body) == (200, True)
        eventually(lambda: gateway.counted("requests_total", '"error_event"') == 1, within_s=20)


@pytest.mark.parametrize(
    "retries", [RetrySpec(enabled=False), RetrySpec(budget=0, min_per_second=0)], ids=["off", "no budget"]
)
def test_without_leave_to_retry_the_first_answer_passes(retries: RetrySpec, eventually: Eventually) -> None:
    off = replace(QUICK, errors=False, broken_streams=False)
    with front(GatewaySpec(off, retries), count=2) as (gateway, servers):
        servers[0].only = "status-503"
        assert Counter(ask(gateway.port)[0] for _ in range(20)) == {200: 10, 503: 10}
        assert gateway.counted("retries_total") == 0
        refused = 10 if retries.enabled else 0
        eventually(lambda: gateway.counted("retries_refused_total") == refused, within_s=20)


def test_where_every_ready_replica_is_out_they_are_asked_all_the_same() -> None:
    with front(GatewaySpec(replace(QUICK, base_s=4.0), RetrySpec(enabled=False)), count=2) as (
        gateway,
        servers,
    ):
        for _ in range(600):
            ask(gateway.port)
        servers[1].only = "status-500"
        while "b" not in gateway.told(ejected=True):
            ask(gateway.port)
        gateway.unready.add("a")
        gateway.show()
        assert ask(gateway.port)[0] == 500
        assert gateway.counted("panic_attempts_total") == 1


def test_a_trial_is_a_request_that_generates(eventually: Eventually) -> None:
    with front(GatewaySpec(QUICK)) as (gateway, servers):
        gateway.load()
        eventually(gateway.served(600), within_s=30)
        servers[2].only = "silent"
        eventually(lambda: "c" in gateway.told(ejected=True), within_s=20)
        gateway.close()
        servers[2].only = "ok-3"
        out_s = gateway.changes[-1]["at_s"] + gateway.changes[-1]["for_s"]
        eventually(lambda: time.monotonic() > out_s, within_s=20)
        for _ in range(20):
            ask(gateway.port, "GET")
        assert gateway.told(ejected=False) == []
        ask(gateway.port)
        eventually(lambda: gateway.told(ejected=False) == ["c"], within_s=20)
