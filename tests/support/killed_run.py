"""A made-up run with a kill at 40 s: 340 arrivals in the baseline, 43 in the fault and 157 in the recovery phase.

Ten arrivals a second with three tokens each; goodput is back at 42 s, capacity at 44.26 s.
"""

from collections.abc import Sequence

from chaos.events import Event
from chaos.measuring.columns import columns
from chaos.measuring.measurements import Measurements, measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import Row

FAULT = FaultWindow("kill", "pod-kill", "exact", 40.0, None, ("r0",), 2, verified=True, id="kill#1")
LIFE = (
    Event(-1.0, "replica_ready", "r0"),
    Event(-1.0, "replica_ready", "r1"),
    Event(40.0, "replica_killed", "r0"),
    Event(40.2, "replica_created", "r2"),
    Event(44.0, "replica_ready", "r2"),
)


def row(index: int, intended_s: float, outcome: str = "ok", ttft_s: float = 0.1) -> Row:
    first_s = intended_s + ttft_s
    return Row(
        index=index,
        intended_s=intended_s,
        outcome=outcome,
        dispatched_s=intended_s + 0.002,
        token_s=(first_s, first_s + 0.02, first_s + 0.06) if outcome == "ok" else (),
        ended_s=first_s + 0.06 if outcome == "ok" else intended_s + 0.01,
        output_tokens=3,
        replica="r2" if intended_s > 44 else "r1",
    )


def rows_of_a_kill() -> list[Row]:
    """Ten a second; everything fails for 2 s after the kill; one baseline arrival is slow."""
    instants_s = [index / 10 for index in range(600)]
    return [
        row(index, at_s, "http_503" if 40 <= at_s < 42 else "ok", 0.3 if index == 150 else 0.1)
        for index, at_s in enumerate(instants_s)
    ]


def measured(rows: Sequence[Row], *events: Event, faults: tuple[FaultWindow, ...] = (FAULT,)) -> Measurements:
    run = Timeline(columns(rows), events, len(rows), 5.0, 60.0, wanted_replicas=2, faults=faults)
    return measure(run, Objectives(0.5, 1.0), Criteria(window_s=2.0, hold_s=5.0, within_s=12.0))
