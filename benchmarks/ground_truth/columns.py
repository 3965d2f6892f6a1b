"""A simulated run as columns, and as the timeline that the analysis reads."""

from dataclasses import dataclass

import numpy as np

from benchmarks.ground_truth.truth import Floats
from chaos.events import Event
from chaos.measuring.columns import columns as rows_as_columns
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import CLIENT_DROPPED, OK, Row

REPLICAS = 10
REPLACEMENT = "n0"


@dataclass(slots=True)
class Columns:
    """One entry per planned arrival, in order; nan where a stamp was never reached."""

    intended_s: Floats
    dispatched_s: Floats
    first_s: Floats
    """First token."""
    last_s: Floats
    """Last token that was seen: of what failed in mid-stream, the progress before."""
    ended_s: Floats
    outcome: list[str]


@dataclass(frozen=True, slots=True)
class Frame:
    """The times of a run, on its clock."""

    warmup_s: float
    fault_s: float
    end_s: float
    ended_after_s: float | None
    """The fault is undone so long after it started; None for a kill."""
    capacity_after_s: float
    """A kill's replacements are ready so long after it."""


def disturbed_s(columns: Columns, frame: Frame) -> float:
    """From F on: until when the fault lasts, or its kill's replacement has yet to complete a request.

    Ready alone is not serving: that is the definition, so it is what is true.
    """
    if frame.ended_after_s is not None:
        return frame.ended_after_s
    replacement_s = frame.fault_s + frame.capacity_after_s
    served_s = (
        ended_s
        for index, (intended_s, ended_s, outcome) in enumerate(
            zip(columns.intended_s.tolist(), columns.ended_s.tolist(), columns.outcome, strict=True)
        )
        if outcome == OK and _replica(index, intended_s, replacement_s) == REPLACEMENT
    )
    return max(frame.capacity_after_s, min(served_s, default=frame.end_s) - frame.fault_s)


def timeline(columns: Columns, frame: Frame, token_gap_s: float) -> Timeline:
    """What a run folder would be read as. Tokens are at most `token_gap_s` apart."""
    return Timeline(
        rows=rows_as_columns(_rows(columns, frame, token_gap_s)),
        events=_events(frame),
        planned=len(columns.intended_s),
        warmup_s=frame.warmup_s,
        plan_end_s=frame.end_s,
        wanted_replicas=REPLICAS,
        faults=(_fault(frame),),
    )


def _fault(frame: Frame) -> FaultWindow:
    lasts = frame.ended_after_s is not None
    return FaultWindow(
        name="fault",
        kind="network-delay" if lasts else "pod-kill",
        fidelity="exact",
        started_s=frame.fault_s,
        ended_s=None if frame.ended_after_s is None else frame.fault_s + frame.ended_after_s,
        targets=("r0",),
        candidates=REPLICAS,
        verified=True,
        id="fault#1",
        lasts=lasts,
        undone=True if lasts else None,
    )


def _events(frame: Frame) -> tuple[Event, ...]:
    ready = tuple(Event(-1.0, "replica_ready", f"r{number}") for number in range(REPLICAS))
    if frame.ended_after_s is not None:
        return ready
    born_s = frame.fault_s + min(0.2, frame.capacity_after_s / 2)
    return (
        *ready,
        Event(frame.fault_s, "replica_killed", "r0"),
        Event(born_s, "replica_created", REPLACEMENT),
        Event(frame.fault_s + frame.capacity_after_s, "replica_ready", REPLACEMENT),
    )


def _rows(columns: Columns, frame: Frame, token_gap_s: float) -> tuple[Row, ...]:
    stamps = zip(
        columns.intended_s.tolist(),
        columns.dispatched_s.tolist(),
        columns.first_s.tolist(),
        columns.last_s.tolist(),
        columns.ended_s.tolist(),
        columns.outcome,
        strict=True,
    )
    new_s = frame.fault_s + frame.capacity_after_s if frame.ended_after_s is None else frame.end_s
    rows = []
    for index, (intended_s, dispatched_s, first_s, last_s, ended_s, outcome) in enumerate(stamps):
        if outcome == CLIENT_DROPPED:
            rows.append(Row(index, intended_s, outcome))
            continue
        token_s = _tokens(first_s, last_s, token_gap_s)
        rows.append(
            Row(
                index=index,
                intended_s=intended_s,
                outcome=outcome,
                dispatched_s=dispatched_s,
                sent_s=dispatched_s,
                token_s=token_s,
                ended_s=ended_s,
                output_tokens=len(token_s) if outcome == OK else None,
                replica=_replica(index, intended_s, new_s),
            )
        )
    return tuple(rows)


def _replica(index: int, intended_s: float, replacement_s: float) -> str:
    """They take turns, the one that was killed and its replacement that of the first."""
    number = index % REPLICAS
    return REPLACEMENT if number == 0 and intended_s >= replacement_s else f"r{number or 1}"


def _tokens(first_s: float, last_s: float, gap_s: float) -> tuple[float, ...]:
    if first_s != first_s:  # noqa: PLR0124 - nan, without a call
        return ()
    if last_s <= first_s:
        return (first_s,)
    if last_s - first_s <= gap_s:
        return (first_s, last_s)
    return tuple(np.linspace(first_s, last_s, 1 + int(np.ceil((last_s - first_s) / gap_s))).tolist())
