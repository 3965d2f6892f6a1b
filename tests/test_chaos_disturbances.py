from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.measuring.columns import columns
from chaos.measuring.disturbances import Disturbance
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import Row

SLO = Objectives(ttft_s=0.2, e2e_s=1.0)
CRITERIA = Criteria(goodput=0.95, error_ratio=0.02, window_s=2.0, hold_s=5.0)
WARMUP_S = 2.0
PLAN_END_S = 60.0

Fate = Callable[[float], str]
"""What becomes of the arrival of an instant: ok, slow, or an outcome."""


def evenly(rate: float) -> list[float]:
    return [index / rate for index in range(int(PLAN_END_S * rate))]


def row(index: int, at_s: float, fate: str, failed_after_s: float = 0.001) -> Row:
    if fate in ("ok", "slow"):
        answered_s = at_s + (0.01 if fate == "ok" else 0.5)
        return Row(index, at_s, "ok", dispatched_s=at_s, token_s=(answered_s,), ended_s=answered_s + 0.01)
    return Row(index, at_s, fate, dispatched_s=at_s, ended_s=at_s + failed_after_s)


def timeline(instants_s: Sequence[float], fate: Fate, faults: tuple[FaultWindow, ...] = ()) -> Timeline:
    rows = tuple(row(index, at_s, fate(at_s)) for index, at_s in enumerate(instants_s))
    return of_rows(rows, faults)


def of_rows(rows: Sequence[Row], faults: tuple[FaultWindow, ...] = ()) -> Timeline:
    return Timeline(columns(rows), (), len(rows), WARMUP_S, PLAN_END_S, wanted_replicas=0, faults=faults)


def during(*stretches: tuple[float, float], fate: str = "connect_refused") -> Fate:
    return lambda at_s: fate if any(begin <= at_s < end for begin, end in stretches) else "ok"


def found(seen: Timeline, criteria: Criteria = CRITERIA) -> tuple[Disturbance, ...]:
    told = measure(seen, SLO, criteria).disturbances
    assert told.reason is None
    return told.found


# --- Properties


@settings(max_examples=60)
@given(
    start_s=st.floats(WARMUP_S + 3, 40.0),
    length_s=st.floats(0.5, 12.0),
    rate=st.sampled_from([10.0, 25.0, 50.0]),
    fate=st.sampled_from(["connect_refused", "http_503", "slow"]),
)
def test_an_outage_is_found_once_with_its_length_within_the_resolution(
    start_s: float, length_s: float, rate: float, fate: str
) -> None:
    seen = timeline(evenly(rate), during((start_s, start_s + length_s), fate=fate))
    [one] = found(seen)
    assert one.ended_s is not None
    assert abs(one.length_s - length_s) <= one.resolution_s + 0.002
    assert abs(one.start_s - start_s) <= one.resolution_s + 0.002
    assert abs(one.ended_s - (start_s + length_s)) <= one.resolution_s
    bad = sum(start_s <= at_s < start_s + length_s for at_s in evenly(rate))
    assert one.outcomes == {fate: bad}
    assert one.bad == one.arrivals == bad


@settings(max_examples=20)
@given(rate=st.sampled_from([50.0, 100.0]), every=st.integers(60, 400))
def test_no_outage_is_no_disturbance_nor_is_what_the_tolerance_allows(rate: float, every: int) -> None:
    assert found(timeline(evenly(rate), lambda _: "ok")) == ()
    tolerable = timeline(evenly(rate), lambda at_s: "ok" if round(at_s * rate) % every else "slow")
    assert found(tolerable) == ()


@pytest.mark.parametrize(
    ("bad", "disturbed"),
    [pytest.param(0.1, False, id="one is noise"), pytest.param(0.9, True, id="five are not")],
)
def test_at_a_low_rate_a_few_requests_in_a_row_are_a_disturbance(bad: float, disturbed: bool) -> None:
    seen = found(timeline(evenly(5), during((20, 20 + bad))))
    assert [(one.arrivals, one.bad) for one in seen] == ([(5, 5)] if disturbed else [])
    assert all(one.resolution_s == pytest.approx(0.2) for one in seen)


@settings(max_examples=40)
@given(
    first_s=st.floats(5.0, 15.0),
    lengths_s=st.tuples(st.floats(0.5, 5.0), st.floats(0.5, 5.0)),
    quiet_s=st.floats(7.2, 15.0),
)
def test_two_outages_with_a_hold_between_them_are_two(
    first_s: float, lengths_s: tuple[float, float], quiet_s: float
) -> None:
    second_s = first_s + lengths_s[0] + quiet_s
    stretches = ((first_s, first_s + lengths_s[0]), (second_s, second_s + lengths_s[1]))
    one, other = found(timeline(evenly(40), during(*stretches)))
    for seen, (begin_s, end_s) in zip((one, other), stretches, strict=True):
        assert abs(seen.start_s - begin_s) <= seen.resolution_s + 0.002
        assert abs(seen.length_s - (end_s - begin_s)) <= seen.resolution_s + 0.002


@settings(max_examples=150)
@given(
    fates=st.lists(
        st.sampled_from(["ok"] * 12 + ["slow", "connect_refused", "http_503"]), min_size=60, max_size=300
    ),
    failed_after_s=st.sampled_from([0.001, 0.7, 9.0]),
    step_s=st.sampled_from([0.1, 0.25]),
)
def test_whatever_happens_disturbances_are_in_order_apart_and_end_in_a_hold(
    fates: list[str], failed_after_s: float, step_s: float
) -> None:
    rows = [row(index, index * step_s, fate, failed_after_s) for index, fate in enumerate(fates)]
    end_s = len(fates) * step_s
    seen = Timeline(columns(rows), (), len(rows), 0.0, end_s, wanted_replicas=0)
    looked = measure(seen, SLO, CRITERIA).disturbances
    assert looked.level is not None
    assert all(one.length_s >= 0 and one.bad > 0 for one in looked.found)
    assert all(one.length_interval_s[0] <= one.length_s + 1e-9 for one in looked.found)
    assert all(
        one.length_s <= one.length_interval_s[1] + one.resolution_s for one in looked.found if one.ended_s
    )
    ends = [end_s if one.ended_s is None else one.ended_s for one in looked.found]
    assert all(later.start_s >= end - 1e-6 for end, later in zip(ends, looked.found[1:], strict=False))
    assert all(
        one.ended_s + CRITERIA.hold_s <= end_s + 1e-6 for one in looked.found if one.ended_s is not None
    )


# --- Tables, worked out by hand


def test_two_outages_without_a_hold_between_them_are_one_disturbance() -> None:
    [one] = found(timeline(evenly(20), during((10, 11), (14, 15))))
    assert one.start_s == pytest.approx(10.001)
    assert one.ended_s == pytest.approx(15.0)
    assert (one.arrivals, one.bad) == (100, 40)


def test_an_outage_that_the_observation_ends_in_has_no_end() -> None:
    [one] = found(timeline(evenly(20), during((50, 99))))
    assert (one.ended_s, one.good_again_s) == (None, None)
    assert one.length_s == pytest.approx(PLAN_END_S - 50, abs=0.01)


def test_an_outage_within_the_last_window_is_not_good_again_before_it_began() -> None:
    [one] = found(timeline(evenly(20), during((58.5, 99))))
    assert one.start_s == pytest.approx(58.501)
    assert one.good_again_s is None


def test_a_hold_that_the_observation_cuts_short_is_not_an_end_but_is_told() -> None:
    [one] = found(timeline(evenly(20), during((50, 56))))
    assert one.ended_s is None
    assert one.good_again_s == pytest.approx(56.0)


@pytest.mark.parametrize("fate", ["slow", "http_503"])
def test_a_bad_request_shortly_before_an_outage_does_not_make_it_begin_earlier(fate: str) -> None:
    outage = during((20, 25), fate=fate)
    [one] = found(timeline(evenly(80), lambda at_s: fate if at_s == 18.75 else outage(at_s)))
    assert one.start_s == pytest.approx(20.0, abs=0.002)


def test_requests_in_flight_when_a_server_dies_fail_then_and_not_when_they_were_planned() -> None:
    instants_s = evenly(20)
    refused = [row(index, at_s, during((20, 24))(at_s)) for index, at_s in enumerate(instants_s)]
    rows = [
        replace(each, outcome="reset_mid_stream", token_s=(each.intended_s + 0.01,), ended_s=20.0)
        if 19.2 <= each.intended_s < 20
        else each
        for each in refused
    ]
    [one] = found(of_rows(rows))
    assert one.start_s == pytest.approx(20.0)
    assert one.length_s == pytest.approx(4.0)
    assert one.outcomes == {"connect_refused": 80, "reset_mid_stream": 16}
    assert one.arrivals == 96


@pytest.mark.parametrize("failed_after_s", [0.001, 2.0, 9.0])
def test_an_outage_is_where_it_was_asked_however_late_its_refusals_come(failed_after_s: float) -> None:
    refused = during((10, 11))
    rows = [row(index, at_s, refused(at_s), failed_after_s) for index, at_s in enumerate(evenly(40))]
    [one] = found(of_rows(rows))
    assert one.ended_s == pytest.approx(11.0)
    assert one.outcomes == {"connect_refused": 40}


def test_a_service_that_is_usually_imperfect_is_held_to_what_it_usually_is() -> None:
    def one_in_25_slow(at_s: float) -> str:
        return "slow" if round(at_s * 50) % 25 == 0 else "ok"

    told = measure(timeline(evenly(50), one_in_25_slow), SLO, CRITERIA).disturbances
    assert told.found == ()
    assert told.level is not None
    assert (told.level.source, told.level.goodput) == ("median", 0.96)


def test_a_service_that_is_bad_most_of_the_time_is_held_to_the_objectives() -> None:
    told = measure(timeline(evenly(20), during((20, 99), fate="slow")), SLO, CRITERIA).disturbances
    assert told.level is not None
    assert (told.level.source, told.level.goodput) == ("objective", 1.0)
    [one] = told.found
    assert one.start_s == pytest.approx(20.0)
    assert list(one.outcomes) == ["slow"]


def test_in_a_run_with_a_fault_the_disturbance_ends_where_service_recovery_says() -> None:
    kill = FaultWindow(
        id="kill#1",
        name="kill",
        kind="PodChaos/pod-kill",
        fidelity="exact",
        started_s=20.0,
        ended_s=None,
        targets=("r0",),
        candidates=2,
        verified=True,
    )
    seen = timeline(evenly(20), during((20, 24.5)), (kill,))
    told = measure(seen, SLO, CRITERIA).disturbances
    assert told.level is not None
    assert told.level.source == "baseline"
    [one] = told.found
    assert one.ended_s == pytest.approx(20.0 + (measure(seen, SLO, CRITERIA).service.value_s or 0))


@pytest.mark.parametrize(
    ("instants_s", "reason"),
    [
        pytest.param([3.0, 20.0, 40.0], "cannot tell noise from a disturbance", id="hardly anything"),
        pytest.param([], "no request was planned", id="nothing planned"),
    ],
)
def test_what_cannot_be_looked_for_says_why(instants_s: list[float], reason: str) -> None:
    told = measure(timeline(instants_s, lambda _: "ok"), SLO, CRITERIA).disturbances
    assert reason in (told.reason or "")


def test_less_than_a_window_is_too_little_to_look_at() -> None:
    rows = [row(index, at_s, "ok") for index, at_s in enumerate(evenly(20)) if at_s < 3]
    short = Timeline(columns(rows), (), len(rows), WARMUP_S, 3.0, wanted_replicas=0)
    assert "observed for 1.000 s" in (measure(short, SLO, CRITERIA).disturbances.reason or "")
