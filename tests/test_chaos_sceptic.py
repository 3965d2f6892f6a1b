"""Where a sceptic got in once, each with the least input that showed it; others are beside what they are about."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chaos.assertions.grammar import parse
from chaos.faults.timetable import Entry, timetable
from chaos.judging.evaluation import evaluate
from chaos.judging.verdict import unsound
from chaos.measuring.columns import columns
from chaos.measuring.measurements import Measurements, measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria, Status
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record.verdict import Verdict
from chaos.steady_state import overdue
from loadtests.arrivals import instants
from loadtests.rows import Row

FAULT_S, END_S = 33.0, 73.0
KILL = FaultWindow("kill", "pod-kill", "exact", FAULT_S, None, ("r0",), 10, verified=True, id="kill#1")
SLO = Objectives(ttft_s=0.5, e2e_s=2.5)
DEMO = Criteria(goodput=0.95, error_ratio=0.05, window_s=2.0, hold_s=5.0, within_s=25.0)


def answered(index: int, at_s: float, ttft_s: float = 0.1) -> Row:
    return Row(index, at_s, "ok", at_s, at_s, at_s, at_s, (at_s + ttft_s,), at_s + ttft_s + 0.3)


def refused(index: int, at_s: float, after_s: float = 0.001) -> Row:
    return Row(index, at_s, "http_503", at_s, at_s, at_s, ended_s=at_s + after_s)


def of(rows: Sequence[Row]) -> Measurements:
    run = Timeline(columns(rows), (), len(rows), 5.0, END_S, wanted_replicas=0, faults=(KILL,))
    return measure(run, SLO, DEMO)


def steady(rate: float, seed: int, slow: float, failed: float) -> list[Row]:
    """A healthy cluster with its usual share of slow and of failed answers; the fault does nothing."""
    draw, rows = random.Random(seed), []
    for index, at_s in enumerate(instants("poisson", rate, END_S, seed)):
        chance = draw.random()
        rows.append(
            refused(index, at_s)
            if chance < failed
            else answered(index, at_s, 0.8 if chance < failed + slow else 0.1)
        )
    return rows


@pytest.mark.parametrize("rate", [5.0, 16.0, 50.0])
@pytest.mark.parametrize("noise", [(0.002, 0.001), (0.01, 0.002), (0.02, 0.005)])
def test_steady_noise_is_never_told_as_an_outage(rate: float, noise: tuple[float, float]) -> None:
    verdicts = [
        evaluate(parse("recovery.service <= 2s"), of(steady(rate, seed, *noise))).verdict
        for seed in range(25)
    ]
    assert verdicts.count(Verdict.DEVIATED) <= 1


def test_two_slow_answers_and_one_refusal_among_hundreds_are_no_impact() -> None:
    rows = [answered(index, index / 16) for index in range(int(END_S * 16))]
    for at_s in (53.0, 54.0):
        rows[int(at_s * 16)] = answered(int(at_s * 16), at_s, 0.6)
    assert of(rows).service.status is Status.NO_IMPACT
    rows[55 * 16] = refused(55 * 16, 55.0)
    assert evaluate(parse("recovery.service <= 15s"), of(rows)).verdict is not Verdict.DEVIATED


@pytest.mark.parametrize("after_s", [0.001, 2.0, 5.0, 9.0])
def test_one_outage_has_one_length_however_late_its_refusals_come(after_s: float) -> None:
    rows = [
        refused(index, index / 50, after_s) if 33 <= index / 50 < 34 else answered(index, index / 50)
        for index in range(int(END_S * 50))
    ]
    found = of(rows)
    assert found.service.value_s == pytest.approx(1.0)
    assert found.phases[1].failed == 50


def test_streams_that_all_stall_at_the_fault_are_in_its_phase_though_they_were_planned_before() -> None:
    rows = [
        Row(index, index / 16, "ok", index / 16, token_s=(index / 16 + 0.1, FAULT_S - 0.1, FAULT_S + 2.9))
        if 13.0 <= index / 16 < FAULT_S - 0.2
        else answered(index, index / 16)
        for index in range(int(END_S * 16))
    ]
    rows = [replace(row, ended_s=row.token_s[-1]) for row in rows]
    run = Timeline(columns(rows), (), len(rows), 5.0, END_S, wanted_replicas=0, faults=(KILL,))
    found = measure(run, Objectives(0.5, 30.0, itl_s=25.0), DEMO)
    assert found.phases[0].phase.end_s == pytest.approx(13.0), "the oldest in flight"
    assert found.phases[0].goodput == 1.0
    struck = [at_s for at_s in (index / 16 for index in range(16 * 33)) if 13.0 <= at_s < FAULT_S - 0.2]
    slow = measure(run, Objectives(0.5, 30.0, itl_s=2.0), DEMO)
    assert slow.phases[0].good + slow.phases[1].good < slow.phases[0].n + slow.phases[1].n
    assert found.phases[1].n >= len(struck)


@pytest.mark.parametrize(
    ("silent_s", "bad"),
    [pytest.param(0.0, 0, id="all answered"), pytest.param(5.0, 72, id="silent for the last five seconds")],
)
def test_the_gate_before_injection_sees_what_waits_for_too_long(silent_s: float, bad: int) -> None:
    plan = [index / 16 for index in range(33 * 16)]
    ended = [answered(index, at_s) for index, at_s in enumerate(plan) if at_s + 0.4 < 33.0 - silent_s]
    waiting = overdue(ended, plan, 5.0, 33.0, SLO)
    assert waiting == pytest.approx(bad, abs=2)


@pytest.mark.parametrize(
    ("slope_s", "drifts"),
    [pytest.param(0.0, False, id="steady"), pytest.param(0.006, True, id="6 ms a second")],
)
def test_a_trend_that_the_baseline_has_already_is_not_blamed_on_the_fault(
    slope_s: float, drifts: bool
) -> None:
    draw = random.Random(3)
    rows = [
        answered(index, at_s, (0.1 + slope_s * at_s) * draw.lognormvariate(0, 0.2))
        for index, at_s in enumerate(instants("poisson", 50.0, END_S, 3))
    ]
    reasons = " ".join(unsound(of(rows)))
    assert ("the baseline drifts" in reasons) is drifts


def test_a_share_of_good_requests_that_is_exactly_what_is_wanted_is_healthy() -> None:
    rows = [
        refused(index, index / 16)
        if index % 20 == 7 and index / 16 < FAULT_S
        else answered(index, index / 16)
        for index in range(int(END_S * 16))
    ]
    found = of(rows)
    assert found.phases[0].good / found.phases[0].n == pytest.approx(0.95, abs=0.001)
    exactly = replace(found, criteria=replace(DEMO, goodput=found.phases[0].good / found.phases[0].n))
    assert not [reason for reason in unsound(exactly) if "good" in reason and "wanted" in reason]


def test_the_instant_of_a_fault_is_drawn_within_its_jitter_and_repeats_with_its_seed() -> None:
    entry = Entry("kill", 2.0, lasts=True, duration_s=5.0, jitter_s=1.0)
    begins_s = [timetable([entry], seed, 33.0).steps[0].at_s for seed in range(40)]
    assert all(35.0 <= at_s <= 36.0 for at_s in begins_s)
    assert len(set(begins_s)) > 35
    assert max(begins_s) - min(begins_s) > 0.8
    again = timetable([entry], 7, 33.0).steps
    assert again == timetable([entry], 7, 33.0).steps
    assert again[1].at_s - again[0].at_s == pytest.approx(5.0), "it lasts as long as ever"
    assert timetable([replace(entry, jitter_s=0.0)], 7, 33.0).steps[0].at_s == 35.0
