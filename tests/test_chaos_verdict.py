from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from chaos.assertions.term import Dimension
from chaos.errors import ExitCode
from chaos.events import Event
from chaos.judging.verdict import AssertionResult, judge, unsound
from chaos.measuring.columns import columns
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record.verdict import Verdict
from loadtests.rows import Row

SLO = Objectives(ttft_s=0.5, e2e_s=1.0)
FAULT = FaultWindow("kill", "pod-kill", "exact", 40.0, None, ("r0",), 2, verified=True, id="kill#1")
LIFE = (
    Event(-1.0, "replica_ready", "r0"),
    Event(-1.0, "replica_ready", "r1"),
    Event(40.0, "replica_killed", "r0"),
)


def row(index: int, ttft_s: float = 0.1, lag_s: float = 0.001) -> Row:
    at_s = index / 10
    return Row(
        index=index,
        intended_s=at_s,
        outcome="ok",
        dispatched_s=at_s + lag_s,
        token_s=(at_s + ttft_s,),
        ended_s=at_s + ttft_s + 0.05,
    )


ROWS = tuple(row(index) for index in range(600))


def timeline(
    rows: Sequence[Row] = ROWS,
    events: tuple[Event, ...] = LIFE,
    faults: tuple[FaultWindow, ...] = (FAULT,),
) -> Timeline:
    return Timeline(columns(rows), events, 600, 5.0, 60.0, wanted_replicas=2, faults=faults)


def changed(which: Callable[[int], bool], **values: object) -> list[Row]:
    return [replace(row, **values) if which(row.index) else row for row in ROWS]  # type: ignore[arg-type] # a table


def reasons(run: Timeline) -> tuple[str, ...]:
    return tuple(unsound(measure(run, SLO, Criteria())))


def result(verdict: Verdict) -> AssertionResult:
    return AssertionResult("requests(all) == 1", verdict, Dimension.COUNT, 1.0, (1.0, 1.0), 1.0, 1, None)


def test_a_sound_run_has_no_reason_against_it() -> None:
    assert reasons(timeline()) == ()


def test_a_turn_that_its_session_had_not_come_to_at_the_end_of_the_plan_was_not_to_be_sent() -> None:
    found = timeline()
    last = len(ROWS) - 1
    never_sent = {"outcome": "censored", "dispatched_s": None, "token_s": (), "ended_s": None}
    ended = changed(lambda i: i == last, intended_s=found.plan_end_s, **never_sent)
    assert not [each for each in reasons(timeline(ended)) if "offered rate" in each]
    earlier = changed(lambda i: i == last, **never_sent)
    assert [each for each in reasons(timeline(earlier)) if "offered rate" in each]


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        pytest.param(timeline(faults=()), "nothing was injected", id="no fault"),
        pytest.param(
            timeline(faults=(replace(FAULT, verified=False),)),
            "fault kill#1: not every target",
            id="no proof",
        ),
        pytest.param(
            timeline(events=(*LIFE, Event(12.0, "standby_gone", detail={"pid": 7, "how": "SIGKILL"}))),
            "the process that replicas are forked from ended by itself at 12.0 s (SIGKILL)",
            id="standby lost",
        ),
        pytest.param(
            timeline(
                events=(
                    *LIFE,
                    Event(45.0, "watch_lost", detail={"watched": "pods in inference", "why": "503"}),
                )
            ),
            "nobody knows what became of pods in inference from 45.0 s of the run to its end: their watch was lost",
            id="watch lost",
        ),
        pytest.param(
            timeline(
                events=(
                    *LIFE,
                    Event(45.0, "watch_lost", detail={"watched": "pods in inference", "why": "503"}),
                    Event(51.0, "watch_back", detail={"watched": "pods in inference", "why": "503"}),
                )
            ),
            "nobody knows what became of pods in inference from 45.0 s of the run to 51.0 s",
            id="watch lost for a while",
        ),
        pytest.param(timeline(ROWS[:-1]), "1 of 600 planned arrivals have no row", id="row missing"),
        pytest.param(timeline((*ROWS, row(0))), "1 planned arrivals have more than one row", id="row twice"),
        pytest.param(timeline((*ROWS, row(600))), "1 rows are of no planned arrival", id="foreign row"),
        pytest.param(
            timeline([row(i, lag_s=0.026 if i % 20 == 0 else 0.001) for i in range(600)]),
            "the generator lagged: p99 26.0 ms, more than 5% of the TTFT bound",
            id="generator lagged",
        ),
        pytest.param(
            timeline(changed(lambda i: i in (300, 301), outcome="client_dropped", dispatched_s=None)),
            "offered rate not held: 2 of 550 arrivals",
            id="dropped by the client",
        ),
        pytest.param(
            timeline(changed(lambda i: i == 500, dispatched_s=50.6)),
            "offered rate not held: 1 of 550 arrivals",
            id="left later than the whole bound",
        ),
        pytest.param(
            timeline(changed(lambda i: i % 10 == 0, outcome="http_503")),
            "unhealthy baseline: 314 of 349 requests good, 0.95 of them wanted",
            id="goodput of the baseline",
        ),
        pytest.param(
            timeline(changed(lambda i: i % 30 == 0, outcome="http_503")),
            "unhealthy baseline: 12 of 349 requests failed, at most 0.02 of them may",
            id="errors in the baseline",
        ),
        pytest.param(
            timeline(
                events=(*LIFE, Event(10.0, "replica_unready", "r0"), Event(12.0, "replica_ready", "r0"))
            ),
            "unhealthy baseline: 1 of 2 replicas ready at its lowest",
            id="replica lost in the baseline",
        ),
        pytest.param(
            timeline([row(i, ttft_s=0.6 if 300 <= i < 315 else 0.1) for i in range(600)]),
            "unstable baseline: goodput 100.0% in one half, 91.4% in the other",
            id="halves of the baseline differ in goodput",
        ),
        pytest.param(
            timeline([row(i, ttft_s=0.1 + i / 2000) for i in range(600)]),
            "unstable baseline: median TTFT 0.168 s in one half, 0.255 s in the other",
            id="latency of the baseline drifts",
        ),
        pytest.param(
            timeline(faults=(replace(FAULT, started_s=5.0),)),
            "the baseline has no planned arrival",
            id="no baseline",
        ),
    ],
)
def test_what_makes_a_run_unsound_is_said(run: Timeline, reason: str) -> None:
    assert any(said.startswith(reason) for said in reasons(run)), reasons(run)


def test_one_arrival_in_a_thousand_may_be_dropped() -> None:
    rows = [replace(row(index), index=4 * index + copy) for index in range(600) for copy in range(4)]
    rows[1000] = Row(1000, 25.0, "client_dropped")
    assert reasons(replace(timeline(rows), planned=2400)) == ()


PASSED, DEVIATED, INCONCLUSIVE = (result(verdict) for verdict in Verdict)


@pytest.mark.parametrize(
    ("sound", "results", "verdict", "exit_code"),
    [
        pytest.param(True, (PASSED, PASSED), Verdict.PASSED, ExitCode.PASSED, id="all passed"),
        pytest.param(True, (PASSED, DEVIATED), Verdict.DEVIATED, ExitCode.DEVIATED, id="one deviated"),
        pytest.param(
            True, (PASSED, INCONCLUSIVE), Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE, id="one inconclusive"
        ),
        pytest.param(
            True, (INCONCLUSIVE, DEVIATED), Verdict.DEVIATED, ExitCode.DEVIATED, id="a deviation is sure"
        ),
        pytest.param(
            False,
            (PASSED, DEVIATED),
            Verdict.INCONCLUSIVE,
            ExitCode.INCONCLUSIVE,
            id="unsound data decides first",
        ),
        pytest.param(
            False, (PASSED,), Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE, id="unsound never passes"
        ),
        pytest.param(True, (), Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE, id="nothing was claimed"),
    ],
)
def test_precedence_of_verdicts(
    sound: bool, results: tuple[AssertionResult, ...], verdict: Verdict, exit_code: ExitCode
) -> None:
    run = timeline() if sound else timeline(ROWS[1:])
    judgement = judge(measure(run, SLO, Criteria()), results)
    assert (judgement.verdict, judgement.exit_code) == (verdict, exit_code)
    assert judgement.assertions == results
    assert bool(judgement.reasons) is not sound
