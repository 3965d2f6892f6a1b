"""When the cluster knew of a fault: by signs of its own, never by the injector's word."""

import math
from dataclasses import replace
from typing import Any

import pytest

from chaos.events import Event
from chaos.measuring.detection import UNNOTICED, detection, slowest
from chaos.measuring.timeline import FaultWindow, Timeline
from tests.support.killed_run import measured

GRAY = FaultWindow(
    "gray", "EngineChaos", "exact", 40.0, 50.0, ("r0",), 2, verified=True, id="gray#1", lasts=True
)


def seen(*events: Event, faults: tuple[FaultWindow, ...] = (GRAY,)) -> Timeline:
    return replace(measured([]).timeline, events=events, faults=faults, wanted_replicas=2)


def event(at_s: float, kind: str, replica: str = "r0", **detail: Any) -> Event:
    return Event(at_s, kind, replica, detail)


@pytest.mark.parametrize(
    ("sign", "said"),
    [
        (
            event(43.5, "replica_unready", why="readiness probe: timed out"),
            "r0: no longer ready: readiness probe",
        ),
        (event(43.5, "replica_unready", why="gray#1"), "r0: it was deleted"),
        (event(43.5, "replica_killed", reason="liveness probe: 503"), "r0: killed: liveness probe: 503"),
        (event(43.5, "replica_gone", how="signal 9"), "r0: its process was gone: signal 9"),
    ],
)
def test_the_first_sign_is_when_the_cluster_knew(sign: Event, said: str) -> None:
    found = detection(seen(event(45.0, "replica_gone", how="later"), sign), GRAY)
    assert found is not None
    assert found.after_s == 3.5
    assert found.sign.startswith(said)


@pytest.mark.parametrize(
    "no_sign",
    [
        event(39.9, "replica_unready", why="before"),
        event(41.0, "replica_unready", "r1", why="another one"),
        event(41.0, "replica_killed", reason="gray#1"),
        event(50.1, "replica_unready", why="after its end"),
        event(41.0, "replica_ready"),
    ],
    ids=["before", "of a bystander", "the injector's own", "after its end", "good news"],
)
def test_what_is_no_sign_of_this_fault(no_sign: Event) -> None:
    assert detection(seen(no_sign), GRAY) is None
    assert slowest(seen(no_sign)) == (math.inf, UNNOTICED)


def test_of_several_faults_the_slowest_counts_and_one_unnoticed_is_never() -> None:
    other = replace(GRAY, id="other#1", targets=("r1",), started_s=50.0, ended_s=None)
    first, second = event(40.5, "replica_gone", how="x"), event(53.0, "replica_unready", "r1", why="y")
    assert slowest(seen(first, second, faults=(GRAY, other))) == (3.0, "r1: no longer ready: y")
    assert slowest(seen(first, faults=(GRAY, other)))[0] == math.inf
    assert slowest(seen(faults=()))[0] is None
    assert slowest(replace(seen(first), wanted_replicas=0))[0] is None
