"""Network faults in the proxy: bytes wait and stay themselves, silence is silence, and everything comes back."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.targets.effects import Bucket, Traffic
from tests.support.local_cluster import Helper, complete, helper, toys


@pytest.fixture(scope="module")
def proxy() -> Iterator[Helper]:
    with helper("proxy") as started:
        yield started


def joined(proxy: Helper, route: str) -> tuple[socket.socket, socket.socket]:
    """A client and the server behind a route of this name, over an open connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = proxy.ask("add", route=route, upstream_port=listener.getsockname()[1])["port"]
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        server, _ = listener.accept()
        server.settimeout(20)
        return client, server


def shape(proxy: Helper, route: str, occurrence: str, delay_s: float, jitter_s: float = 0.0) -> None:
    traffic = {"delay_s": delay_s, "jitter_s": jitter_s}
    proxy.ask("shape", occurrence=occurrence, routes=[route], to_replica=traffic, from_replica=None)


def sent_and_received(client: socket.socket, server: socket.socket, payload: bytes) -> bytes:
    """What arrives of bytes that are sent in pieces of every size while something happens to the network."""

    def send() -> None:
        rng, at = Random(1), 0
        while at < len(payload):
            step = rng.randrange(1, 40_000)
            client.sendall(payload[at : at + step])
            at += step
        client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    received = b"".join(iter(lambda: server.recv(65536), b""))
    thread.join()
    return received


def test_bytes_on_an_open_connection_wait_and_arrive_as_they_were_through_fault_and_recovery(
    proxy: Helper,
) -> None:
    client, server = joined(proxy, "bytes")
    payload = Random(2).randbytes(3_000_000)

    def toggle() -> None:
        for number in range(20):
            shape(proxy, "bytes", f"delay#{number}", 0.02, 0.02)
            shape(proxy, "bytes", f"more#{number}", 0.01)
            proxy.ask("unshape", occurrence=f"delay#{number}")
            proxy.ask("unshape", occurrence=f"more#{number}")

    toggles = threading.Thread(target=toggle)
    toggles.start()
    assert sent_and_received(client, server, payload) == payload
    toggles.join()
    client.close()
    server.close()


def test_a_sender_has_to_wait_while_much_waits_for_its_time_and_nothing_of_it_is_lost(proxy: Helper) -> None:
    client, server = joined(proxy, "much")
    shape(proxy, "much", "hour#1", 3600.0)
    client.settimeout(0.5)
    sent, block = bytearray(), Random(3).randbytes(1_000_003)
    with suppress(TimeoutError):
        while len(sent) < 64 * len(block):
            sent += block[: client.send(block)]
    assert 4_000_000 < len(sent) < 40_000_000, "what waits in the proxy, and what the sockets hold"
    proxy.ask("unshape", occurrence="hour#1")
    client.shutdown(socket.SHUT_WR)
    assert b"".join(iter(lambda: server.recv(65536), b"")) == sent
    client.close()
    server.close()


def test_delays_of_two_faults_add_up_and_what_waits_for_one_alone_goes_when_that_is_undone(
    proxy: Helper,
) -> None:
    client, server = joined(proxy, "sum")
    shape(proxy, "sum", "a#1", 0.3)
    shape(proxy, "sum", "a#1", 0.3)
    shape(proxy, "sum", "b#1", 0.2)
    began_s = time.monotonic()
    client.sendall(b"x")
    assert server.recv(1) == b"x"
    assert time.monotonic() - began_s >= 0.5
    shape(proxy, "sum", "c#1", 3600.0)
    client.sendall(b"y")
    for occurrence in ("c#1", "c#1"):
        proxy.ask("unshape", occurrence=occurrence)
    assert server.recv(1) == b"y", "an hour of delay ends with its fault, though others go on"
    client.close()
    server.close()


def test_a_connection_that_is_being_opened_is_open_once_its_fault_is_undone(proxy: Helper) -> None:
    client, server = joined(proxy, "opening")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        proxy.ask("move", route="opening", upstream_port=listener.getsockname()[1])
        shape(proxy, "opening", "hour#1", 3600.0)
        with socket.create_connection(client.getpeername(), timeout=20) as late:
            late.sendall(b"x")
            proxy.ask("unshape", occurrence="hour#1")
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(20)
                assert accepted.recv(1) == b"x"
    client.close()
    server.close()


CUT = Traffic(cut=True)


def impose(
    proxy: Helper, route: str, occurrence: str, up: Traffic | None = None, down: Traffic | None = None
) -> None:
    """Put a traffic in force toward the server, from it, or both."""
    ways = {"to_replica": up, "from_replica": down}
    wire = {way: None if traffic is None else asdict(traffic) for way, traffic in ways.items()}
    assert "error" not in proxy.ask("shape", occurrence=occurrence, routes=[route], **wire)


def hears_nothing(sock: socket.socket, for_s: float) -> bool:
    """Whether neither bytes nor an end come for so long."""
    before_s = sock.gettimeout()
    sock.settimeout(for_s)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(before_s)
    return False


def test_a_partition_is_silence_on_an_open_connection_and_ends_with_a_retransmission(proxy: Helper) -> None:
    client, server = joined(proxy, "partition")
    late_s = []
    for number in range(3):
        impose(proxy, "partition", f"cut#{number}", CUT, CUT)
        began_s = time.monotonic()
        client.sendall(b"up")
        server.sendall(b"down")
        assert hears_nothing(server, 0.5), "no byte, no reset, no end"
        assert hears_nothing(client, 0.1 * (number + 1))
        proxy.ask("unshape", occurrence=f"cut#{number}")
        healed_s = time.monotonic()
        assert (server.recv(2), client.recv(4)) == (b"up", b"down")
        late_s.append(time.monotonic() - healed_s)
        assert late_s[-1] < healed_s - began_s + 1.0, "the timers double: at most as late again, and a margin"
    assert max(late_s) > 0.05, "TCP does not know that the network is well again"
    client.close()
    server.close()


def test_a_new_connection_hangs_in_a_partition_and_is_made_by_a_later_syn(proxy: Helper) -> None:
    client, server = joined(proxy, "syn")
    upstream = socket.create_server(("127.0.0.1", 0))
    proxy.ask("move", route="syn", upstream_port=upstream.getsockname()[1])
    impose(proxy, "syn", "cut#1", CUT, CUT)
    with pytest.raises(TimeoutError):
        socket.create_connection(client.getpeername(), timeout=0.3)
    began_s, made = time.monotonic(), threading.Event()

    def connect() -> None:
        socket.create_connection(client.getpeername(), timeout=20).close()
        made.set()

    thread = threading.Thread(target=connect)
    thread.start()
    assert not made.wait(0.2)
    proxy.ask("unshape", occurrence="cut#1")
    thread.join()
    assert made.is_set()
    assert time.monotonic() - began_s > 0.8, "the next SYN comes a second after the first"
    for each in (client, server, upstream):
        each.close()


@pytest.mark.parametrize("way", ["up", "down"])
def test_half_a_partition_cuts_one_way_of_an_open_connection_and_every_new_one(
    proxy: Helper, way: str
) -> None:
    client, server = joined(proxy, f"half {way}")
    impose(proxy, f"half {way}", f"half#{way}", **{way: CUT})
    sent, heard = (client, server) if way == "up" else (server, client)
    heard.sendall(b"passes")
    assert sent.recv(6) == b"passes"
    sent.sendall(b"does not")
    assert hears_nothing(heard, 0.4)
    with pytest.raises(TimeoutError):
        socket.create_connection(client.getpeername(), timeout=0.3)
    proxy.ask("unshape", occurrence=f"half#{way}")
    assert heard.recv(8) == b"does not"
    client.close()
    server.close()


def test_a_partition_of_one_route_leaves_another_alone_and_ends_when_the_last_of_two_does(
    proxy: Helper,
) -> None:
    client, server = joined(proxy, "mine")
    other, its_server = joined(proxy, "other")
    impose(proxy, "mine", "cut#a", CUT, CUT)
    impose(proxy, "mine", "cut#b", CUT, CUT)
    other.sendall(b"x")
    assert its_server.recv(1) == b"x"
    proxy.ask("unshape", occurrence="cut#a")
    client.sendall(b"y")
    assert hears_nothing(server, 0.3)
    proxy.ask("unshape", occurrence="cut#b")
    assert server.recv(1) == b"y"
    for each in (client, server, other, its_server):
        each.close()


def test_a_client_that_leaves_during_a_partition_is_gone_for_the_server_once_it_ends(proxy: Helper) -> None:
    client, server = joined(proxy, "left")
    impose(proxy, "left", "cut#left", CUT, CUT)
    client.close()
    assert hears_nothing(server, 0.3)
    proxy.ask("unshape", occurrence="cut#left")
    assert server.recv(1) == b""
    server.close()


@pytest.mark.parametrize("order", ["reset", "remove"])
def test_a_replica_that_goes_while_it_is_cut_off_is_silent_until_the_partition_ends(
    proxy: Helper, order: str
) -> None:
    client, server = joined(proxy, f"gone {order}")
    impose(proxy, f"gone {order}", f"cut#{order}", CUT, CUT)
    proxy.ask(order, route=f"gone {order}")
    assert hears_nothing(client, 0.4)
    proxy.ask("unshape", occurrence=f"cut#{order}")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()
    server.close()


def test_what_is_late_still_arrives_when_both_sides_have_finished_sending(proxy: Helper) -> None:
    client, server = joined(proxy, "finished")
    impose(proxy, "finished", "late#1", up=Traffic(delay_s=0.3))
    client.sendall(b"late")
    for sock in (client, server):
        sock.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert b"".join(iter(lambda: server.recv(16), b"")) == b"late"
    client.close()
    server.close()


def test_the_gateway_gives_a_replica_that_is_cut_off_up_and_tries_another(proxy: Helper) -> None:
    with ExitStack() as stack:
        replicas = stack.enter_context(toys(2))
        gateway = stack.enter_context(helper("gateway"))
        names = [f"toy {toy.port}" for toy in replicas]
        ports = [
            proxy.ask("add", route=name, upstream_port=toy.port)["port"]
            for name, toy in zip(names, replicas, strict=True)
        ]
        rows = [
            {"name": name, "port": port, "ready": True, "probed_s": time.monotonic()}
            for name, port in zip(names, ports, strict=True)
        ]
        listening = gateway.ask("listen")
        gateway.ask("endpoints", endpoints=rows)
        impose(proxy, names[0], "cut#gateway", CUT, CUT)
        answers = [complete(listening["port"]) for _ in range(2)]
        proxy.ask("unshape", occurrence="cut#gateway")
        assert {(answer.status, answer.headers["x-aftershock-replica"]) for answer in answers} == {
            (200, names[1])
        }
        assert sorted(answer.headers["x-aftershock-attempts"] for answer in answers) == ["1", "2"]


def test_bytes_flow_at_the_rate_of_their_bucket_and_their_sender_has_to_wait(proxy: Helper) -> None:
    client, server = joined(proxy, "narrow")
    impose(proxy, "narrow", "narrow#1", up=Traffic(bucket=Bucket(2e6, 100_000, 50_000)))
    payload = Random(5).randbytes(1_500_000)
    began_s = time.monotonic()
    assert sent_and_received(client, server, payload) == payload
    took_s = time.monotonic() - began_s
    least_s = (len(payload) - 100_000) / 2e6
    assert least_s <= took_s < 2 * least_s + 1
    proxy.ask("unshape", occurrence="narrow#1")
    client.close()
    server.close()


FAULTS: tuple[Traffic, ...] = (
    Traffic(delay_s=0.004, jitter_s=0.004, jitter_correlation=0.5),
    Traffic(delay_s=0.01, reorder=0.5),
    Traffic(loss=0.2),
    Traffic(corruption=0.1, duplication=0.5),
    Traffic(bucket=Bucket(3e6, 3000, 20_000)),
    Traffic(bucket=Bucket(5e6, 0, 100_000), delay_s=0.002),
    CUT,
)
Schedule = list[tuple[tuple[int, int], tuple[int, str] | None, int]]
"""Bytes each way, then a fault that begins (which, on which way), and how many end."""
steps = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 30_000), st.integers(0, 30_000)),
        st.none() | st.tuples(st.sampled_from(range(len(FAULTS))), st.sampled_from(["up", "down", "both"])),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)


def play(
    proxy: Helper, route: str, ends: dict[str, socket.socket], schedule: Schedule, rng: Random
) -> dict[str, bytes]:
    """Send both ways while faults come and go; what was sent by each end. Every fault is over at the end."""
    sent, in_force = dict.fromkeys(ends, b""), list[str]()
    for number, (sizes, fault, ending) in enumerate(schedule):
        if fault is not None:
            index, way = fault
            ways: dict[str, Any] = {each: FAULTS[index] for each in ("up", "down") if way in (each, "both")}
            impose(proxy, route, f"{route} {number}", **ways)
            in_force.append(f"{route} {number}")
        for (name, sock), size in zip(ends.items(), sizes, strict=True):
            data = rng.randbytes(size)
            sent[name] += data
            sock.sendall(data)
        for _ in range(min(ending, len(in_force))):
            proxy.ask("unshape", occurrence=in_force.pop(rng.randrange(len(in_force))))
    for sock in ends.values():
        sock.shutdown(socket.SHUT_WR)
    for occurrence in in_force:
        proxy.ask("unshape", occurrence=occurrence)
    return sent


@settings(max_examples=30)
@given(schedule=steps, seed=st.integers(0, 2**32))
def test_no_schedule_of_faults_coming_and_going_loses_doubles_changes_or_reorders_a_byte(
    proxy: Helper, schedule: Schedule, seed: int
) -> None:
    route = f"any {time.monotonic_ns()}"
    client, server = joined(proxy, route)
    received: dict[str, bytes] = {}

    def hear(name: str, sock: socket.socket) -> None:
        received[name] = b"".join(iter(lambda: sock.recv(65536), b""))

    with client, server:
        listeners = [
            threading.Thread(target=hear, args=each) for each in (("client", server), ("server", client))
        ]
        for thread in listeners:
            thread.start()
        sent = play(proxy, route, {"client": client, "server": server}, schedule, Random(seed))
        for thread in listeners:
            thread.join()
        assert received == sent
    proxy.ask("remove", route=route)
