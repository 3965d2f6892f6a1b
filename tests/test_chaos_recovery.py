import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.measuring.recovery import Criteria, Status, phases, service_recovery, service_recovery_after_end
from chaos.measuring.slis import Objectives
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import Row

FAULT_S = 20.0
PLAN_END_S = 50.0
SLO = Objectives(ttft_s=0.1, e2e_s=1.0)
CRITERIA = Criteria(goodput=0.95, error_ratio=0.02, window_s=2.0, hold_s=5.0, within_s=25.0)
KILL = FaultWindow("kill", "pod-kill", "exact", FAULT_S, None, ("r0",), 2, verified=True, id="kill#1")


def constant(rate: float, end_s: float = PLAN_END_S) -> list[float]:
    return [index / rate for index in range(int(end_s * rate))]


def poisson(rate: float, seed: int, end_s: float = PLAN_END_S) -> list[float]:
    draw = random.Random(seed)
    instants_s, at_s = [], 0.0
    while at_s < end_s:
        instants_s.append(at_s)
        at_s += draw.expovariate(rate)
    return instants_s


def silent_server(instants_s: Sequence[float], silent_s: float, *, delay_s: float = 0.01) -> list[Row]:
    """Answers after `delay_s`; says nothing for `silent_s` from the fault on, then answers everything."""

    def said(at_s: float) -> float:
        return FAULT_S + silent_s if FAULT_S <= at_s < FAULT_S + silent_s else at_s

    return [
        Row(
            index=index,
            intended_s=at_s,
            outcome="ok",
            dispatched_s=at_s,
            token_s=(said(at_s + delay_s),),
            ended_s=said(at_s + 2 * delay_s),
        )
        for index, at_s in enumerate(instants_s)
    ]


def broken(
    instants_s: Sequence[float], is_broken: Callable[[float], bool], outcome: str = "http_503"
) -> list[Row]:
    """Answers at once, but fails the arrivals of chosen instants at once."""
    rows = silent_server(instants_s, 0.0)
    return [replace(row, outcome=outcome, token_s=()) if is_broken(row.intended_s) else row for row in rows]


def timeline(
    rows: Sequence[Row],
    *,
    faults: tuple[FaultWindow, ...] = (KILL,),
    plan_end_s: float = PLAN_END_S,
) -> Timeline:
    return Timeline(tuple(rows), (), len(rows), 5.0, plan_end_s, wanted_replicas=2, faults=faults)


# --- The truth property: a server that is silent for exactly D seconds.


@settings(max_examples=60, deadline=None)
@given(
    silent_s=st.floats(0.3, 10.0),
    bound_s=st.floats(0.05, 0.25),
    rate=st.sampled_from([100.0, 200.0, 400.0]),
    seed=st.none() | st.integers(0, 1000),
)
def test_service_recovery_of_a_silent_server_is_its_silence_less_what_the_ttft_bound_forgives(
    silent_s: float, bound_s: float, rate: float, seed: int | None
) -> None:
    instants_s = constant(rate) if seed is None else poisson(rate, seed)
    found = service_recovery(
        timeline(silent_server(instants_s, silent_s)), Objectives(bound_s, silent_s + 1), CRITERIA
    )
    assert found.status is Status.RECOVERED
    assert found.value_s is not None
    assert found.resolution_s is not None
    last_bad_s = max(at_s for at_s in instants_s if at_s < FAULT_S + silent_s - bound_s) - FAULT_S
    assert found.value_s > last_bad_s - 1e-6, "a tolerated share of bad arrivals must not make it earlier"
    assert silent_s - bound_s - 2e-6 <= found.value_s <= silent_s - bound_s + found.resolution_s + 2e-6
    assert found.first_touch_s == found.value_s


@settings(max_examples=20, deadline=None)
@given(rate=st.sampled_from([20.0, 200.0]), seed=st.none() | st.integers(0, 1000))
def test_no_outage_is_no_impact(rate: float, seed: int | None) -> None:
    instants_s = constant(rate) if seed is None else poisson(rate, seed)
    found = service_recovery(timeline(silent_server(instants_s, 0.0)), SLO, CRITERIA)
    assert (found.status, found.value_s, found.first_touch_s) == (Status.NO_IMPACT, 0.0, 0.0)


def test_an_outage_shorter_than_the_ttft_bound_is_no_impact() -> None:
    found = service_recovery(timeline(silent_server(constant(200), 0.08)), SLO, CRITERIA)
    assert found.status is Status.NO_IMPACT


# --- Small tables, worked out by hand. Ten arrivals a second, so 20 in a window, of which one may be bad.


def span(*stretches: tuple[float, float]) -> Callable[[float], bool]:
    """Whether an arrival lies in one of the stretches from the fault; rounded, as 21.2 - 20 is below 1.2."""
    return lambda at_s: any(start_s <= round(at_s - FAULT_S, 6) < end_s for start_s, end_s in stretches)


TOLERANT = replace(CRITERIA, error_ratio=0.05)


@pytest.mark.parametrize(
    ("broken_then", "status", "value_s", "first_touch_s"),
    [
        pytest.param(span((0, 3)), Status.RECOVERED, 3.0, 3.0, id="three seconds down"),
        pytest.param(span((0, 0.1)), Status.RECOVERED, 0.1, 0.1, id="one bad arrival at the very start"),
        pytest.param(span((1, 1.1)), Status.NO_IMPACT, 0.0, 0.0, id="one bad arrival is within tolerance"),
        pytest.param(span((1, 1.2)), Status.RECOVERED, 1.2, 1.2, id="two are not"),
        pytest.param(
            span((0, 1), (1.5, 2)), Status.RECOVERED, 2.0, 2.0, id="a window never passes in between"
        ),
        pytest.param(span((0, 1), (4, 5)), Status.RECOVERED, 5.0, 1.0, id="a flap restarts the clock"),
        pytest.param(
            span((0, 1), (4, 5), (8, 9)), Status.RECOVERED, 9.0, 1.0, id="two flaps restart it twice"
        ),
        pytest.param(span((0, 1), (6.1, 7)), Status.RECOVERED, 1.0, 1.0, id="a full hold before a relapse"),
        pytest.param(span((0, 26)), Status.NOT_RECOVERED, math.inf, 26.0, id="longer than within"),
        pytest.param(span((0, 99)), Status.NOT_RECOVERED, math.inf, math.inf, id="to the end"),
        pytest.param(span((0, 24.9)), Status.RECOVERED, 24.9, 24.9, id="the last hold that fits"),
        pytest.param(span((8, 9)), Status.RECOVERED, 9.0, 9.0, id="a fault that bites late has impact"),
    ],
)
def test_service_recovery_worked_out_by_hand(
    broken_then: Callable[[float], bool], status: Status, value_s: float, first_touch_s: float
) -> None:
    found = service_recovery(timeline(broken(constant(10), broken_then)), SLO, TOLERANT)
    assert found.status is status
    assert found.value_s == pytest.approx(value_s, abs=1e-6)
    assert found.first_touch_s == pytest.approx(first_touch_s, abs=1e-6)


def test_resolution_is_the_gap_around_the_recovery_instant() -> None:
    rows = broken(
        [*constant(10, FAULT_S + 3.0), *(23.25 + at_s for at_s in constant(10, 26.7))], span((0, 3))
    )
    found = service_recovery(timeline(rows), SLO, TOLERANT)
    assert found.value_s == pytest.approx(3.25)
    assert found.resolution_s == pytest.approx(0.35)


def test_resolution_is_never_finer_than_a_millisecond() -> None:
    found = service_recovery(timeline(silent_server(constant(2000, 30), 1.0), plan_end_s=30), SLO, CRITERIA)
    assert found.resolution_s == 0.001


def test_requests_in_flight_at_the_kill_fail_at_the_kill_although_they_arrived_before() -> None:
    rows = silent_server(constant(20), 0.0)
    victims = {round(19.8 * 20), round(19.9 * 20)}
    rows = [
        replace(row, outcome="reset_mid_stream", ended_s=FAULT_S + 0.02) if row.index in victims else row
        for row in rows
    ]
    found = service_recovery(timeline(rows), SLO, CRITERIA)
    assert found.status is Status.RECOVERED
    assert found.value_s == pytest.approx(0.05), "the first good arrival after the failures"
    assert phases(timeline(rows), SLO, CRITERIA)[0].end_s == FAULT_S - SLO.e2e_s


def test_a_failure_before_the_first_arrival_is_impact_although_a_window_tolerates_it() -> None:
    victim = round(19.9 * 10)
    rows = silent_server(constant(10), 0.0)
    rows[victim] = replace(rows[victim], outcome="reset_mid_stream", ended_s=20.06)
    fault = replace(KILL, started_s=20.03)
    found = service_recovery(timeline(rows, faults=(fault,)), SLO, TOLERANT)
    assert found.status is Status.RECOVERED
    assert found.value_s == pytest.approx(0.07)


@pytest.mark.parametrize(
    ("slow_since_s", "status"),
    [
        pytest.param(0.0, Status.NO_IMPACT, id="as many were slow before"),
        pytest.param(FAULT_S, Status.NOT_RECOVERED, id="none was slow before"),
    ],
)
def test_goodput_is_compared_with_that_of_the_baseline(slow_since_s: float, status: Status) -> None:
    rows = [
        replace(row, token_s=(row.intended_s + 0.2,))
        if row.index % 5 == 1 and row.intended_s >= slow_since_s
        else row
        for row in silent_server(constant(10), 0.0)
    ]
    assert service_recovery(timeline(rows), SLO, CRITERIA).status is status


def test_a_recovery_later_than_within_is_not_recovered_even_when_it_was_seen() -> None:
    run = timeline(broken(constant(10), span((0, 22))))
    found = service_recovery(run, SLO, replace(TOLERANT, within_s=21.0))
    assert (found.status, found.value_s, found.at_least_s) == (Status.NOT_RECOVERED, math.inf, 21.0)
    assert found.reason == "recovered only after 22.000 s"
    assert found.first_touch_s == pytest.approx(22.0)


def test_a_relapse_after_the_full_hold_is_told_beside_the_recovery() -> None:
    found = service_recovery(timeline(broken(constant(10), span((0, 1), (12, 13)))), SLO, TOLERANT)
    assert found.value_s == pytest.approx(1.0)
    assert found.relapse_s == pytest.approx(10.1, abs=0.01), "the first window that reaches two bad arrivals"


@pytest.mark.parametrize(
    ("bad", "plan_end_s", "at_least_s", "reason"),
    [
        pytest.param((0, 3), 27.0, 3.0, "ended before a hold of 5 s", id="hold cut short"),
        pytest.param((0, 3), 24.0, 0.0, "observed for 4.000 s", id="less than a hold"),
    ],
)
def test_a_hold_that_the_plan_cuts_short_is_unknown_not_recovered(
    bad: tuple[float, float], plan_end_s: float, at_least_s: float, reason: str
) -> None:
    rows = broken(constant(10, plan_end_s), span(bad))
    found = service_recovery(timeline(rows, plan_end_s=plan_end_s), SLO, TOLERANT)
    assert (found.status, found.value_s) == (Status.UNKNOWN, None)
    assert found.at_least_s == pytest.approx(at_least_s)
    assert reason in (found.reason or "")


def test_arrivals_whose_outcome_was_cut_off_do_not_complete_a_hold() -> None:
    rows = silent_server(constant(10, 30), 3.0)
    rows = [
        replace(row, outcome="censored", token_s=(), ended_s=row.intended_s + 0.5)
        if row.intended_s >= 27
        else row
        for row in rows
    ]
    found = service_recovery(timeline(rows, plan_end_s=30), SLO, CRITERIA)
    assert found.status is Status.UNKNOWN
    assert "before a hold" in (found.reason or "")


@pytest.mark.parametrize(
    ("rows", "faults", "reason"),
    [
        pytest.param(silent_server(constant(10), 1), (), "nothing was injected", id="no fault"),
        pytest.param(silent_server(constant(0.4), 1), (KILL,), "has no planned arrival", id="too sparse"),
        pytest.param(
            broken(constant(10), lambda at_s: at_s < FAULT_S), (KILL,), "no good arrival", id="bad baseline"
        ),
    ],
)
def test_what_cannot_be_measured_is_unknown_with_its_reason(
    rows: list[Row], faults: tuple[FaultWindow, ...], reason: str
) -> None:
    found = service_recovery(timeline(rows, faults=faults), SLO, CRITERIA)
    assert (found.status, found.value_s) == (Status.UNKNOWN, None)
    assert reason in (found.reason or "")


def test_recovery_from_the_end_of_a_lasting_fault() -> None:
    lasting = replace(KILL, kind="network-delay", ended_s=FAULT_S + 4.0)
    run = timeline(broken(constant(10), span((0, 6))), faults=(lasting,))
    after_end = service_recovery_after_end(run, SLO, TOLERANT)
    assert service_recovery(run, SLO, TOLERANT).value_s == pytest.approx(6.0)
    assert after_end is not None
    assert after_end.value_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("faults", "value_s"),
    [
        pytest.param((KILL,), None, id="one-shot: no end to count from"),
        pytest.param((KILL, replace(KILL, ended_s=24.0)), None, id="one of them is one-shot"),
        pytest.param((replace(KILL, ended_s=23.0), replace(KILL, ended_s=24.0)), 2.0, id="the later end"),
        pytest.param((replace(KILL, ended_s=28.0),), 0.0, id="recovered before the end"),
    ],
)
def test_recovery_counts_from_the_end_of_the_last_fault(
    faults: tuple[FaultWindow, ...], value_s: float | None
) -> None:
    run = timeline(broken(constant(10), span((0, 6))), faults=faults)
    found = service_recovery_after_end(run, SLO, TOLERANT)
    assert (found and found.value_s) == (value_s and pytest.approx(value_s))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"goodput": 0.0}, "ratios"),
        ({"error_ratio": 1.1}, "ratios"),
        ({"hold_s": 1.0}, "at least one window"),
        ({"window_s": 0.0}, "at least one window"),
        ({"within_s": 0.0}, "within"),
    ],
)
def test_criteria_that_make_no_sense_are_refused(changed: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(CRITERIA, **changed)
