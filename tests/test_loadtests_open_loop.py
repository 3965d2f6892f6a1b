import time
from dataclasses import dataclass, field

import gevent
import pytest

from loadtests.open_loop import OpenLoop
from loadtests.plan import Arrival
from loadtests.recorder import Recorder
from loadtests.rows import Row


@dataclass
class Trial:
    """One open loop over requests that last `service_s`, on a run clock of its own."""

    offsets_s: list[float]
    service_s: float
    max_in_flight: int = 100
    start_s: float = field(default_factory=lambda: time.monotonic() + 0.05)
    rows: list[Row] = field(default_factory=list)
    blocks_hub: bool = False

    def now_s(self) -> float:
        return time.monotonic() - self.start_s

    def arrivals(self) -> list[Arrival]:
        return [Arrival(index, at_s, 64, 32, 1) for index, at_s in enumerate(self.offsets_s)]

    def send(self, arrival: Arrival) -> Row:
        index, intended_s = arrival.index, arrival.at_s
        dispatched_s = self.now_s()
        try:
            if self.blocks_hub and index == 0:
                time.sleep(self.service_s)
            else:
                gevent.sleep(self.service_s)
        except gevent.GreenletExit:
            return Row(index, intended_s, "censored", dispatched_s, ended_s=self.now_s())
        return Row(index, intended_s, "ok", dispatched_s, ended_s=self.now_s())

    def run(self, drain_s: float = 5.0) -> OpenLoop:
        arrivals = self.arrivals()
        with Recorder(arrivals, None, self.rows.append) as recorder:
            loop = OpenLoop(arrivals, self.start_s, self.send, recorder, self.max_in_flight)
            loop.run(duration_s=self.offsets_s[-1], drain_s=drain_s)
        self.rows.sort(key=lambda row: row.index)
        return loop


def test_requests_leave_on_time_while_earlier_ones_hang() -> None:
    trial = Trial([0.0, 0.05, 0.1, 0.15, 0.2], service_s=1.0)
    loop = trial.run()

    assert [row.outcome for row in trial.rows] == ["ok"] * 5
    assert all(row.lag_s is not None and 0 <= row.lag_s < 0.7 for row in trial.rows)
    assert max(row.dispatched_s or 0.0 for row in trial.rows) < min(row.ended_s or 0.0 for row in trial.rows)
    assert loop.peak_in_flight == 5


def test_a_stutter_of_the_generator_moves_no_later_arrival() -> None:
    trial = Trial([0.0, 0.1, 0.2, 1.5], service_s=0.8, blocks_hub=True)
    loop = trial.run()

    lags_s = [row.lag_s or 0.0 for row in trial.rows]
    assert lags_s[1] > 0.65, "due while the hub was blocked"
    assert lags_s[3] < 0.5, "due after it: back on the plan"
    assert max(loop.watch.lags_s) > 0.15, "the watch has seen the stutter"


def test_above_the_limit_arrivals_are_dropped_by_name_and_the_rest_goes_on() -> None:
    trial = Trial([0.0, 0.1, 0.2, 0.7], service_s=0.5, max_in_flight=1)
    loop = trial.run()

    assert [row.outcome for row in trial.rows] == ["ok", "client_dropped", "client_dropped", "ok"]
    assert trial.rows[1].dispatched_s is None
    assert loop.peak_in_flight == 1


def test_what_outlives_the_drain_is_censored() -> None:
    trial = Trial([0.0, 0.1], service_s=60.0)
    trial.run(drain_s=0.2)

    assert [row.outcome for row in trial.rows] == ["censored", "censored"]
    assert all(row.dispatched_s is not None for row in trial.rows)


def test_a_stop_before_the_end_leaves_a_row_for_every_arrival() -> None:
    trial = Trial([0.0, 0.1, 30.0, 60.0], service_s=20.0)
    running = gevent.spawn(trial.run)
    gevent.sleep(0.3)
    running.kill()

    assert sorted(row.index for row in trial.rows) == [0, 1, 2, 3]
    assert {row.outcome for row in trial.rows} == {"censored"}
    assert [row.dispatched_s is None for row in sorted(trial.rows, key=lambda row: row.index)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("count", [1, 200], ids=["one", "a burst at one instant"])
def test_arrivals_of_one_instant_all_leave_at_it(count: int) -> None:
    trial = Trial([0.0] * count, service_s=1.0, max_in_flight=1000)
    trial.run()
    assert max(row.dispatched_s or 0.0 for row in trial.rows) < min(row.ended_s or 0.0 for row in trial.rows)
    assert {row.outcome for row in trial.rows} == {"ok"}


def test_a_loop_that_is_closed_offers_nothing_more_and_lets_what_is_under_way_end() -> None:
    trial = Trial([0.0, 0.1, 30.0, 60.0], service_s=0.5)
    began_s = time.monotonic()
    arrivals = trial.arrivals()
    with Recorder(arrivals, None, trial.rows.append) as recorder:
        loop = OpenLoop(arrivals, trial.start_s, trial.send, recorder, trial.max_in_flight)
        gevent.spawn_later(0.3, loop.close)
        loop.run(duration_s=90.0, drain_s=5.0)

    assert time.monotonic() - began_s < 30.0, "the next arrival was not waited for"
    rows = sorted(trial.rows, key=lambda row: row.index)
    assert [row.outcome for row in rows] == ["ok", "ok", "censored", "censored"]
    assert [row.dispatched_s is None for row in rows] == [False, False, True, True]
