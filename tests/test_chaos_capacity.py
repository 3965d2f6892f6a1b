import dataclasses
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.display.progress import QuietProgress
from chaos.errors import ExitCode, RefusedError
from chaos.load.capacity import MOST_PER_S, Ramps
from chaos.load.process import LoadConfig
from chaos.measuring.capacity import Estimate, estimate, is_overloaded
from chaos.measuring.objectives import Objectives
from chaos.run_folder import RunFolder
from loadtests.arrivals import instants
from loadtests.rows import Row, read_rows
from tests.support.scripted_server import ScriptedServer
from tests.support.simulated_queue import Queue

OBJECTIVES = Objectives(ttft_s=0.5, e2e_s=2.5)


@dataclass(frozen=True)
class Simulated(Ramps):
    """The ramps of a measurement, played to a queue without waiting for the clock."""

    serve: Callable[[list[float]], list[Row]] = Queue(1, 1.0).serve
    seen: list[tuple[float, float, int]] = dataclasses.field(default_factory=list)
    """(lowest rate, highest rate, arrivals offered) of each ramp."""

    def _ramp(self, number: int, low_per_s: float, high_per_s: float, lasts_s: float) -> Estimate:
        offsets_s = instants("constant", high_per_s, lasts_s, number, low_per_s)
        rows = self.serve(list(offsets_s))
        now_s = 0.0
        while (now_s := now_s + 0.1) < lasts_s:
            ended = [row for row in rows if row.ended_s is not None and row.ended_s <= now_s]
            if is_overloaded(ended, offsets_s, now_s, self.objectives):
                break
        offered = self.serve([at_s for at_s in offsets_s if at_s < now_s])
        self.seen.append((low_per_s, high_per_s, len(offered)))
        return estimate(offered, self.objectives)


@pytest.fixture
def load(tmp_path: Path) -> LoadConfig:
    (tmp_path / "logs").mkdir()
    return LoadConfig(
        url="http://127.0.0.1:1",
        model="tiny",
        rate_per_s=MOST_PER_S,
        duration_s=1.0,
        seed=5,
        plan_path=tmp_path / "plan.jsonl",
        rows_path=tmp_path / "requests.jsonl",
        summary_path=tmp_path / "load.json",
        log_path=tmp_path / "locust.log",
    )


def simulated(
    load: LoadConfig, serve: Callable[[list[float]], list[Row]], most_per_s: float = MOST_PER_S
) -> Simulated:
    load = load.but(rate_per_s=most_per_s)
    folder = RunFolder(load.rows_path.parent)
    return Simulated(load, folder, OBJECTIVES, QuietProgress(io.StringIO()), None, serve=serve)


@pytest.mark.parametrize("per_s", [2, 3, 5, 8, 12, 25, 50, 100, 200])
@pytest.mark.parametrize("service_s", [0.05, 0.2, 0.5, 0.7, 1.0])
def test_the_capacity_of_a_queue_is_found_within_15_percent(
    load: LoadConfig, per_s: float, service_s: float
) -> None:
    queue = Queue(max(2, round(per_s * service_s)), service_s)
    found = simulated(load, queue.serve).measure("a queue")
    assert found.rate_per_s == pytest.approx(queue.capacity_per_s, rel=0.15)
    assert not found.at_least


@settings(max_examples=60)
@given(st.integers(3, 100), st.floats(0.1, 1.0), st.floats(0, 0.3), st.integers(0, 1000))
def test_answers_of_unequal_length_cost_some_more_precision_and_never_the_order_of_magnitude(
    slots: int, service_s: float, spread: float, seed: int
) -> None:
    """The ramp of a few slots has some ten good answers: 5 of 1800 such queues were told as 0.65 to 0.7 of theirs."""
    queue = Queue(slots, service_s, spread)
    config = LoadConfig(
        url="",
        rate_per_s=1.0,
        duration_s=1.0,
        seed=1,
        plan_path=Path(),
        rows_path=Path("rows"),
        summary_path=Path(),
        log_path=Path(),
    )
    found = simulated(config, lambda offsets_s: queue.serve(offsets_s, seed)).measure("a queue")
    least = 0.5 if slots < 6 else 0.7
    assert least * queue.capacity_per_s < found.rate_per_s < 1.3 * queue.capacity_per_s


@pytest.mark.parametrize("growth_per_s", [0.2, 0.4, 0.6, 0.9])
def test_a_steeper_ramp_does_not_tell_more(growth_per_s: float) -> None:
    queue = Queue(18, 0.7)
    lasts_s = math.log(200) / growth_per_s
    rows = queue.serve(instants("constant", 200.0, lasts_s, 1, 1.0))
    held = estimate(rows, OBJECTIVES)
    assert held.rate_per_s == pytest.approx(queue.capacity_per_s, rel=0.15)
    broke_at_s = next(row.intended_s for row in rows if row.e2e_s is None or row.e2e_s > 1.2)
    assert math.exp(growth_per_s * broke_at_s) > 1.1 * queue.capacity_per_s, (
        "what the arrival rate would have said"
    )


@pytest.mark.parametrize("queue", [Queue(1, 1.25), Queue(1, 2.0), Queue(2, 2.2)], ids=str)
def test_a_cluster_of_one_request_per_second_and_less_is_told_too_low_and_never_too_high(
    load: LoadConfig, queue: Queue
) -> None:
    found = simulated(load, queue.serve).measure("a slow queue")
    assert 0.2 < found.rate_per_s < 1.15 * queue.capacity_per_s


def test_a_stall_during_the_ramp_does_not_end_it(load: LoadConfig) -> None:
    queue = Queue(36, 0.7, stall=(4.0, 4.6))
    found = simulated(load, queue.serve).measure("a queue with a hiccup")
    assert found.rate_per_s == pytest.approx(queue.capacity_per_s, rel=0.15)


def test_the_ramp_ends_soon_after_the_answer_is_known(load: LoadConfig) -> None:
    ramps = simulated(load, Queue(18, 0.7).serve)
    ramps.measure("a queue")
    [(low_per_s, _, offered)] = ramps.seen
    climbed_s = math.log(1 + 0.6 * offered / low_per_s) / 0.6
    assert climbed_s < 10.0, "some 10 s for the demo: seconds of the ramp, not of this machine"


def test_a_cluster_that_nothing_overloads_carries_at_least_the_highest_rate(load: LoadConfig) -> None:
    found = simulated(load, Queue(400, 0.5).serve, most_per_s=40.0).measure("a wide queue")
    assert found.at_least
    assert found.rate_per_s == pytest.approx(40.0, rel=0.15)


def test_a_rate_just_above_the_capacity_shows_although_the_ramp_hardly_reaches_it(load: LoadConfig) -> None:
    queue = Queue(14, 0.7)
    found = simulated(load, queue.serve, most_per_s=1.2 * queue.capacity_per_s).measure("a queue")
    assert not found.at_least
    assert found.rate_per_s == pytest.approx(queue.capacity_per_s, rel=0.15)


class Coarse(Simulated):
    """Each ramp says that it broke at 3 requests per second, and that this rests on few answers."""

    def _ramp(self, number: int, low_per_s: float, high_per_s: float, lasts_s: float) -> Estimate:
        assert (number, lasts_s) > (0, 0)
        self.seen.append((low_per_s, high_per_s, 12))
        return Estimate(3.0, answers=5, answer_s=1.0, broke=True, arrivals=12, good=6)


def test_no_ramp_goes_above_the_rate_that_was_asked_for(load: LoadConfig) -> None:
    config = load.but(rate_per_s=4.0)
    ramps = Coarse(config, RunFolder(Path()), OBJECTIVES, QuietProgress(io.StringIO()), None)
    ramps.measure("a coarse answer")
    assert [high_per_s for _, high_per_s, _ in ramps.seen] == [4.0, 4.0]


def test_a_cluster_without_capacity_is_refused_with_numbers(load: LoadConfig) -> None:
    ramps = simulated(load, Queue(10, 3.0).serve)
    with pytest.raises(
        RefusedError, match=r"no capacity .* of \d+ requests sent in \d+ s, .* 0 met them"
    ) as refused:
        ramps.measure("answers that take longer than their bound")
    assert refused.value.exit_code == ExitCode.INCONCLUSIVE


def test_one_bad_answer_among_many_does_not_hide_what_came_after_it() -> None:
    rows = Queue(40, 0.5).serve([index / 20 for index in range(100)])
    rows[30] = Row(30, 1.5, "reset_mid_stream", 1.5, ended_s=1.6)
    assert (estimate(rows, OBJECTIVES).broke, estimate(rows, OBJECTIVES).good) == (False, 99)


def test_arrivals_that_the_closed_ramp_never_sent_count_for_nothing() -> None:
    rows = Queue(40, 0.5).serve([index / 20 for index in range(100)])
    unsent = [Row(100 + index, 5.0 + index / 20, "censored") for index in range(50)]
    assert estimate([*rows, *unsent], OBJECTIVES) == estimate(rows, OBJECTIVES)


def test_a_live_server_with_four_slots_is_measured_and_idle_again(load: LoadConfig) -> None:
    with ScriptedServer() as server:
        ramps = Ramps(
            load.but(url=server.url("slots-4-8-50"), model="tiny", output_tokens=8),
            RunFolder(load.rows_path.parent),
            OBJECTIVES,
            QuietProgress(io.StringIO()),
            None,
        )
        found = ramps.measure("four slots of 0.4 s")
        asked = len(server.requests)
    rows = list(read_rows(ramps.folder.capacity_rows(1)))
    # Timers of a busy machine are late, never early: the slots are slower then, and that is their capacity.
    assert 5.0 < found.rate_per_s < 11.5
    assert not found.at_least
    assert sum(row.sent_s is not None for row in rows) <= asked
    assert all(row.dispatched_s is None for row in rows if row.outcome == "censored"), "nothing was cut off"
    assert len(rows) == len(instants("constant", MOST_PER_S, math.log(MOST_PER_S) / 0.6, 6, 1.0))
