"""The same bytes are the same thing to load, probe and gateway: a table of what servers really send."""

import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from chaos.targets.local.gateway.spec import GatewaySpec, RetrySpec
from exporters.probe import ProbeTarget, probe
from loadtests.endpoint import Endpoint
from loadtests.rows import Row
from loadtests.spec import Timeouts
from loadtests.streaming import StreamingClient
from tests.conftest import Eventually
from tests.support.local_cluster import Helper, helper, samples
from tests.support.odd_answers import ANSWERS
from tests.support.scripted_server import ScriptedServer

PATIENT = Timeouts(ttft_s=20, stall_s=20, deadline_s=20)
EACH = pytest.mark.parametrize("name", ANSWERS)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(server: ScriptedServer) -> Iterator[tuple[Helper, dict[str, int]]]:
    """A gateway in front of nothing but that server."""
    with helper("gateway") as orders:
        plenty = GatewaySpec(retries=RetrySpec(min_per_second=1000))
        ports = orders.ask("listen", gateway=asdict(plenty))
        show(orders, server.port)
        yield orders, ports


def show(orders: Helper, *ports: int) -> None:
    now_s = time.monotonic()
    rows = [
        {"name": name, "port": port, "ready": True, "probed_s": now_s}
        for name, port in zip("ab", ports, strict=False)
    ]
    orders.ask("endpoints", endpoints=rows)


def load(url: str) -> Row:
    client = StreamingClient(Endpoint.parse(url, "sk-secret"), PATIENT, start_s=time.monotonic())
    return client.request(0, 0.0, b'{"stream":true}')


def counted(port: int) -> dict[str, float]:
    began = 'ds_gateway_requests_total{outcome="'
    found = samples(port).items()
    return {name.removeprefix(began)[:-2]: value for name, value in found if name.startswith(began)}


@EACH
def test_the_load_calls_it_by_its_name(server: ScriptedServer, name: str) -> None:
    answer, row = ANSWERS[name], load(server.url(f"odd-{name}"))
    assert (row.outcome, len(row.token_s), row.output_tokens) == (answer.outcome, answer.tokens, answer.usage)
    assert (row.error is None) == (answer.outcome == "ok")
    assert (answer.said or "") in (row.error or "")


@EACH
def test_the_probe_says_the_same(server: ScriptedServer, name: str) -> None:
    result = probe(ProbeTarget(server.url(f"odd-{name}"), "tiny", timeout_s=20))
    assert result.outcome == ANSWERS[name].of_probe
    assert (result.ttft_s is not None) == (ANSWERS[name].tokens > 0)


@EACH
def test_the_gateway_says_the_same_and_changes_nothing(
    gateway: tuple[Helper, dict[str, int]], server: ScriptedServer, name: str, eventually: Eventually
) -> None:
    orders, ports = gateway
    show(orders, server.port)
    before = counted(ports["metrics_port"])
    row = load(f"http://127.0.0.1:{ports['port']}/odd-{name}")

    def grown() -> list[str]:
        after = counted(ports["metrics_port"])
        return [outcome for outcome, count in after.items() if count > before[outcome]]

    eventually(grown, within_s=30)  # it counts once the client has everything
    assert grown() == [ANSWERS[name].of_gateway]
    assert (row.outcome, len(row.token_s)) == (ANSWERS[name].outcome, ANSWERS[name].tokens)


@pytest.mark.parametrize("name", ["error_first", "object_first", "no_stream_error"])
def test_an_error_before_anything_else_is_tried_again_elsewhere(
    gateway: tuple[Helper, dict[str, int]], name: str
) -> None:
    orders, ports = gateway
    with ScriptedServer(only=f"odd-{name}") as broken, ScriptedServer(only="odd-plain") as sound:
        show(orders, broken.port, sound.port)
        for _ in range(1000):  # whoever is asked first is drawn
            row = load(f"http://127.0.0.1:{ports['port']}")
            assert row.outcome == "ok"
            if row.attempts == 2:
                return
    pytest.fail("the broken one was never asked")
