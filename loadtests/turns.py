"""Which arrival follows which: turns of a session that leave some time after the end of the one before.

That is the part of a load that is not open loop (`loadtests.traffic.sessions`). Its rules:

- A turn's intended start is the end of the turn before plus `think_s`, and its latency runs from there.
- A failed turn ends when it fails, and the session goes on: whoever got no answer asks the next thing. So an outage
  takes nothing out of the plan, and each arrival keeps its own outcome.
- A turn that is not due before the plan's end is not sent: it is `censored`, with an intended start at or after that
  end, so that it is in no phase and no evidence of anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from loadtests.plan import Arrival, Plan
from loadtests.rows import CENSORED, Row

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"


class Turns:
    """The arrivals of one process, by what they wait for."""

    def __init__(self, arrivals: Sequence[Arrival], duration_s: float) -> None:
        """`duration_s` is how long requests leave; arrivals are in order, those of a session all there."""
        self.planned = [arrival for arrival in arrivals if arrival.think_s is None]
        """Those that leave at their instants."""
        self._duration_s = duration_s
        self._waiting: dict[int, Arrival] = {}
        self._not_due = {arrival.index for arrival in arrivals if arrival.think_s is not None}
        latest: dict[int, int] = {}
        for arrival in arrivals:
            if arrival.session is None:
                continue
            if arrival.think_s is not None:
                self._waiting[latest[arrival.session]] = arrival
            latest[arrival.session] = arrival.index

    def after(self, row: Row) -> Arrival | None:
        """What follows a request that has ended, at its instant; None where nothing does before the plan's end."""
        waiting = self._waiting.get(row.index)
        if waiting is None or waiting.think_s is None or row.outcome == CENSORED:
            return None  # what was cut off has no end to wait for
        ended_s = row.intended_s if row.ended_s is None else row.ended_s
        at_s = ended_s + waiting.think_s
        if at_s >= self._duration_s:
            return None
        del self._waiting[row.index]
        self._not_due.discard(waiting.index)
        return replace(waiting, at_s=at_s)

    def never_came_due(self, row: Row) -> bool:
        """Whether this row is of a turn whose instant did not come, by the rows that were told before."""
        return row.index in self._not_due

    def unsent(self) -> Iterator[Row]:
        """A row for each turn that never came due."""
        for arrival in self._waiting.values():
            yield Row(arrival.index, max(arrival.at_s, self._duration_s), CENSORED)
        self._waiting.clear()


def starts_s(plan: Plan, intended_s: Array, ended_s: Array) -> Array:
    """When each arrival of a plan was to leave, by how those before it ended.

    Args:
        plan: what was to be asked.
        intended_s: of each arrival the intended start of its row, by index; NaN where there is no row.
        ended_s: of each arrival when it ended; NaN where it did not, as one that was dropped.

    Returns:
        `at_s`, or for a turn the end of the turn before plus its think time, NaN where that one has no row. A turn that
        was never sent may say any later instant than this.
    """
    found = np.array(plan.offsets_s)
    latest: dict[int, int] = {}
    for arrival in plan.arrivals:
        if arrival.session is None:
            continue
        if arrival.think_s is not None:
            before = latest[arrival.session]
            end_s = intended_s[before] if np.isnan(ended_s[before]) else ended_s[before]
            found[arrival.index] = end_s + arrival.think_s
        latest[arrival.session] = arrival.index
    return found
