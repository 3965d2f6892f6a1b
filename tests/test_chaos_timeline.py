import pytest

from chaos.events import Event
from chaos.measuring.columns import columns
from chaos.measuring.timeline import (
    FaultWindow,
    Timeline,
    align,
    created_between,
    fewest_ready,
    ready_at,
    ready_steps,
)
from loadtests.rows import Row


def timeline(*events: Event, rows: tuple[Row, ...] = (), faults: tuple[FaultWindow, ...] = ()) -> Timeline:
    return Timeline(
        columns(rows), events, len(rows), warmup_s=0.0, plan_end_s=60.0, wanted_replicas=2, faults=faults
    )


def fault(started_s: float) -> FaultWindow:
    return FaultWindow("kill", "pod-kill", "exact", started_s, None, ("a",), 2, verified=True, id="kill#1")


KILL_AND_REPLACE = (
    Event(-3.0, "replica_created", "a"),
    Event(-2.0, "replica_ready", "a"),
    Event(-1.0, "replica_ready", "b"),
    Event(10.0, "replica_killed", "a"),
    Event(10.1, "replica_gone", "a"),
    Event(10.2, "replica_created", "c"),
    Event(14.0, "replica_ready", "c"),
    Event(20.0, "replica_unready", "b"),
    Event(21.0, "replica_ready", "b"),
    Event(30.0, "replica_restarted", "b"),
    Event(33.0, "replica_ready", "b"),
)


def test_aligned_events_count_from_the_start_of_the_arrival_plan() -> None:
    events = [Event(1000.5, "replica_ready", "a", {"zone": "z"}), Event(998.0, "replica_created", "a")]
    assert align(events, 1000.0) == (
        Event(0.5, "replica_ready", "a", {"zone": "z"}),
        Event(-2.0, "replica_created", "a"),
    )


def test_rows_and_events_are_sorted_whatever_order_they_came_in() -> None:
    rows = tuple(Row(index, at_s, "ok") for index, at_s in ((1, 2.0), (0, 1.0), (2, 3.0)))
    run = timeline(*reversed(KILL_AND_REPLACE), rows=rows)
    assert run.rows.index.tolist() == [0, 1, 2]
    assert run.events == KILL_AND_REPLACE


@pytest.mark.parametrize(
    ("start_s", "end_s", "indices"),
    [
        pytest.param(1.0, 3.0, [0, 1, 2], id="the start belongs to it, the end does not"),
        pytest.param(1.1, 3.1, [1, 2, 3], id="between arrivals"),
        pytest.param(5.0, 9.0, [], id="after all"),
        pytest.param(3.0, 1.0, [], id="backwards"),
    ],
)
def test_rows_between_two_instants_are_those_intended_then(
    start_s: float, end_s: float, indices: list[int]
) -> None:
    stamps_s = (1.0, 2.0, 2.0, 3.0)
    run = timeline(rows=tuple(Row(index, at_s, "ok") for index, at_s in enumerate(stamps_s)))
    assert run.rows.index[run.rows.between(start_s, end_s)].tolist() == indices


@pytest.mark.parametrize(
    ("at_s", "ready"),
    [
        pytest.param(-5.0, "", id="before the first event"),
        pytest.param(-2.0, "a", id="from the instant of the event on"),
        pytest.param(9.9, "ab", id="until the kill"),
        pytest.param(10.0, "b", id="a killed replica is not ready although its process still exists"),
        pytest.param(13.9, "b", id="a created replica is not ready yet"),
        pytest.param(14.0, "bc", id="the replacement is ready"),
        pytest.param(20.5, "c", id="unready"),
        pytest.param(31.0, "c", id="restarted under its name, not ready"),
        pytest.param(60.0, "bc", id="ready again"),
    ],
)
def test_readiness_follows_the_lifecycle_of_each_replica(at_s: float, ready: str) -> None:
    assert ready_at(ready_steps(timeline(*KILL_AND_REPLACE)), at_s) == frozenset(ready)


def test_events_of_one_instant_make_one_step() -> None:
    steps = ready_steps(timeline(Event(1.0, "replica_ready", "a"), Event(1.0, "replica_ready", "b")))
    assert [(step.at_s, step.replicas) for step in steps] == [(1.0, frozenset("ab"))]


@pytest.mark.parametrize(
    ("start_s", "end_s", "fewest"),
    [
        pytest.param(0.0, 10.0, 2, id="ends where the kill begins"),
        pytest.param(0.0, 10.05, 1, id="sees the kill"),
        pytest.param(11.0, 13.0, 1, id="no event inside"),
        pytest.param(14.0, 20.0, 2, id="starts with the replacement"),
    ],
)
def test_fewest_ready_looks_at_every_instant_of_the_stretch(
    start_s: float, end_s: float, fewest: int
) -> None:
    assert fewest_ready(ready_steps(timeline(*KILL_AND_REPLACE)), start_s, end_s) == fewest


def test_replicas_created_in_a_stretch_count_with_their_latest_incarnation() -> None:
    run = timeline(*KILL_AND_REPLACE, Event(40.0, "replica_restarted", "b"))
    assert created_between(run, 10.2, 50.0) == {"c": 10.2, "b": 40.0}
    assert created_between(run, 10.3, 30.0) == {"b": 30.0}


def test_fault_start_is_that_of_the_first_fault() -> None:
    assert timeline(faults=(fault(12.0), fault(11.0))).fault_start_s == 11.0
    assert timeline().fault_start_s is None
