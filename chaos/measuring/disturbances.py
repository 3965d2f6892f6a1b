"""Disturbances: every stretch in which the service was worse than it usually is, whoever caused it, and its end.

Found in the rows alone, with the windows and the hold of service recovery. Defined in docs/measurement.md.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median
from typing import Literal

from chaos.measuring.recovery import Criteria, phases
from chaos.measuring.slis import Objectives, good_count, observed_until_s
from chaos.measuring.timeline import Timeline
from chaos.measuring.windows import (
    MICROSECONDS,
    Hold,
    Tolerance,
    Traffic,
    failing_stretches,
    gap_around_us,
    has_empty_window,
    microseconds,
    next_hold,
    traffic,
)
from loadtests.rows import Row

SLOW = "slow"
"""What an arrival was that was answered, but not within the objectives."""
_FINEST_US = 1_000


@dataclass(frozen=True, slots=True)
class Level:
    """How good the service is when nothing disturbs it."""

    goodput: float
    """Good per planned arrivals, 0..1."""
    source: Literal["baseline", "median", "objective"]
    """The baseline; without one the median of all windows; where that is too low to be healthy, what was asked for."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One stretch from the first request that went wrong to the first full hold of passing windows."""

    start_s: float
    """When the first of its bad requests failed; of one that was slow, when it was planned."""
    ended_s: float | None
    """The good arrival from which every window of a full hold passes; None when no such hold was seen."""
    good_again_s: float | None
    """Where a hold begins that the end of the observation cut short."""
    length_s: float
    """Up to its end, or for as long as it was observed."""
    resolution_s: float
    """Largest gap between the arrivals around its start and its end: it is known no finer."""
    arrivals: int
    """Planned in it, and those planned before it that failed in it."""
    bad: int
    """Those of them that were not good."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """What became of the bad ones: failures by outcome, and `slow`; the most frequent first."""


@dataclass(frozen=True, slots=True)
class Disturbances:
    """All disturbances of one run, in order."""

    found: tuple[Disturbance, ...] = ()
    level: Level | None = None
    reason: str | None = None
    """Why they could not be looked for; `found` then says nothing."""


def disturbances(timeline: Timeline, objectives: Objectives, criteria: Criteria) -> Disturbances:
    """Every disturbance from the end of the warm-up on; never fails for lack of data, which is a reason."""
    start_s, end_s = timeline.warmup_s, observed_until_s(timeline, objectives)
    if end_s - start_s < criteria.window_s:
        observed_s = max(0.0, end_s - start_s)
        return Disturbances(
            reason=f"observed for {observed_s:.3f} s, less than a window of {criteria.window_s:g} s"
        )
    seen = traffic(timeline, objectives, start_s, end_s)
    if has_empty_window(seen, microseconds(criteria.window_s)):
        return Disturbances(
            reason=f"a window of {criteria.window_s:g} s has no planned arrival: widen it, or raise the rate"
        )
    level = _level(timeline, objectives, criteria, seen)
    tolerance = Tolerance(
        microseconds(criteria.window_s), criteria.goodput * level.goodput, criteria.error_ratio
    )
    search = _Search(
        seen, tolerance, microseconds(criteria.hold_s), timeline, [*timeline.between(start_s, end_s)]
    )
    return Disturbances(tuple(search.all()), level)


def _level(timeline: Timeline, objectives: Objectives, criteria: Criteria, seen: Traffic) -> Level:
    """The baseline's goodput where there is a fault to have a baseline before, else the median window's."""
    if timeline.fault_start_s is not None:
        baseline = timeline.within(phases(timeline, objectives, criteria)[0])
        good = good_count(baseline, objectives)
        if good:
            return Level(good / len(baseline), "baseline")
    usual = median(_window_goodputs(seen, microseconds(criteria.window_s)))
    # What misses the objectives most of the time has no healthy level of its own: it is held to what was asked for.
    return Level(usual, "median") if usual >= criteria.goodput else Level(1.0, "objective")


def _window_goodputs(seen: Traffic, window_us: int) -> Iterator[float]:
    """Goodput of one window after the other, none overlapping, none empty."""
    good = (0, *accumulate(seen.good))
    for start_us in range(seen.start_us, seen.end_us - window_us + 1, window_us):
        first, beyond = _between(seen.arrivals_us, start_us, start_us + window_us)
        yield (good[beyond] - good[first]) / (beyond - first)


def _between(instants_us: Sequence[int], start_us: int, end_us: int) -> tuple[int, int]:
    """Which of ascending instants lie in [start, end): the first, and the one after the last."""
    return bisect_left(instants_us, start_us), bisect_left(instants_us, end_us)


@dataclass(frozen=True, slots=True)
class _Onset:
    at_us: int
    from_us: int
    """Where the first affected request was planned; before `at_us` where it was in flight then."""


@dataclass(frozen=True, slots=True)
class _Search:
    """One pass over the failing windows, from each disturbance to the next."""

    seen: Traffic
    tolerance: Tolerance
    hold_us: int
    timeline: Timeline
    rows: Sequence[Row]
    """Beside each arrival of `seen`."""

    def all(self) -> Iterator[Disturbance]:
        failing = failing_stretches(self.seen, self.tolerance)
        until_us = [stretch.until_us for stretch in failing]
        next_failing = 0
        while next_failing < len(failing):
            first = failing[next_failing]
            onset = self._onset(first.after_us + 1)
            # Not before its own first bad request: a window that has shed an older one may pass for a moment.
            earliest_us = max(first.until_us, onset.from_us) + 1
            hold = next_hold(self.seen, failing, self.tolerance.window_us, self.hold_us, earliest_us)
            yield self._told(onset, hold)
            if hold.begins_us is None:
                return
            next_failing = bisect_left(until_us, hold.begins_us)

    def _onset(self, window_us: int) -> _Onset:
        """When it went wrong in the first window that fails, which begins long before that."""
        seen, end_us = self.seen, window_us + self.tolerance.window_us
        first, beyond = _between(seen.arrivals_us, window_us, end_us)
        needed, good = self.tolerance.goodput, seen.good[first:beyond]
        if sum(good) < needed * len(good):
            change = first + _change_point([is_one - needed for is_one in good])
            bad = [index for index in range(change, beyond) if not seen.good[index]]
            return _Onset(min(self._went_bad_us(index) for index in bad), seen.arrivals_us[bad[0]])
        # Only failures of requests that were planned earlier make it fail.
        failed_from, failed_to = _between(seen.failures_us, window_us, end_us)
        events = sorted(
            [(at_us, self.tolerance.error_ratio) for at_us in seen.arrivals_us[first:beyond]]
            + [(at_us, -1.0) for at_us in seen.failures_us[failed_from:failed_to]]
        )
        change = _change_point([weight for _, weight in events])
        at_us = next(at_us for at_us, weight in events[change:] if weight < 0)
        return _Onset(at_us, at_us)

    def _went_bad_us(self, index: int) -> int:
        row = self.rows[index]
        return microseconds(row.intended_s if row.failed_at_s is None else row.failed_at_s)

    def _told(self, onset: _Onset, hold: Hold) -> Disturbance:
        seen = self.seen
        end_us = seen.end_us if hold.begins_us is None else hold.begins_us
        if onset.at_us >= end_us:  # its requests failed long after others were good again
            onset = _Onset(onset.from_us, onset.from_us)
        affected = [*self._affected(onset, end_us)]
        bad = Counter(outcome for outcome in affected if outcome is not None)
        asked_us = seen.arrivals_us[max(0, bisect_right(seen.arrivals_us, onset.from_us) - 1)]
        around = (asked_us,) if hold.begins_us is None else (asked_us, hold.begins_us)
        return Disturbance(
            start_s=onset.at_us / MICROSECONDS,
            ended_s=_seconds(hold.begins_us),
            good_again_s=_seconds(self._good_again_us(onset, hold)),
            length_s=(end_us - onset.at_us) / MICROSECONDS,
            resolution_s=max(_FINEST_US, *(gap_around_us(seen, at_us) for at_us in around)) / MICROSECONDS,
            arrivals=len(affected),
            bad=bad.total(),
            outcomes=dict(bad.most_common()),
        )

    def _good_again_us(self, onset: _Onset, hold: Hold) -> int | None:
        """The good arrival from which all that is left passes, where that is less than a hold."""
        seen = self.seen
        for at_us in seen.good_arrivals_us:
            if hold.cut_short_us is None or at_us < max(hold.cut_short_us, onset.from_us):
                continue
            first, failed = bisect_left(seen.arrivals_us, at_us), bisect_left(seen.failures_us, at_us)
            planned = len(seen.arrivals_us) - first
            failures = len(seen.failures_us) - failed
            good = sum(seen.good[first:])
            if good >= self.tolerance.goodput * planned and failures <= self.tolerance.error_ratio * planned:
                return at_us
        return None

    def _affected(self, onset: _Onset, end_us: int) -> Iterator[str | None]:
        """What became of each request of the disturbance; None for a good one."""
        first, beyond = _between(self.seen.arrivals_us, onset.from_us, end_us)
        for row, good in zip(self.rows[first:beyond], self.seen.good[first:beyond], strict=True):
            yield None if good else SLOW if row.ok else row.outcome
        planned_before = self.timeline.between(0.0, onset.from_us / MICROSECONDS)
        yield from _failed_between(planned_before, onset.at_us, end_us)


def _failed_between(rows: Iterable[Row], start_us: int, end_us: int) -> Iterator[str]:
    for row in rows:
        if row.failed_at_s is not None and start_us <= microseconds(row.failed_at_s) < end_us:
            yield row.outcome


def _change_point(weights: Sequence[float]) -> int:
    """After how many of these their running sum is largest, the later of equals: from there on it falls."""
    sums = [0.0, *accumulate(weights)]
    return max(range(len(sums)), key=lambda taken: (sums[taken], taken))


def _seconds(at_us: int | None) -> float | None:
    return None if at_us is None else at_us / MICROSECONDS
