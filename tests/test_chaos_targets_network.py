"""A network fault on the local target: bytes wait and stay themselves, it is proved from outside, and it ends."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.targets import Replica
from chaos.targets.effects import Link, Traffic
from chaos.targets.local.line import Line
from chaos.targets.local.shaping import SEGMENT_BYTES, Shape, Wait
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import Helper, all_ready, helper, last, tell, terminate, toy_spec

BOTH = Link(from_replica=Traffic(delay_s=0.05), to_replica=Traffic(delay_s=0.05))


class Clock:
    """Time that passes when it is told to, and calls back."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, object]] = []

    def call_at(self, at_s: float, go: object) -> None:
        self._due.append((at_s, go))

    def run(self, until_s: float) -> None:
        while self._due and min(self._due, key=lambda each: each[0])[0] <= until_s:
            due = min(self._due, key=lambda each: each[0])
            self._due.remove(due)
            self.now_s = max(self.now_s, due[0])
            due[1]()  # type: ignore[operator]
        self.now_s = until_s


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2)), max_size=30))
def test_what_waits_goes_in_order_each_not_before_its_time_and_as_soon_as_the_one_before_it_has_gone(
    sent: list[tuple[float, float]],
) -> None:
    clock, gone = Clock(), []
    line = Line(clock.call_at, lambda: clock.now_s)
    expected, latest_s = [], 0.0
    for number, (pause_s, delay_s) in enumerate(sent):
        clock.run(clock.now_s + pause_s)
        latest_s = max(latest_s, clock.now_s + delay_s)
        expected.append((number, latest_s))
        line.add({"delay#1": Wait(delay_s)}, 1, lambda number=number: gone.append((number, clock.now_s)))  # type: ignore[misc]
    clock.run(clock.now_s + 10)
    assert [number for number, _ in gone] == [number for number, _ in expected]
    assert [at_s for _, at_s in gone] == pytest.approx([at_s for _, at_s in expected])
    assert line.empty


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2), st.floats(0, 2)), max_size=30), st.floats(0, 3))
def test_what_waits_goes_as_if_a_fault_had_never_been_once_that_is_undone(
    sent: list[tuple[float, float, float]], pause_s: float
) -> None:
    clock, gone = Clock(), []
    line = Line(clock.call_at, lambda: clock.now_s)
    without_s: list[float] = []
    with_s: list[float] = []
    for number, (gap_s, undone_s, kept_s) in enumerate(sent):
        clock.run(clock.now_s + gap_s)
        without_s.append(clock.now_s + kept_s)
        with_s.append(max([clock.now_s + kept_s + undone_s, *with_s[-1:]]))
        waits = {"undone#1": Wait(undone_s), "kept#1": Wait(kept_s)}
        line.add(waits, 1, lambda number=number: gone.append((number, clock.now_s)))  # type: ignore[misc]
    clock.run(clock.now_s + pause_s)
    at_s, before = clock.now_s, len(gone)
    line.forget("undone#1")
    line.forget("undone#1")
    clock.run(at_s + 10)
    assert [number for number, _ in gone] == [*range(len(sent))]
    late_s = [max([at_s, *without_s[before : number + 1]]) for number in range(before, len(sent))]
    assert [each for _, each in gone] == pytest.approx(with_s[:before] + late_s)
    assert line.empty


def test_jitter_is_uniform_around_the_delay_and_keeps_its_correlation() -> None:
    plain = Shape(Traffic(delay_s=0.1, jitter_s=0.05), "seed")
    delays_s = [plain.wait(100).all_s for _ in range(4000)]
    assert min(delays_s) >= 0.05
    assert max(delays_s) <= 0.15
    assert mean(delays_s) == pytest.approx(0.1, abs=0.002)
    correlated = Shape(Traffic(delay_s=0.1, jitter_s=0.05, jitter_correlation=0.9), "seed")
    steps_s = [abs(b - a) for a, b in pairwise(correlated.wait(100).all_s for _ in range(1000))]
    assert max(steps_s) <= 0.1 * 0.1 + 1e-9, "nine tenths of each draw are the one before"


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_a_lost_packet_with_nothing_behind_it_costs_a_timeout_that_doubles(share: float) -> None:
    shape = Shape(Traffic(loss=share), "seed")
    delays_s = [shape.wait(100).all_s for _ in range(20_000)]
    assert sum(delay_s > 0 for delay_s in delays_s) / len(delays_s) == pytest.approx(share, rel=0.15)
    assert {round(delay_s, 6) for delay_s in delays_s} <= {round(0.2 * (2**k - 1), 6) for k in range(11)}
    again = sum(delay_s > 0.2 for delay_s in delays_s) / sum(delay_s > 0 for delay_s in delays_s)
    assert again == pytest.approx(share, rel=0.4, abs=0.005)


def test_a_lost_packet_in_the_midst_of_many_is_sent_again_at_once() -> None:
    shape = Shape(Traffic(loss=0.02), "seed")
    delays_s = [shape.wait(100 * SEGMENT_BYTES).all_s for _ in range(500)]
    lost = shape.counts.lost
    assert lost == pytest.approx(500 * 100 * 0.02, rel=0.15)
    assert sum(delay_s > 0 for delay_s in delays_s) < lost / 5, "only the last few have nothing behind them"


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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    with LocalTarget(toy_spec(tmp_path_factory.mktemp("network"), 3)) as started:
        yield started


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    wait_until(lambda: all_ready(cluster), within_s=30, what="three ready replicas")
    return cluster


@pytest.mark.parametrize(
    "link",
    [BOTH, Link(from_replica=Traffic(delay_s=0.1)), Link(to_replica=Traffic(delay_s=0.1, jitter_s=0.02))],
    ids=["both ways", "from the replica", "to the replica, with jitter"],
)
def test_a_delay_is_seen_on_its_victim_alone_and_no_more_once_it_is_undone(
    target: LocalTarget, link: Link
) -> None:
    victim, bystander = target.replicas()[:2]
    for occurrence, whom in (("delay#1", victim), ("beside#1", bystander)):
        target.aim(occurrence, [link], [whom])
    target.inject("delay#1", [victim])
    (evidence,) = target.verify("delay#1", within_s=5)
    assert evidence.verified, evidence.how
    assert "round trip" in evidence.how
    assert not target.verify("beside#1", within_s=0)[0].verified
    assert not target.verify_recovered("delay#1", within_s=0)[0].verified
    target.recover("delay#1")
    target.recover("delay#1")
    (evidence,) = target.verify_recovered("delay#1", within_s=5)
    assert evidence.verified, evidence.how


def test_a_delay_that_is_aimed_and_injected_into_nobody_fails_verification(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    target.aim("control#1", [BOTH], [victim])
    target.inject("control#1", [])
    (evidence,) = target.verify("control#1", within_s=0.5)
    assert not evidence.verified
    assert "0 packets" in evidence.how
    assert "200.0 ms more were to be seen" in evidence.how


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_loss_is_seen_in_late_requests_and_no_more_once_it_is_undone(
    target: LocalTarget, share: float
) -> None:
    victim, bystander = target.replicas()[:2]
    lossy = Link(from_replica=Traffic(loss=share), to_replica=Traffic(loss=share))
    target.aim("loss#1", [lossy], [victim])
    target.aim("control#2", [lossy], [bystander])
    target.inject("loss#1", [victim])
    (evidence,) = target.verify("loss#1", within_s=20)
    assert evidence.verified, evidence.how
    assert "late by a retransmission" in evidence.how
    (evidence,) = target.verify("control#2", within_s=1)
    assert not evidence.verified, evidence.how
    target.recover("loss#1")
    (evidence,) = target.verify_recovered("loss#1", within_s=5)
    assert evidence.verified, evidence.how


def test_of_two_delays_of_one_replica_each_is_proved_by_its_own_part(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    for occurrence in ("first#1", "control#3"):
        target.aim(occurrence, [BOTH], [victim])
    target.inject("first#1", [victim])
    target.aim("second#1", [BOTH], [victim])
    assert target.verify("first#1", within_s=5)[0].verified
    assert not target.verify("control#3", within_s=0.5)[0].verified, "the first is no proof of another"
    assert not target.verify("second#1", within_s=0.5)[0].verified, "the first is no proof of the second"
    target.inject("second#1", [victim])
    assert target.verify("second#1", within_s=5)[0].verified
    target.recover("first#1")
    for occurrence in ("first#1", "control#3"):
        (evidence,) = target.verify_recovered(occurrence, within_s=5)
        assert evidence.verified, f"the second goes on: {evidence.how}"
    assert target.verify("second#1", within_s=5)[0].verified
    assert not target.verify_recovered("second#1", within_s=0)[0].verified
    target.recover("second#1")
    assert target.verify_recovered("second#1", within_s=5)[0].verified


def test_a_restarted_process_of_a_victim_stays_behind_its_slow_network(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    target.aim("restart#1", [BOTH], [victim])
    target.inject("restart#1", [victim])
    with pytest.raises(ConnectionError):
        tell(last(target, victim.name)["port"], exit=3)
    eventually(lambda: last(target, victim.name).get("restarts") and all_ready(target), within_s=30)
    (evidence,) = target.verify("restart#1", within_s=5)
    target.recover("restart#1")
    assert evidence.verified, evidence.how
    assert target.verify_recovered("restart#1", within_s=5)[0].verified


def test_the_replacement_of_a_victim_is_not_hit_and_its_end_is_no_failed_recovery(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    target.aim("frozen#1", [BOTH], [victim])
    target.inject("frozen#1", [victim])
    terminate(target, [victim])
    eventually(lambda: all_ready(target) and victim.uid not in uids(target), within_s=30)
    fresh = target.replicas()[-1]
    target.aim("fresh#1", [BOTH], [fresh])
    assert not target.verify("fresh#1", within_s=0)[0].verified
    target.recover("frozen#1")
    (evidence,) = target.verify_recovered("frozen#1", within_s=5)
    assert (evidence.verified, evidence.how) == (True, "is not there any more")


def uids(target: LocalTarget) -> set[str]:
    return {replica.uid for replica in target.replicas()}


def test_recovery_is_harmless_when_the_cluster_has_ended(tmp_path: Path) -> None:
    with LocalTarget(toy_spec(tmp_path, 1)) as target:
        victims: list[Replica] = [*target.replicas()]
        target.aim("late#1", [BOTH], victims)
        target.inject("late#1", victims)
    target.recover("late#1")
    assert target.events()[-1].kind == "target_stopped"
