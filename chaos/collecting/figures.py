"""The figures of the load that conditions and guards are about, from the rows that have ended so far."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from chaos.measuring.objectives import Objectives, is_good
from chaos.measuring.quantiles import quantile
from loadtests.rows import Row

_KEPT_S = 60.0


class Figures:
    """Follows the rows of a run; every figure is None while nothing is known."""

    def __init__(
        self,
        offsets_s: Sequence[float],
        waiting: frozenset[int],
        objectives: Objectives,
        keep_s: float = _KEPT_S,
    ) -> None:
        """Follow a plan.

        Args:
            offsets_s: when each arrival is planned, ascending, on the run clock.
            waiting: arrivals that wait for others: when they are due is not known, and they are not counted.
            objectives: what makes a request good.
            keep_s: how far a figure may look back.
        """
        self._offsets_s = offsets_s
        self._waiting_s = sorted(offsets_s[index] for index in waiting)
        self._waiting = waiting
        self._objectives = objectives
        self._keep_s = keep_s
        self._ended = 0
        self._recent: deque[Row] = deque()

    def take(self, fresh: Sequence[Row], now_s: float) -> None:
        """Take in what ended since the last time; `now_s` on the run clock."""
        self._ended += sum(row.index not in self._waiting for row in fresh)
        self._recent.extend(sorted((row for row in fresh if row.ended_s is not None), key=_ended_s))
        while self._recent and _ended_s(self._recent[0]) < now_s - self._keep_s:
            self._recent.popleft()

    def value(self, figure: str, over_s: float, now_s: float) -> float | None:
        """`in_flight` now, or `error_ratio`, `goodput` or `ttft_p99` (failures are +inf) of what ended in `over_s`."""
        if figure == "in_flight":
            due = bisect_right(self._offsets_s, now_s) - bisect_right(self._waiting_s, now_s)
            return float(max(0, due - self._ended))
        recent = [row for row in self._recent if _ended_s(row) > now_s - over_s]
        if not recent:
            return None
        if figure == "error_ratio":
            return sum(not row.ok for row in recent) / len(recent)
        if figure == "goodput":
            return sum(is_good(row, self._objectives) for row in recent) / len(recent)
        assert figure == "ttft_p99"
        ttft_s = (row.ttft_s if row.ok and row.ttft_s is not None else math.inf for row in recent)
        return quantile(sorted(ttft_s), 99)


def _ended_s(row: Row) -> float:
    return row.ended_s if row.ended_s is not None else -math.inf
