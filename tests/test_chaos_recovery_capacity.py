import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chaos.events import Event
from chaos.measuring.capacity_recovery import capacity_recovery
from chaos.measuring.columns import columns
from chaos.measuring.evidence import evidence
from chaos.measuring.objectives import Objectives
from chaos.measuring.phases import fault_end_s, phases
from chaos.measuring.recovery_time import Criteria, Status
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import Row

# Two replicas, of which r0 is killed at the fault and replaced by r2.

FAULT_S = 20.0
PLAN_END_S = 50.0
SLO = Objectives(ttft_s=0.1, e2e_s=1.0)
CRITERIA = Criteria(goodput=0.95, error_ratio=0.02, window_s=2.0, hold_s=5.0, within_s=25.0)
KILL = FaultWindow("kill", "pod-kill", "exact", FAULT_S, None, ("r0",), 2, verified=True, id="kill#1")
UP = (Event(-2.0, "replica_ready", "r0"), Event(-2.0, "replica_ready", "r1"))
KILLED = (*UP, Event(FAULT_S, "replica_killed", "r0"), Event(FAULT_S + 0.5, "replica_created", "r2"))
READY = Event(FAULT_S + 4.0, "replica_ready", "r2")


def timeline(rows: Sequence[Row], *events: Event, faults: tuple[FaultWindow, ...] = (KILL,)) -> Timeline:
    return Timeline(columns(rows), events, len(rows), 5.0, PLAN_END_S, wanted_replicas=2, faults=faults)


def served(*answers: tuple[str, float]) -> list[Row]:
    return [
        Row(index, at_s - 0.1, "ok", at_s - 0.1, token_s=(at_s,), ended_s=at_s, replica=replica)
        for index, (replica, at_s) in enumerate(answers)
    ]


BOTH_SERVE = served(("r1", 3.0), ("r1", 21.0), ("r2", 24.75), ("r2", 30.0))


@pytest.mark.parametrize(
    ("events", "rows", "status", "value_s", "reason"),
    [
        pytest.param(UP, BOTH_SERVE, Status.NO_IMPACT, 0.0, "", id="no replica was lost"),
        pytest.param((*KILLED, READY), BOTH_SERVE, Status.RECOVERED, 4.75, "", id="ready, then serving"),
        pytest.param(
            (*KILLED, READY), served(("r1", 3.0)), Status.NOT_RECOVERED, math.inf, "no request: r2", id="idle"
        ),
        pytest.param((*KILLED, READY), [], Status.UNKNOWN, None, "no row names", id="nobody is named"),
        pytest.param(KILLED, BOTH_SERVE, Status.NOT_RECOVERED, math.inf, "1 of 2", id="never ready"),
        pytest.param((), BOTH_SERVE, Status.UNKNOWN, None, "no event tells", id="readiness unknown"),
        pytest.param(
            (*KILLED, READY, Event(26.0, "replica_unready", "r2"), Event(29.5, "replica_ready", "r2")),
            BOTH_SERVE,
            Status.RECOVERED,
            9.5,
            "",
            id="a flap restarts the clock",
        ),
        pytest.param(
            (*KILLED, READY, Event(40.0, "replica_killed", "r1")),
            BOTH_SERVE,
            Status.RECOVERED,
            4.75,
            "",
            id="a later loss is not this recovery",
        ),
        pytest.param(
            (*KILLED, READY, Event(40.0, "replica_restarted", "r2")),
            BOTH_SERVE,
            Status.RECOVERED,
            4.75,
            "",
            id="nor is a later restart of the replacement",
        ),
        pytest.param(
            (*KILLED, Event(47.0, "replica_ready", "r2")),
            BOTH_SERVE,
            Status.UNKNOWN,
            None,
            "before a hold",
            id="late",
        ),
        pytest.param(
            (*KILLED, READY),
            served(("r1", 3.0), ("r2", 49.0)),
            Status.NOT_RECOVERED,
            math.inf,
            "only after 29.000 s",
            id="served later than within",
        ),
        pytest.param(
            (
                *KILLED,
                Event(22.0, "replica_gone", "r2"),
                Event(22.0, "replica_created", "r3"),
                Event(25.0, "replica_ready", "r3"),
            ),
            served(("r1", 3.0), ("r3", 25.5)),
            Status.RECOVERED,
            5.5,
            "",
            id="a replacement that died itself need not serve",
        ),
    ],
)
def test_capacity_recovery_worked_out_by_hand(
    events: tuple[Event, ...], rows: list[Row], status: Status, value_s: float | None, reason: str
) -> None:
    found = capacity_recovery(timeline(rows, *events), CRITERIA)
    assert found.status is status
    assert found.value_s == (value_s if value_s is None else pytest.approx(value_s))
    assert reason in (found.reason or "")
    assert (found.reason is None) is (status in (Status.RECOVERED, Status.NO_IMPACT))


def test_what_a_dead_incarnation_answered_does_not_count_for_its_replacement_of_the_same_name() -> None:
    events = (
        *UP,
        Event(20.0, "replica_killed", "r0"),
        Event(20.2, "replica_restarted", "r0"),
        Event(23.0, "replica_ready", "r0"),
    )
    rows = served(("r0", 19.0), ("r0", 20.1), ("r0", 23.4))
    assert capacity_recovery(timeline(rows, *events), CRITERIA).value_s == pytest.approx(3.4)


@pytest.mark.parametrize(
    ("faults", "events", "end_s"),
    [
        pytest.param((KILL,), (*KILLED, READY), 24.75, id="one-shot: until capacity has recovered"),
        pytest.param((KILL,), KILLED, PLAN_END_S, id="one-shot: never recovered"),
        pytest.param((KILL,), (), PLAN_END_S, id="one-shot: unknown"),
        pytest.param((replace(KILL, ended_s=30.0),), (*KILLED, READY), 30.0, id="lasting: its own end"),
        pytest.param((KILL, replace(KILL, ended_s=30.0)), (*KILLED, READY), 30.0, id="the later of two"),
        pytest.param((replace(KILL, ended_s=90.0),), (), PLAN_END_S, id="not beyond the plan"),
    ],
)
def test_the_fault_phase_ends_when_the_disturbance_does(
    faults: tuple[FaultWindow, ...], events: tuple[Event, ...], end_s: float
) -> None:
    run = timeline(BOTH_SERVE, *events, faults=faults)
    assert fault_end_s(run, CRITERIA) == pytest.approx(end_s)
    baseline, fault, *occurrences, recovery = phases(run, evidence(run, SLO), CRITERIA)
    assert [each.of_occurrence for each in occurrences] == [each.id for each in faults]
    assert max(each.end_s for each in occurrences) == fault.end_s
    assert (baseline.start_s, baseline.end_s) == (5.0, FAULT_S)
    assert (fault.start_s, fault.end_s) == (FAULT_S, recovery.start_s)
    assert recovery.end_s == PLAN_END_S


def test_without_a_fault_everything_after_the_warm_up_is_baseline() -> None:
    run = timeline(BOTH_SERVE, faults=())
    (baseline,) = phases(run, evidence(run, SLO), CRITERIA)
    assert (baseline.name, baseline.start_s, baseline.end_s) == ("baseline", 5.0, PLAN_END_S)
