"""What a network fault does to bytes on their way, by a clock of the test's own: waits, tokens, and their order."""

from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.targets.effects import Bucket, Traffic
from chaos.targets.local.proxy.line import Line
from chaos.targets.local.proxy.shaping import HEADER_BYTES, SEGMENT_BYTES, Shape, Wait, Way


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


def test_of_many_packets_one_that_is_lost_once_is_told_of_and_one_that_is_lost_twice_takes_a_timeout() -> (
    None
):
    shape = Shape(Traffic(loss=0.02), "seed")
    delays_s = [shape.wait(100 * SEGMENT_BYTES).resent_s for _ in range(4000)]
    late = sum(each_s > 0 for each_s in delays_s) / len(delays_s)
    assert late == pytest.approx(1 - (1 - 0.02**2) ** 99 * (1 - 0.02), rel=0.25)
    assert {round(each_s, 6) for each_s in delays_s} <= {round(0.2 * (2**k - 1), 6) for k in range(11)}


@given(st.floats(0.05, 5))
def test_what_had_come_when_a_line_was_cut_waits_for_its_end_and_then_for_a_retransmission(
    cut_s: float,
) -> None:
    clock, gone, way = Clock(), [], Way({"cut#1": Shape(Traffic(cut=True), "seed")})
    line = Line(clock.call_at, lambda: clock.now_s, way)
    line.add(way.waits(100), 100, lambda: gone.append(clock.now_s))
    clock.run(cut_s)
    assert not gone
    way.shapes.clear()
    line.forget("cut#1")
    clock.run(20)
    (came_s,) = gone
    assert cut_s <= came_s <= max(0.2, 2 * cut_s + 0.2)
    assert came_s == pytest.approx(min(each for each in (0.2, 0.6, 1.4, 3.0, 6.2) if each >= cut_s))


def test_what_follows_tells_of_a_loss_once_unless_it_is_lost_itself() -> None:
    clock, gone = Clock(), []
    line = Line(clock.call_at, lambda: clock.now_s)
    lost, twice = Wait(0.0, 0.2, 1), Wait(0.0, 0.6, 2)
    for name, waits, at_s in (
        ("lost", {"loss#1": lost}, 0.0),
        ("lost too", {"loss#1": lost}, 0.02),
        ("arrives", {"loss#1": Wait(0.0)}, 0.05),
        ("lost twice", {"loss#1": twice}, 1.0),
        ("arrives as well", {"loss#1": Wait(0.0)}, 1.1),
        ("and this one", {}, 1.15),
    ):
        clock.run(at_s)
        line.add(waits, 1, lambda name=name: gone.append((name, round(clock.now_s, 3))))  # type: ignore[misc]
    clock.run(3)
    assert gone == [
        ("lost", 0.05),
        ("lost too", 0.05),
        ("arrives", 0.05),
        ("lost twice", 1.3),
        ("arrives as well", 1.3),
        ("and this one", 1.3),
    ]


def test_a_damaged_packet_is_a_lost_one() -> None:
    shape = Shape(Traffic(loss=0.1, corruption=0.2), "seed")
    late = sum(shape.wait(100).resent_s > 0 for _ in range(20_000))
    assert late / 20_000 == pytest.approx(1 - 0.9 * 0.8, rel=0.05)


def test_a_packet_that_comes_twice_is_as_late_as_any() -> None:
    shape = Shape(Traffic(delay_s=0.1, duplication=1.0), "seed")
    assert {shape.wait(100).all_s for _ in range(100)} == {0.1}


@pytest.mark.parametrize(("gap", "expected"), [(1, 0.25), (5, 0.25 / 2)])
def test_what_overtakes_is_not_delayed_and_no_more_often_than_every_gap(gap: int, expected: float) -> None:
    shape = Shape(Traffic(delay_s=0.1, reorder=0.25, reorder_gap=gap), "seed")
    early = [shape.wait(100).all_s == 0 for _ in range(20_000)]
    assert sum(early) / len(early) == pytest.approx(expected, rel=0.05)
    at = [index for index, each in enumerate(early) if each]
    assert min(b - a for a, b in pairwise(at)) >= gap


@given(st.floats(0.01, 2), st.sampled_from([0.2, 0.6, 1.4, 3.0]))
def test_what_was_lost_goes_with_the_next_retransmission_once_the_fault_is_undone(
    undone_s: float, lost_s: float
) -> None:
    clock, gone = Clock(), []
    line = Line(clock.call_at, lambda: clock.now_s)
    line.add({"loss#1": Wait(0.0, lost_s, 1)}, 1, lambda: gone.append(clock.now_s))
    clock.run(undone_s)
    line.forget("loss#1")
    clock.run(10)
    retransmissions_s = [each_s for each_s in (0.2, 0.6, 1.4, 3.0) if each_s >= min(undone_s, lost_s)]
    assert gone == [pytest.approx(retransmissions_s[0])]


LIMIT = Bucket(rate_bytes_per_s=10_000, burst_bytes=3000, queue_bytes=50_000)


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 1400)), min_size=1, max_size=40))
def test_no_more_leaves_than_tokens_came_in_and_whoever_has_tokens_leaves_at_once(
    sent: list[tuple[float, int]],
) -> None:
    clock, way = Clock(), Way({"narrow#1": Shape(Traffic(bucket=LIMIT), "seed")})
    line, left = Line(clock.call_at, lambda: clock.now_s, way), []
    tokens, seen_s, expected, free_s = 3000.0, 0.0, [], 0.0
    for pause_s, size in sent:
        clock.run(clock.now_s + pause_s)
        cost = size + HEADER_BYTES
        begins_s = max(clock.now_s, free_s)
        tokens = min(3000.0, tokens + 10_000 * (begins_s - seen_s))
        free_s = begins_s + max(0.0, cost - tokens) / 10_000
        tokens, seen_s = max(0.0, tokens - cost), free_s
        expected.append(free_s)
        line.add({}, size, lambda: left.append(clock.now_s))
    clock.run(clock.now_s + 60)
    assert left == pytest.approx(expected, abs=1e-6)


def test_a_peak_rate_limits_what_the_bucket_would_let_pass_at_once() -> None:
    bucket = Bucket(1e6, 100_000, 10**6, peak_bytes_per_s=2e6, peak_burst_bytes=1514)
    clock, way = Clock(), Way({"narrow#1": Shape(Traffic(bucket=bucket), "seed")})
    line, left = Line(clock.call_at, lambda: clock.now_s, way), []
    for _ in range(100):
        line.add({}, SEGMENT_BYTES, lambda: left.append(clock.now_s))
    clock.run(10)
    frame = SEGMENT_BYTES + HEADER_BYTES
    assert left[49] == pytest.approx(49 * frame / 2e6, rel=0.01), "at the peak rate, while there are tokens"
    assert left[99] == pytest.approx((100 * frame - 100_000) / 1e6, abs=0.03)


def test_two_connections_share_the_tokens_of_their_way_in_turn() -> None:
    clock, way = Clock(), Way({"narrow#1": Shape(Traffic(bucket=LIMIT), "seed")})
    gone: list[str] = []
    for name in ("first", "second"):
        line = Line(clock.call_at, lambda: clock.now_s, way)
        for _ in range(20):
            line.add({}, 934, lambda name=name: gone.append(name))  # type: ignore[misc]
    clock.run(2.0)
    assert len(gone) == pytest.approx(23, abs=1), "3000 bytes at once, and 20000 in two seconds"
    assert abs(gone.count("first") - gone.count("second")) <= 4


def test_a_limit_that_is_undone_keeps_nothing() -> None:
    clock, way = Clock(), Way({"narrow#1": Shape(Traffic(bucket=LIMIT), "seed")})
    line, left = Line(clock.call_at, lambda: clock.now_s, way), []
    for _ in range(60):
        line.add({}, 934, lambda: left.append(clock.now_s))
    assert line.full, "more waits than the limit says"
    clock.run(1.0)
    way.shapes.clear()
    line.forget("narrow#1")
    assert (len(left), line.empty) == (60, True)
