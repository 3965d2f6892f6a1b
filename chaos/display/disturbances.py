"""A disturbance as it goes on: told when it begins and when it seems over, by the rows that ended lately.

For the display alone: the report finds disturbances exactly, once every row is there.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from chaos.display.progress import Progress
from chaos.measuring.disturbances import SLOW
from chaos.measuring.objectives import Objectives, is_good
from chaos.measuring.recovery_time import Criteria
from loadtests.rows import Row

_MOST_OUTCOMES = 3
_SEEMS_OVER_S = 1.0


@dataclass(frozen=True, slots=True)
class _Decided:
    """One request whose fate is known."""

    at_s: float
    """When it became known."""
    went_bad_s: float | None
    """When it failed, or was planned and came to be slow; None for a good one."""
    outcome: str


class DisturbanceWatch:
    """Takes in rows as they end; speaks at the beginning and at the end of each stretch that is not tolerable."""

    def __init__(self, objectives: Objectives, criteria: Criteria, from_s: float, progress: Progress) -> None:
        """Nothing planned before `from_s` on the run clock counts."""
        self._objectives = objectives
        self._criteria = criteria
        self._from_s = from_s
        self._progress = progress
        self._lately: deque[_Decided] = deque()
        self._since_s: float | None = None

    def look(self, fresh: Iterable[Row], now_s: float) -> None:
        """Take in the rows that ended since the last look, and say what is new at `now_s`."""
        decided = [self._decided(row) for row in fresh if row.intended_s >= self._from_s]
        self._lately.extend(sorted(decided, key=lambda each: each.at_s))
        while self._lately and self._lately[0].at_s < now_s - self._criteria.window_s:
            self._lately.popleft()
        bad = [each for each in self._lately if each.went_bad_s is not None]
        if self._since_s is None:
            if len(bad) > (1 - self._criteria.goodput) * len(self._lately):
                self._begin(bad)
        else:
            self._look_for_the_end(self._since_s)
        self._progress.update(disturbed_s=None if self._since_s is None else now_s - self._since_s)

    def _look_for_the_end(self, since_s: float) -> None:
        """It seems over once all was good for a while: not yet a hold, which the report waits for."""
        good = [*takewhile(lambda each: each.went_bad_s is None, reversed(self._lately))]
        if good and good[0].at_s - good[-1].at_s >= _SEEMS_OVER_S:
            back_s = good[-1].at_s
            self._progress.note(f"good again since {back_s:.1f} s, after {back_s - since_s:.1f} s")
            self._since_s = None
            self._lately.clear()  # what was bad has been told

    def _begin(self, bad: list[_Decided]) -> None:
        since_s = min(each.went_bad_s for each in bad if each.went_bad_s is not None)
        self._since_s = since_s
        outcomes = Counter(each.outcome for each in bad).most_common(_MOST_OUTCOMES)
        said = ", ".join(f"{name} {count}" for name, count in outcomes)
        self._progress.note(
            f"disturbed since {since_s:.1f} s: {len(bad)} of the last {len(self._lately)} requests ({said})"
        )

    def _decided(self, row: Row) -> _Decided:
        at_s = row.intended_s if row.ended_s is None else row.ended_s
        if is_good(row, self._objectives):
            return _Decided(at_s, None, row.outcome)
        went_bad_s = row.intended_s if row.failed_at_s is None else row.failed_at_s
        return _Decided(at_s, went_bad_s, SLOW if row.ok else row.outcome)
