import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chaos.events import Event
from chaos.measuring.columns import columns
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria, Status
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
    return Timeline(columns(rows), (), len(rows), 5.0, plan_end_s, wanted_replicas=2, faults=faults)


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
    run = timeline(silent_server(instants_s, silent_s))
    found = measure(run, Objectives(bound_s, silent_s + 1), CRITERIA).service
    bad_s = [at_s for at_s in instants_s if FAULT_S <= at_s < FAULT_S + silent_s - bound_s - 1e-9]
    if len(bad_s) < 5:
        return  # too short for anybody to tell
    assert found.status is Status.RECOVERED
    assert found.value_s is not None
    assert found.resolution_s is not None
    assert found.value_s > max(bad_s) - FAULT_S - 1e-6, (
        "a tolerated share of bad arrivals must not make it earlier"
    )
    assert silent_s - bound_s - 2e-6 <= found.value_s <= silent_s - bound_s + found.resolution_s + 2e-6
    assert found.interval_s[0] <= silent_s - bound_s + 2e-6
    assert found.value_s <= found.interval_s[1] < math.inf
    assert found.first_touch_s == found.value_s


@settings(max_examples=20, deadline=None)
@given(rate=st.sampled_from([20.0, 200.0]), seed=st.none() | st.integers(0, 1000))
def test_no_outage_is_no_impact_for_as_long_as_the_requests_prove(rate: float, seed: int | None) -> None:
    instants_s = constant(rate) if seed is None else poisson(rate, seed)
    found = measure(timeline(silent_server(instants_s, 0.0)), SLO, CRITERIA).service
    assert (found.status, found.value_s, found.first_touch_s) == (Status.NO_IMPACT, 0.0, 0.0)
    # So many good requests in a row contradict a share of 2 % failed ones: twice the log likelihood ratio says so.
    after_s = [at_s - FAULT_S for at_s in instants_s if at_s >= FAULT_S]
    tolerated = min(1 - CRITERIA.goodput, CRITERIA.error_ratio)
    needed = math.ceil(3.841 / (-2 * math.log(1 - tolerated)))
    low_s, high_s = found.interval_s
    assert low_s == 0.0
    struck = sum(at_s < FAULT_S < at_s + 0.02 for at_s in instants_s)  # good ones too, and as good as any
    assert high_s == pytest.approx(after_s[needed - 1 - struck])


def test_an_outage_shorter_than_the_ttft_bound_is_no_impact() -> None:
    found = measure(timeline(silent_server(constant(200), 0.08)), SLO, CRITERIA).service
    assert found.status is Status.NO_IMPACT


# --- Small tables, worked out by hand. Ten arrivals a second, a clean baseline: four bad ones in a row are no noise.


def span(*stretches: tuple[float, float]) -> Callable[[float], bool]:
    """Whether an arrival lies in one of the stretches from the fault; rounded, as 21.2 - 20 is below 1.2."""
    return lambda at_s: any(start_s <= round(at_s - FAULT_S, 6) < end_s for start_s, end_s in stretches)


TOLERANT = replace(CRITERIA, error_ratio=0.05)
"""No more may be bad than may fail: goodput says it all."""


@pytest.mark.parametrize(
    ("broken_then", "status", "value_s", "first_touch_s"),
    [
        pytest.param(span((0, 3)), Status.RECOVERED, 3.0, 3.0, id="three seconds down"),
        pytest.param(span((0, 0.1)), Status.NO_IMPACT, 0.0, 0.0, id="one bad arrival may be noise"),
        pytest.param(span((1, 1.3)), Status.NO_IMPACT, 0.0, 0.0, id="three may be"),
        pytest.param(span((1, 1.4)), Status.RECOVERED, 1.4, 1.4, id="four are not"),
        pytest.param(span((0, 1), (1.5, 2)), Status.RECOVERED, 2.0, 2.0, id="a moment between two dips"),
        pytest.param(span((0, 1), (4, 5)), Status.RECOVERED, 5.0, 1.0, id="a flap restarts the clock"),
        pytest.param(
            span((0, 1), (4, 5), (8, 9)), Status.RECOVERED, 9.0, 1.0, id="two flaps restart it twice"
        ),
        pytest.param(span((0, 26)), Status.NOT_RECOVERED, math.inf, 26.0, id="longer than within"),
        pytest.param(span((0, 99)), Status.NOT_RECOVERED, math.inf, math.inf, id="to the end"),
        pytest.param(
            span((0, 20.9)), Status.RECOVERED, 20.9, 20.9, id="the last hold that fits behind its proof"
        ),
        pytest.param(span((8, 9)), Status.RECOVERED, 9.0, 9.0, id="a fault that bites late has impact"),
        pytest.param(
            span((0, 0.1), (6, 10)), Status.RECOVERED, 10.0, 10.0, id="one early reset hides nothing"
        ),
        pytest.param(span((0, 0.5), (6, 10)), Status.RECOVERED, 10.0, 0.5, id="nor does an early dip"),
    ],
)
def test_service_recovery_worked_out_by_hand(
    broken_then: Callable[[float], bool], status: Status, value_s: float, first_touch_s: float
) -> None:
    found = measure(timeline(broken(constant(10), broken_then)), SLO, TOLERANT).service
    assert found.status is status
    assert found.value_s == pytest.approx(value_s, abs=1e-6)
    assert found.first_touch_s == pytest.approx(first_touch_s, abs=1e-6)
    low_s, high_s = found.interval_s
    assert low_s <= value_s <= high_s or status is Status.NOT_RECOVERED


@pytest.mark.parametrize("lasting", [True, False], ids=["a fault that has ended", "capacity that came back"])
def test_what_comes_a_whole_hold_after_the_fault_is_a_relapse_beside_the_recovery(lasting: bool) -> None:
    fault = replace(KILL, ended_s=FAULT_S + 1.0, lasts=True) if lasting else KILL
    events = (
        ()
        if lasting
        else (
            Event(-1.0, "replica_ready", "r0"),
            Event(-1.0, "replica_ready", "r1"),
            Event(FAULT_S, "replica_killed", "r0"),
            Event(FAULT_S + 1.0, "replica_ready", "r0"),
        )
    )
    rows = broken(constant(10), span((0, 1), (12, 13)))
    run = replace(timeline(rows, faults=(fault,)), events=events)
    found = measure(run, SLO, TOLERANT).service
    assert found.value_s == pytest.approx(1.0)
    assert found.relapse_s == pytest.approx(12.0)
    assert measure(timeline(rows), SLO, TOLERANT).service.value_s == pytest.approx(13.0), (
        "nothing ended this one"
    )


def test_what_another_outage_cuts_short_proves_no_recovery() -> None:
    fault = replace(KILL, ended_s=FAULT_S + 1.0, lasts=True)
    run = timeline(broken(constant(10), span((0, 1), (3, 3.1), (6.2, 9))), faults=(fault,))
    found = measure(run, SLO, TOLERANT).service
    assert (found.status, found.value_s) == (Status.UNKNOWN, None)
    assert found.interval_s[1] == math.inf
    assert "do not prove that goodput is back" in (found.reason or "")


def test_what_comes_behind_a_hold_of_good_requests_alone_is_no_part_of_the_outage_before() -> None:
    fault = replace(KILL, ended_s=FAULT_S + 1.0, lasts=True)
    heaps = span(
        (-10, -9.75), (0, 1), (6.6, 7.05)
    )  # the last is no more than the baseline's own heap explains
    found = measure(timeline(broken(constant(20), heaps), faults=(fault,)), SLO, TOLERANT).service
    assert found.value_s == pytest.approx(1.0)
    nearer = span((-10, -9.75), (0, 1), (4.6, 5.05))
    found = measure(timeline(broken(constant(20), nearer), faults=(fault,)), SLO, TOLERANT).service
    assert found.value_s == pytest.approx(5.05)


def test_resolution_is_the_gap_behind_the_last_bad_request() -> None:
    rows = broken(
        [*constant(10, FAULT_S + 3.0), *(23.25 + at_s for at_s in constant(10, 26.7))], span((0, 3))
    )
    found = measure(timeline(rows), SLO, TOLERANT).service
    assert found.value_s == pytest.approx(3.25)
    assert found.resolution_s == pytest.approx(0.35)


def test_resolution_is_never_finer_than_a_millisecond() -> None:
    found = measure(timeline(silent_server(constant(2000, 30), 1.0), plan_end_s=30), SLO, CRITERIA).service
    assert found.resolution_s == 0.001


def test_requests_in_flight_at_the_kill_are_the_faults_although_they_arrived_before() -> None:
    rows = silent_server(constant(20), 0.0)
    victims = {round(19.8 * 20), round(19.9 * 20)}
    rows = [
        replace(row, outcome="reset_mid_stream", ended_s=FAULT_S + 0.02) if row.index in victims else row
        for row in rows
    ]
    found = measure(timeline(rows), SLO, CRITERIA)
    assert found.service.status is Status.RECOVERED
    assert found.service.value_s == pytest.approx(0.0), "they are over as they begin"
    assert found.lost_requests == 2
    baseline, fault = found.phases[:2]
    assert baseline.phase.end_s == pytest.approx(19.8), "up to the oldest of them"
    assert (baseline.failed, fault.failed) == (0, 2)


def test_streams_that_a_fault_silences_are_lost_and_failed_however_late_the_client_gives_up() -> None:
    rows = [
        replace(row, outcome="stall_timeout", token_s=(row.intended_s + 0.01,), ended_s=row.intended_s + 9)
        if FAULT_S - 0.5 <= row.intended_s < FAULT_S
        else row
        for row in silent_server(constant(22), 0.0)
    ]
    found = measure(timeline(rows), Objectives(0.1, 8.0), CRITERIA)
    assert found.lost_requests == 11
    assert found.phases[1].failed == 11
    assert found.service.status is Status.RECOVERED


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
        for row in silent_server(constant(40), 0.0)
    ]
    assert measure(timeline(rows), SLO, CRITERIA).service.status is status


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        pytest.param(0.01, Status.NO_IMPACT, id="as few as before"),
        pytest.param(0.08, Status.RECOVERED, id="more than is tolerated beyond them"),
    ],
)
def test_errors_are_held_to_those_of_the_baseline_and_what_is_tolerated_beyond(
    failing: float, status: Status
) -> None:
    draw = random.Random(7)
    rows = broken(
        constant(200),
        lambda at_s: draw.random() < (failing if FAULT_S <= at_s < FAULT_S + 10 else 0.01),
    )
    found = measure(timeline(rows), SLO, CRITERIA).service
    assert found.status is status
    if status is Status.RECOVERED:
        assert found.value_s == pytest.approx(10.0, abs=0.6)


def test_a_recovery_later_than_within_is_not_recovered_even_when_it_was_seen() -> None:
    run = timeline(broken(constant(10), span((0, 22))))
    found = measure(run, SLO, replace(TOLERANT, within_s=21.0)).service
    assert (found.status, found.value_s) == (Status.NOT_RECOVERED, math.inf)
    assert found.interval_s[0] > 21.0, "a claim of 21 s is refuted"
    assert list(found.interval_s) == pytest.approx([21.0, math.inf])
    assert found.reason == "recovered only after 22.000 s"
    assert found.first_touch_s == pytest.approx(22.0)


@pytest.mark.parametrize(
    ("bad", "plan_end_s", "at_least_s", "reason"),
    [
        pytest.param((0, 3), 27.0, 2.8, "ended before a hold of 5 s", id="hold cut short"),
        pytest.param((0, 3), 24.0, 0.0, "observed for 4.000 s", id="less than a hold"),
    ],
)
def test_a_hold_that_the_plan_cuts_short_is_unknown_not_recovered(
    bad: tuple[float, float], plan_end_s: float, at_least_s: float, reason: str
) -> None:
    rows = broken(constant(10, plan_end_s), span(bad))
    found = measure(timeline(rows, plan_end_s=plan_end_s), SLO, TOLERANT).service
    assert (found.status, found.value_s) == (Status.UNKNOWN, None)
    assert list(found.interval_s) == pytest.approx([at_least_s, math.inf])
    assert reason in (found.reason or "")


def test_arrivals_whose_outcome_was_cut_off_do_not_complete_a_hold() -> None:
    rows = silent_server(constant(10, 30), 3.0)
    rows = [
        replace(row, outcome="censored", token_s=(), ended_s=row.intended_s + 0.5)
        if row.intended_s >= 27
        else row
        for row in rows
    ]
    found = measure(timeline(rows, plan_end_s=30), SLO, CRITERIA).service
    assert found.status is Status.UNKNOWN
    assert "before a hold" in (found.reason or "")


@pytest.mark.parametrize(
    ("rows", "faults", "reason"),
    [
        pytest.param(silent_server(constant(10), 1), (), "nothing was injected", id="no fault"),
        pytest.param(
            silent_server(constant(0.4), 1), (KILL,), "cannot tell noise from an impact", id="too sparse"
        ),
        pytest.param(
            broken(constant(10), lambda at_s: at_s < FAULT_S), (KILL,), "no good arrival", id="bad baseline"
        ),
        pytest.param(
            silent_server(constant(10, 19), 1), (KILL,), "no request was planned", id="nothing after it"
        ),
    ],
)
def test_what_cannot_be_measured_is_unknown_with_its_reason(
    rows: list[Row], faults: tuple[FaultWindow, ...], reason: str
) -> None:
    found = measure(timeline(rows, faults=faults), SLO, CRITERIA).service
    assert (found.status, found.value_s) == (Status.UNKNOWN, None)
    assert reason in (found.reason or "")


# --- What the generator did is no word about the service.


def sent_late(rows: Sequence[Row], stall_s: tuple[float, float]) -> list[Row]:
    """The generator stands still from one instant to another, and sends what it missed when it wakes."""
    begin_s, end_s = stall_s
    return [
        replace(
            row,
            dispatched_s=end_s,
            token_s=tuple(at_s + end_s - row.intended_s for at_s in row.token_s),
            ended_s=(row.ended_s or 0.0) + end_s - row.intended_s,
        )
        if begin_s <= row.intended_s < end_s
        else row
        for row in rows
    ]


def test_a_stall_of_the_generator_is_no_outage_of_the_server() -> None:
    rows = sent_late(silent_server(constant(200), 0.0), (FAULT_S + 1.0, FAULT_S + 1.45))
    found = measure(timeline(rows), SLO, CRITERIA).service
    assert (found.status, found.value_s) == (Status.UNKNOWN, None)
    assert found.interval_s[0] == 0.0, "it may have had no impact at all"
    assert "that the generator sent late or dropped" in (found.reason or "")
    assert "1.000 to 1.355 s after the fault" in (found.reason or "")


def test_answers_that_a_stall_of_the_generator_stamped_late_are_no_outage_either() -> None:
    began_s, woke_s = FAULT_S + 1.0, FAULT_S + 1.45
    rows = [
        replace(row, token_s=(woke_s,), ended_s=woke_s)
        if began_s - 0.02 <= row.intended_s < began_s  # left in time, and read when the generator went on
        else row
        for row in sent_late(silent_server(constant(200), 0.0), (began_s, woke_s))
    ]
    unaware = measure(timeline(rows), SLO, CRITERIA).service
    found = measure(replace(timeline(rows), stalls=((began_s, 0.45),)), SLO, CRITERIA).service
    assert unaware.status is Status.UNKNOWN
    assert (found.status, found.interval_s[0]) == (Status.UNKNOWN, 0.0)
    assert "stood still for 0.45 s from 21.00 s" in (found.reason or "")
    assert "76 requests, 0.980 to" in (found.reason or "")


def test_a_stall_within_an_outage_changes_nothing() -> None:
    rows = silent_server(constant(200), 4.0)
    told = measure(timeline(rows), SLO, CRITERIA).service
    found = measure(timeline(sent_late(rows, (FAULT_S + 1.0, FAULT_S + 1.45))), SLO, CRITERIA).service
    assert (found.status, found.value_s) == (told.status, told.value_s)
    assert found.interval_s == told.interval_s


def test_arrivals_that_the_client_dropped_are_neither_lost_nor_an_outage() -> None:
    rows = [
        replace(row, outcome="client_dropped", token_s=(), dispatched_s=None, ended_s=row.intended_s)
        if FAULT_S + 10 <= row.intended_s < FAULT_S + 10.055
        else row
        for row in silent_server(constant(200), 0.0)
    ]
    found = measure(timeline(rows), SLO, CRITERIA)
    assert found.lost_requests == 0
    assert found.service.status is Status.UNKNOWN
    assert found.service.interval_s[0] == 0.0


# --- Never a better number for a worse world.


@settings(max_examples=150, deadline=None)
@given(
    noise=st.sampled_from([0.0, 0.01, 0.03]),
    dips=st.lists(st.tuples(st.floats(0, 14), st.floats(0.05, 6)), max_size=3),
    worse=st.tuples(st.floats(0, 20), st.floats(0.05, 5)),
    seed=st.integers(0, 10_000),
)
@example(noise=0.01, dips=[(9.75, 5.9375)], worse=(4.0, 5.0), seed=456)
def test_a_world_that_is_worse_in_one_more_stretch_never_gets_a_better_recovery(
    noise: float, dips: list[tuple[float, float]], worse: tuple[float, float], seed: int
) -> None:
    draw = random.Random(seed)
    instants_s = constant(20)
    noisy = {at_s for at_s in instants_s if draw.random() < noise}
    dip = span(*((begin_s, begin_s + length_s) for begin_s, length_s in dips))
    more = span((worse[0], worse[0] + worse[1]))
    before = measure(timeline(broken(instants_s, lambda at_s: at_s in noisy or dip(at_s))), SLO, TOLERANT)
    after = measure(
        timeline(broken(instants_s, lambda at_s: at_s in noisy or dip(at_s) or more(at_s))), SLO, TOLERANT
    )
    if before.service.value_s is not None:
        assert after.service.value_s is None or after.service.value_s >= before.service.value_s
    assert after.service.interval_s[0] >= before.service.interval_s[0] - 1e-9
    assert (after.lost_requests or 0) >= (before.lost_requests or 0)


# --- From the end of faults that last.


@pytest.mark.parametrize(
    ("faults", "value_s"),
    [
        pytest.param((KILL,), None, id="one-shot: no end to count from"),
        pytest.param((KILL, replace(KILL, ended_s=24.0)), None, id="one of them is one-shot"),
        pytest.param((replace(KILL, ended_s=24.0),), 2.0, id="its end"),
        pytest.param((replace(KILL, ended_s=23.0), replace(KILL, ended_s=24.0)), 2.0, id="the later end"),
        pytest.param((replace(KILL, ended_s=28.0),), 0.0, id="recovered before the end"),
    ],
)
def test_recovery_counts_from_the_end_of_the_last_fault(
    faults: tuple[FaultWindow, ...], value_s: float | None
) -> None:
    measured = measure(timeline(broken(constant(10), span((0, 6))), faults=faults), SLO, TOLERANT)
    assert measured.service.value_s == pytest.approx(6.0)
    found = measured.service_after_end
    assert (found and found.value_s) == (value_s and pytest.approx(value_s))
    if found is not None and value_s is not None:
        assert found.interval_s[0] <= value_s <= found.interval_s[1]


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
