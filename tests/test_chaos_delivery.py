"""Rows that cannot be an account of their plan are told, and rows of a real load are not."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.judging.delivery import check
from chaos.measuring.columns import columns
from chaos.record.plan_file import PlannedInstants
from loadtests.plan import Arrival, Plan
from loadtests.rows import Row

PLAN = Plan(tuple(Arrival(index, 0.123456789 * (index + 1), 64, 2, 1) for index in range(20)))


def row(arrival: Arrival) -> Row:
    at_s = round(arrival.at_s, 6)
    tokens = (at_s + 0.01, at_s + 0.02)
    stamps = (at_s + 0.001, at_s + 0.002, at_s + 0.003, at_s + 0.004)
    return Row(arrival.index, at_s, "ok", *stamps, token_s=tokens, ended_s=at_s + 0.03)


ROWS = [row(arrival) for arrival in PLAN.arrivals]


def found(rows: Sequence[Row], sha256: str | None = None, tolerance_s: float = 0.001) -> list[str]:
    return list(check(PlannedInstants.of(PLAN), columns(rows), sha256, tolerance_s))


def changed(index: int, **changes: object) -> list[Row]:
    return [replace(each, **changes) if each.index == index else each for each in ROWS]  # type: ignore[arg-type]


def test_rows_that_are_what_the_plan_asked_for_are_left_alone() -> None:
    assert found(ROWS, PLAN.sha256) == []
    assert found(ROWS[::-1]) == []
    unsent = [Row(each.index, each.intended_s, "censored") for each in ROWS]
    dropped = [Row(each.index, each.intended_s, "client_dropped") for each in ROWS]
    assert found(unsent) == found(dropped) == found(ROWS[:7]) == found([]) == []


CASES: dict[str, tuple[Callable[[], list[Row]], str]] = {
    "moved to where it left": (
        lambda: changed(3, intended_s=0.6),
        "row 3 has another intended start than the plan",
    ),
    "foreign": (lambda: [*ROWS, replace(ROWS[0], index=99)], "row 99 is of no planned arrival"),
    "twice": (lambda: [*ROWS, ROWS[4]], "row 4 is a second one of its arrival"),
    "early": (lambda: changed(3, dispatched_s=0.4, connected_s=None), "row 3 left before its instant"),
    "sent before it left": (lambda: changed(3, sent_s=0.49), "row 3 was sent before it left"),
    "answered before it was sent": (
        lambda: changed(3, token_s=(0.49, 0.6)),
        "row 3 had a token before it was sent",
    ),
    "tokens backwards": (
        lambda: changed(3, token_s=(0.52, 0.51)),
        "row 3 had its last token before its first",
    ),
    "ended before its last token": (lambda: changed(3, ended_s=0.505), "row 3 ended before its last token"),
    "never ended": (lambda: changed(3, ended_s=None), "row 3 is ok without having been sent and ended"),
    "never sent": (lambda: changed(3, sent_s=None), "row 3 is ok without having been sent and ended"),
    "infinite": (lambda: changed(3, ended_s=float("inf")), "row 3 has an infinite stamp"),
    "not a number": (lambda: changed(3, intended_s=float("nan")), "row 3 has no intended start"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_is_told_with_its_row(name: str) -> None:
    rows, complaint = CASES[name]
    assert complaint in found(rows())


def test_a_generator_that_moves_the_plan_after_a_stall_is_told() -> None:
    stalled = [replace(each, intended_s=each.dispatched_s or 0.0) for each in ROWS]
    assert found(stalled) == [
        "20 rows have other intended starts than the plan, the first is row 0",
    ]


def test_a_turn_of_a_session_is_due_a_think_time_after_the_end_of_the_one_before() -> None:
    first = Arrival(0, 0.5, 64, 2, 1, session=1, turn=0)
    turn = Arrival(1, 1.5, 64, 2, 1, session=1, turn=1, think_s=1.0)
    plan = Plan((first, turn))
    before = row(first)
    assert before.ended_s is not None
    due_s = before.ended_s + 1.0
    rows = [before, row(replace(turn, at_s=due_s))]
    assert list(check(PlannedInstants.of(plan), columns(rows))) == []
    for at_s in (due_s - 0.25, due_s + 0.25):
        moved = [before, row(replace(turn, at_s=at_s))]
        assert list(check(PlannedInstants.of(plan), columns(moved))) == [
            "row 1 has another intended start than the plan"
        ]
    other = [row(replace(first, at_s=0.75)), rows[1]]
    assert any("row 0" in complaint for complaint in check(PlannedInstants.of(plan), columns(other)))


def test_another_plan_than_the_one_on_record_is_told() -> None:
    (complaint,) = found(ROWS, "0" * 64)
    assert complaint.startswith("the load played another plan (000000000000) than the one on record (")


def test_clocks_that_are_known_less_well_bear_with_more() -> None:
    early = changed(3, dispatched_s=ROWS[3].intended_s - 0.01)
    assert found(early, tolerance_s=0.02) == []
    assert found(early) == ["row 3 left before its instant"]


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=30).map(sorted), st.integers(0, 10_000))
def test_whatever_the_plan_its_own_rows_agree_with_it(instants: list[int], lag_us: int) -> None:
    plan = Plan(tuple(Arrival(index, at / 1e6 + 1e-7, 1, 1, 1) for index, at in enumerate(instants)))
    rows = [replace(row(each), dispatched_s=round(each.at_s, 6) + lag_us / 1e6) for each in plan.arrivals]
    late = [replace(each, sent_s=9.0, token_s=(9.1,), ended_s=9.2) for each in rows]
    assert list(check(PlannedInstants.of(plan), columns(late))) == []


TURNS = Plan(
    (
        Arrival(0, 1.0, 8, 2, 1, session=0, turn=0),
        Arrival(1, 1.5, 8, 2, 1),
        Arrival(2, 2.0, 20, 2, 1, session=0, turn=1, think_s=1.0),
        Arrival(3, 3.0, 32, 2, 1, session=0, turn=2, think_s=1.0),
    )
)


def of_turns(*intended_s: float) -> list[str]:
    rows = [row(replace(each, at_s=at_s)) for each, at_s in zip(TURNS.arrivals, intended_s, strict=True)]
    return list(check(PlannedInstants.of(TURNS), columns(rows)))


def test_a_turn_starts_its_think_time_after_the_end_of_the_one_before_and_nowhere_else() -> None:
    moved = "has another intended start than the plan"
    assert of_turns(1.0, 1.5, 2.03, 3.06) == []
    assert of_turns(1.0, 1.5, 2.0, 3.03) == [f"row 2 {moved}"], "when it could have been at the earliest"
    assert of_turns(1.0, 1.5, 2.5, 3.53) == [f"row 2 {moved}"]
    assert of_turns(1.0, 1.6, 2.03, 3.06) == [f"row 1 {moved}"]


def test_a_turn_that_never_left_may_start_at_any_later_instant() -> None:
    rows = [row(TURNS.arrivals[0]), row(TURNS.arrivals[1]), Row(2, 9.0, "censored"), Row(3, 9.0, "censored")]
    assert list(check(PlannedInstants.of(TURNS), columns(rows))) == []
    early = [*rows[:2], Row(2, 1.9, "censored")]
    assert list(check(PlannedInstants.of(TURNS), columns(early))) == [
        "row 2 has another intended start than the plan"
    ]
    assert (
        list(check(PlannedInstants.of(TURNS), columns([row(replace(TURNS.arrivals[3], at_s=4.0))]))) == []
    ), "without its forerunner"
