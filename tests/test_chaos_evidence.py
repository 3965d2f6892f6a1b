from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.measuring.columns import columns
from chaos.measuring.evidence import Evidence, evidence
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives, is_good
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import OUTCOMES, Row

SLO = Objectives(ttft_s=0.5, e2e_s=5.0, itl_s=1.0, tpot_s=0.4)
KILL = FaultWindow("kill", "pod-kill", "exact", 20.0, None, ("r0",), 2, verified=True, id="kill#1")
AGAIN = FaultWindow("kill", "pod-kill", "exact", 24.0, None, ("r0",), 2, verified=True, id="kill#2")


def of(
    rows: Sequence[Row], faults: tuple[FaultWindow, ...] = (KILL,), objectives: Objectives = SLO
) -> Evidence:
    return evidence(Timeline(columns(rows), (), len(rows), 5.0, 50.0, 2, faults), objectives)


def ok(index: int, at_s: float, *tokens_s: float, lag_s: float = 0.0) -> Row:
    stamps = tuple(at_s + each for each in tokens_s)
    return Row(index, at_s, "ok", dispatched_s=at_s + lag_s, token_s=stamps, ended_s=stamps[-1] + 0.01)


@pytest.mark.parametrize(
    ("row", "decided_s", "at_s"),
    [
        pytest.param(ok(0, 19.0, 0.1, 0.5), 19.51, 19.0, id="good and over before the fault"),
        pytest.param(ok(0, 19.7, 0.1, 0.5), 20.21, 20.0, id="in flight when it struck: it counts there"),
        pytest.param(
            ok(0, 19.0, 2.0), 19.5, 19.0, id="without a first token in time it was bad before the fault"
        ),
        pytest.param(ok(0, 18.0, 0.1, 1.5, 2.6), 19.1, 18.0, id="too wide a gap is known while it lasts"),
        pytest.param(
            Row(0, 19.8, "reset_mid_stream", 19.8, token_s=(19.9,), ended_s=20.02),
            20.02,
            20.0,
            id="reset by it",
        ),
        pytest.param(
            Row(0, 19.5, "stall_timeout", 19.5, token_s=(19.6,), ended_s=27.0),
            20.6,
            20.0,
            id="silenced by it",
        ),
        pytest.param(
            Row(0, 18.0, "stall_timeout", 18.0, token_s=(18.1,), ended_s=27.0),
            19.1,
            18.0,
            id="silent long before",
        ),
        pytest.param(Row(0, 20.0, "http_503", 20.0, ended_s=29.0), 20.5, 20.0, id="planned as it struck"),
        pytest.param(Row(0, 19.9, "client_dropped", ended_s=19.9), 19.9, 19.9, id="dropped by the client"),
    ],
)
def test_a_request_counts_when_it_was_planned_or_when_a_fault_struck_it(
    row: Row, decided_s: float, at_s: float
) -> None:
    found = of([row])
    assert found.decided_s[0] == pytest.approx(decided_s)
    assert found.at_s[0] == pytest.approx(at_s)


def test_a_request_that_two_faults_struck_counts_at_the_later_one() -> None:
    found = of([ok(0, 19.5, *(0.1 + 0.5 * k for k in range(9)))], (KILL, AGAIN))
    assert found.at_s.tolist() == [20.0 if found.decided_s[0] <= 24.0 else 24.0]
    assert found.at_s.tolist() == [20.0]
    longer = of([ok(0, 19.5, *(0.1 + 0.5 * k for k in range(10)))], (KILL, AGAIN))
    assert longer.at_s.tolist() == [24.0]


def test_every_request_after_the_warm_up_is_in_one_phase_but_short_answers_beside_the_oldest_in_flight() -> (
    None
):
    rows = [ok(index, index / 10, 0.1, 0.1 + (4.0 if index == 180 else 0.2)) for index in range(500)]
    timeline = Timeline(columns(rows), (), len(rows), 5.0, 50.0, 2, (KILL,))
    found = measure(timeline, Objectives(0.5, 5.0), Criteria())
    baseline, fault, _, recovery = found.phases
    assert baseline.phase.end_s == pytest.approx(18.0), "up to the oldest request in flight"
    assert (baseline.n, fault.n, recovery.n) == (130, 300 + 4, 0)
    assert found.lost_requests == 0


@pytest.mark.parametrize(
    ("row", "unknown"),
    [
        pytest.param(ok(0, 30.0, 0.2, lag_s=0.1), False, id="late and good all the same"),
        pytest.param(ok(0, 30.0, 0.6, lag_s=0.1), True, id="late and slow: by whose fault?"),
        pytest.param(ok(0, 30.0, 0.6, lag_s=0.02), False, id="slow and not late"),
        pytest.param(Row(0, 30.0, "http_503", 30.4, ended_s=30.5), True, id="late and refused"),
        pytest.param(Row(0, 30.0, "http_503", 30.0, ended_s=30.5), False, id="refused"),
        pytest.param(Row(0, 30.0, "client_dropped", ended_s=30.0), True, id="dropped by the client"),
    ],
)
def test_a_bad_request_that_left_late_says_nothing_of_the_service(row: Row, unknown: bool) -> None:
    assert of([row]).unknown.tolist() == [unknown]


ROWS = st.builds(
    lambda at_s, outcome, gaps, last: Row(
        0,
        at_s,
        outcome,
        dispatched_s=at_s,
        token_s=tuple((at_s + np.cumsum(gaps)).tolist()),
        ended_s=at_s + sum(gaps) + last,
    ),
    st.floats(0, 49).map(lambda value: round(value, 3)),
    st.sampled_from(OUTCOMES),
    st.lists(st.sampled_from([0.01, 0.3, 0.499, 0.501, 0.999, 1.001, 2.0]), max_size=6),
    st.sampled_from([0.0, 0.01, 2.0]),
)


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_columns_call_good_what_is_good_row_by_row(rows: list[Row]) -> None:
    found = of(rows)
    in_order = sorted(rows, key=lambda row: row.intended_s)
    assert found.good.tolist() == [is_good(row, SLO) for row in in_order]
    assert found.failed.tolist() == [not row.ok for row in in_order]
    planned_s = [row.intended_s for row in in_order]
    assert all(decided >= at for decided, at in zip(found.decided_s, planned_s, strict=True))
    failed_s = [row.failed_at_s for row in in_order]
    assert found.rows.failed_at_s.tolist() == pytest.approx(
        [float("nan") if at_s is None else at_s for at_s in failed_s], nan_ok=True
    )
