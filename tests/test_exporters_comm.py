"""Round trips between peers: timed over an open connection, failures counted, labels bounded."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry

from exporters.comm import MAX_OPS, MAX_PEERS, CommMetrics, Peer, Pinger, Responder, peer_of, scope_of

Eventually = Callable[..., object]


class Reader:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = CommMetrics(self.registry)

    def count(self, peer: Peer, scope: str = "intra") -> float:
        return self._value("ds_comm_latency_seconds_count", peer, scope)

    def sum_s(self, peer: Peer, scope: str = "intra") -> float:
        return self._value("ds_comm_latency_seconds_sum", peer, scope)

    def failures(self, peer: Peer, scope: str = "intra") -> float:
        return self._value("ds_comm_failures_total", peer, scope)

    def _value(self, name: str, peer: Peer, scope: str) -> float:
        value = self.registry.get_sample_value(name, {"op": "tcp_rtt", "scope": scope, "peer": peer.name})
        assert value is not None
        return value


@pytest.fixture
def reader() -> Reader:
    return Reader()


@contextmanager
def pinging(reader: Reader, peer: Peer, timeout_s: float = 5.0) -> Iterator[None]:
    pinger = Pinger(peer, reader.metrics, every_s=0.01, timeout_s=timeout_s)
    try:
        yield
    finally:
        pinger.close()


def test_round_trips_between_two_are_timed(reader: Reader, eventually: Eventually) -> None:
    with Responder("127.0.0.1", 0) as responder:
        peer = Peer("127.0.0.1", responder.port)
        with pinging(reader, peer):
            eventually(lambda: reader.count(peer) >= 5, within_s=30)
    assert 0 < reader.sum_s(peer) / reader.count(peer) < 1


def test_a_peer_that_goes_is_counted_and_timed_again_when_it_is_back(
    reader: Reader, eventually: Eventually, free_port: int
) -> None:
    peer = Peer("127.0.0.1", free_port)
    with pinging(reader, peer):
        eventually(lambda: reader.failures(peer) >= 2, within_s=30)
        assert reader.count(peer) == 0
        with Responder("127.0.0.1", free_port):
            eventually(lambda: reader.count(peer) >= 2, within_s=30)


def test_both_series_are_there_at_zero_before_anything_happened(reader: Reader) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        peer = Peer("127.0.0.1", mute.getsockname()[1])
        with pinging(reader, peer, timeout_s=30):
            assert (reader.count(peer), reader.failures(peer)) == (0, 0)


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[Peer]:
    """A peer that answers each message as told; an empty answer is silence."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection), suppress(OSError):
                while message := connection.recv(4096):
                    connection.sendall(answer(message))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield Peer("127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer",
    [lambda _: b"", lambda message: message[:5], lambda message: message[::-1]],
    ids=["silence", "half of it", "something else"],
)
def test_what_is_no_whole_echo_in_time_is_a_failure_without_a_latency(
    reader: Reader, eventually: Eventually, answer: Callable[[bytes], bytes]
) -> None:
    with answering(answer) as peer, pinging(reader, peer, timeout_s=0.05):
        eventually(lambda: reader.failures(peer) >= 1, within_s=30)
    assert reader.count(peer) == 0


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(
    reader: Reader, eventually: Eventually
) -> None:
    kept: list[bytes] = []

    def late(message: bytes) -> bytes:
        kept.append(message)
        return b"" if len(kept) == 1 else kept[-2] if len(kept) == 2 else message

    with answering(late) as peer, pinging(reader, peer, timeout_s=0.3):
        eventually(lambda: reader.count(peer) >= 1, within_s=30)
    assert reader.failures(peer) >= 2, "the late answer and the one that it would have been taken for"


def test_peers_and_operations_beyond_their_bounds_are_counted_together(reader: Reader) -> None:
    for number in range(3 * MAX_PEERS):
        reader.metrics.observe("tcp_rtt", "inter", f"host-{number}:1", 0.001)
    for number in range(3 * MAX_OPS):
        reader.metrics.observe(f"op-{number}", "intra", "host-0:1", 0.001)
    samples = [sample for family in reader.registry.collect() for sample in family.samples]
    assert len({sample.labels["peer"] for sample in samples}) == MAX_PEERS + 1
    assert len({sample.labels["op"] for sample in samples}) == MAX_OPS + 1
    counted = [sample.value for sample in samples if sample.name == "ds_comm_latency_seconds_count"]
    assert sum(counted) == 3 * MAX_PEERS + 3 * MAX_OPS


def test_a_scope_is_one_of_two(reader: Reader) -> None:
    with pytest.raises(ValueError, match="scope is one of intra, inter, not 'rack'"):
        reader.metrics.observe("tcp_rtt", "rack", "host-0:1", 0.001)


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("127.0.0.1", "intra"),
        ("localhost", "intra"),
        ("192.0.2.1", "inter"),
        ("no-such-host.invalid", "inter"),
    ],
)
def test_a_peer_is_on_this_host_when_its_address_is(host: str, scope: str) -> None:
    assert scope_of(Peer(host, 1)) == scope


@pytest.mark.parametrize(
    ("text", "peer"),
    [("a:1", Peer("a", 1)), ("10.0.0.7:65535", Peer("10.0.0.7", 65535)), ("[::1]:80", Peer("::1", 80))],
)
def test_a_peer_is_read_as_it_is_shown(text: str, peer: Peer) -> None:
    assert peer_of(text) == peer
    assert peer.name == text


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:0", "a:65536", "a:http", "a:-1"])
def test_what_is_no_peer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected host:port"):
        peer_of(text)


def test_the_responder_takes_a_bounded_number_of_connections(eventually: Eventually) -> None:
    with Responder("127.0.0.1", 0) as responder:
        address = ("127.0.0.1", responder.port)
        connections = [socket.create_connection(address, 10) for _ in range(257)]
        assert connections[-1].recv(1) == b"", "the one beyond the bound is closed"
        connections[0].sendall(b"x")
        assert connections[0].recv(1) == b"x"
        for connection in connections:
            connection.close()

        def served() -> bool:
            with socket.create_connection(address, 10) as again:
                again.sendall(b"y")
                return again.recv(1) == b"y"

        eventually(served, within_s=30, what="room for a connection after others have ended")
