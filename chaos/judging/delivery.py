"""Whether rows are an account of their plan: the arrivals that it has, at its instants, with stamps that can be.

A run writes both files itself, so whatever is found here is a mistake of ours, or somebody has been at the files. Rows
whose intended starts were moved to where requests really left are the classic one: all latencies become those of a
closed loop, and nothing else in the rows shows it.
"""

from collections.abc import Iterator

import numpy as np

from chaos.measuring.columns import Columns, Flags, Floats
from chaos.record.plan_file import PlannedInstants
from loadtests.turns import starts_s

TOLERANCE_S = 0.001
"""Of stamps against each other: rounding, and timers that ring by a clock of a millisecond's grain."""
_WRITTEN_S = 1.5e-6
"""Of an intended start against the plan: rows are written in whole microseconds."""


def check(
    plan: PlannedInstants, rows: Columns, plan_sha256: str | None = None, tolerance_s: float = TOLERANCE_S
) -> Iterator[str]:
    """What cannot be, one sentence each; nothing where rows and plan agree.

    Args:
        plan: of the run's `plan.jsonl`.
        rows: what became of it, in any number: arrivals without a row are another matter.
        plan_sha256: the plan that the load says it played; None where it said nothing.
        tolerance_s: by how much stamps may be in the wrong order, such as how well several hosts' clocks are known.
    """
    if plan_sha256 is not None and plan_sha256 != plan.sha256:
        yield f"the load played another plan ({plan_sha256[:12]}) than the one on record ({plan.sha256[:12]})"
    planned = (rows.index >= 0) & (rows.index < len(plan.offsets_s))
    yield from _told(rows, ~planned, "is of no planned arrival", "are of no planned arrival")
    repeated = np.ones(len(rows), dtype=bool)
    repeated[np.unique(rows.index, return_index=True)[1]] = False
    yield from _told(rows, repeated, "is a second one of its arrival", "are second ones of their arrivals")
    moved = planned & _moved(plan, rows, planned)
    yield from _told(
        rows, moved, "has another intended start than the plan", "have other intended starts than the plan"
    )
    for flags, one, several in _impossible(rows, tolerance_s):
        yield from _told(rows, flags, one, several)


def _moved(plan: PlannedInstants, rows: Columns, planned: Flags) -> Flags:
    """Rows that start elsewhere than planned; a turn of a session is planned for some time after the one before."""
    places = np.where(planned, rows.index, 0)
    said_s, ended_s = np.full((2, len(plan.offsets_s)), np.nan)
    said_s[places[planned]], ended_s[places[planned]] = rows.intended_s[planned], rows.ended_s[planned]
    if not len(said_s):
        return ~planned
    starts = plan.offsets_s if plan.sessions is None else starts_s(plan.sessions, said_s, ended_s)
    at_s = starts[places]
    agrees: Flags = np.less_equal(np.abs(rows.intended_s - at_s), _WRITTEN_S)  # never of what is no number
    turns = np.zeros(len(plan.offsets_s), dtype=bool)
    turns[plan.waiting] = True
    # A turn that never left, or whose forerunner has no row, may say any instant that it could have had.
    free = turns[places] & (np.isnan(rows.dispatched_s) | np.isnan(at_s))
    possible: Flags = free & (rows.intended_s >= plan.offsets_s[places] - _WRITTEN_S)
    return ~(agrees | possible)


def _impossible(rows: Columns, tolerance_s: float) -> Iterator[tuple[Flags, str, str]]:
    """Rows whose stamps contradict each other; a stamp that was never reached is NaN, and contradicts nothing."""
    first_s, last_s = rows.first_token_s, rows.last_token_s
    orders: tuple[tuple[Floats, Floats, str], ...] = (
        (rows.intended_s, rows.dispatched_s, "left before its instant"),
        (rows.dispatched_s, rows.sent_s, "was sent before it left"),
        (rows.sent_s, first_s, "had a token before it was sent"),
        (first_s, last_s, "had its last token before its first"),
        (last_s, rows.ended_s, "ended before its last token"),
        (rows.dispatched_s, rows.ended_s, "ended before it left"),
    )
    for earlier_s, later_s, what in orders:
        yield later_s < earlier_s - tolerance_s, what, what
    unended = rows.ok & (np.isnan(rows.dispatched_s) | np.isnan(rows.sent_s) | np.isnan(rows.ended_s))
    yield unended, "is ok without having been sent and ended", "are ok without having been sent and ended"
    infinite = (
        np.isinf(rows.dispatched_s) | np.isinf(rows.sent_s) | np.isinf(rows.ended_s) | np.isinf(first_s)
    )
    yield infinite, "has an infinite stamp", "have infinite stamps"
    untimed = ~np.isfinite(rows.intended_s)
    yield untimed, "has no intended start", "have no intended start"


def _told(rows: Columns, flags: Flags, one: str, several: str) -> Iterator[str]:
    places = np.flatnonzero(flags)
    if len(places) == 1:
        yield f"row {rows.index[places[0]]} {one}"
    elif len(places):
        yield f"{len(places)} rows {several}, the first is row {rows.index[places[0]]}"
