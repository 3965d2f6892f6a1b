"""Disturbances: every stretch in which the service was worse than it usually is, whoever caused it, and its end.

Found in the rows alone, by the scan and the hold of service recovery. Defined in docs/measurement.md.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from chaos.measuring import scan
from chaos.measuring.baseline import Levels, levels
from chaos.measuring.columns import Flags, Floats, Ints
from chaos.measuring.evidence import Evidence, observed_until_s
from chaos.measuring.objectives import Objectives
from chaos.measuring.phases import phases
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.scan import Stretch
from chaos.measuring.timeline import Timeline
from loadtests.rows import OUTCOMES

SLOW = "slow"
"""What an arrival was that was answered, but not within the objectives."""
_FINEST_S = 0.001


@dataclass(frozen=True, slots=True)
class Usual:
    """How good the service is when nothing disturbs it."""

    goodput: float
    """Good per planned arrivals, 0..1."""
    source: Literal["baseline", "median", "objective"]
    """The baseline; without one the median of all windows; where that is too low to be healthy, what was asked for."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One stretch from the first request that went wrong to the first of a full hold that is as good as usual."""

    start_s: float
    """When the first of its bad requests failed; of one that was slow, when it was planned."""
    ended_s: float | None
    """The good arrival that a full hold without a disturbance follows; None when no such hold was seen."""
    good_again_s: float | None
    """The good arrival behind it where the end of the observation cut that hold short."""
    length_s: float
    """Up to its end, or for as long as it was observed."""
    length_interval_s: tuple[float, float]
    """At least and at most so long, with at least 95 % confidence; +inf where no end is proved."""
    resolution_s: float
    """Largest gap between the arrivals around its start and its end: it is known no finer."""
    arrivals: int
    """Requests that count in it."""
    bad: int
    """Those of them that were not good."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """What became of the bad ones: failures by outcome, and `slow`; the most frequent first."""


@dataclass(frozen=True, slots=True)
class Disturbances:
    """All disturbances of one run, in order."""

    found: tuple[Disturbance, ...] = ()
    level: Usual | None = None
    reason: str | None = None
    """Why they could not be looked for; `found` then says nothing."""


def disturbances(
    timeline: Timeline, found: Evidence, objectives: Objectives, criteria: Criteria
) -> Disturbances:
    """Every disturbance from the end of the warm-up on; never fails for lack of data, which is a reason."""
    start_s, end_s = timeline.warmup_s, observed_until_s(timeline, objectives)
    if end_s - start_s < criteria.window_s:
        observed_s = max(0.0, end_s - start_s)
        return Disturbances(
            reason=f"observed for {observed_s:.3f} s, less than a window of {criteria.window_s:g} s"
        )
    places = found.between(start_s, end_s)
    if not len(places):
        return Disturbances(reason="no request was planned after the warm-up")
    usual, held_to = _usual(timeline, found, criteria, places, (start_s, end_s))
    if held_to.bad.threshold(len(places)) is None:
        return Disturbances(reason=f"{len(places)} requests cannot tell noise from a disturbance")
    merged = _apart(found, places, held_to, criteria.hold_s)
    search = _Search(found, places, held_to, end_s, criteria.hold_s)
    return Disturbances(tuple(search.all(merged)), usual)


def _usual(
    timeline: Timeline, found: Evidence, criteria: Criteria, places: Ints, observed_s: tuple[float, float]
) -> tuple[Usual, Levels]:
    """The baseline's goodput where there is a fault to have a baseline before, else the median window's."""
    if timeline.fault_start_s is not None:
        baseline = found.within(phases(timeline, found, criteria)[0])
        held_to = levels(found, baseline, criteria)
        if len(baseline) and held_to.bad.threshold(len(places)) is not None:
            return Usual(1 - held_to.bad.noise.share, "baseline"), held_to
    median = _median_goodput(found, places, observed_s, criteria.window_s)
    # What misses the objectives most of the time has no healthy level of its own: it is held to what was asked for.
    usual = Usual(median, "median") if median >= criteria.goodput else Usual(1.0, "objective")
    held_to = levels(found, places, criteria, usual.goodput)
    if usual.source == "objective" or held_to.bad.threshold(len(places)) is None:
        return usual, held_to
    # The noise is what is left beside the disturbances: windows that are all good do not say that there is none.
    disturbed = np.zeros(len(places), dtype=bool)
    for stretch in _apart(found, places, held_to, criteria.hold_s):
        disturbed[stretch.first : stretch.last + 1] = True
    quiet = levels(found, places[~disturbed], criteria)
    return usual, quiet if quiet.bad.threshold(len(places)) is not None else held_to


def _median_goodput(found: Evidence, places: Ints, observed_s: tuple[float, float], window_s: float) -> float:
    """Of one window after the other; of those that hold a request."""
    start_s, end_s = observed_s
    window = ((found.at_s[places] - start_s) / window_s).astype(np.int64)
    whole = max(1, int((end_s - start_s) / window_s))
    planned = np.bincount(window, minlength=whole)[:whole]
    good = np.bincount(window, weights=found.good[places], minlength=whole)[:whole]
    return float(np.median((good[planned > 0]) / planned[planned > 0])) if np.any(planned) else 0.0


def _apart(found: Evidence, places: Ints, held_to: Levels, hold_s: float) -> list[Stretch]:
    """The disturbed stretches, those less than a hold apart as one."""
    at_s, n = found.at_s[places], len(places)
    known = ~found.unknown[places]
    kinds = [(held_to.bad, ~found.good[places] & known)]
    if held_to.failed is not None:
        kinds.append((held_to.failed, found.failed[places] & known))
    ascending: list[Stretch] = []
    for level, flags in kinds:
        ascending += level.disturbed(flags, at_s, hold_s)
    merged: list[Stretch] = []
    for each in sorted(ascending, key=lambda stretch: (stretch.first, stretch.last)):
        if merged and at_s[each.first] - at_s[min(merged[-1].last + 1, n - 1)] < hold_s:
            merged[-1] = Stretch(merged[-1].first, max(merged[-1].last, each.last))
        else:
            merged.append(each)
    return merged


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """From stretches of requests to disturbances."""

    found: Evidence
    places: Ints
    """Of the requests that were looked at, in the order of their instants."""
    held_to: Levels
    end_s: float
    hold_s: float

    @property
    def at_s(self) -> Floats:
        return self.found.at_s[self.places]

    def all(self, stretches: Sequence[Stretch]) -> Iterator[Disturbance]:
        beyond = [each.first for each in stretches[1:]]
        for stretch, next_first in zip(stretches, [*beyond, len(self.places)], strict=False):
            yield self._disturbance(stretch, next_first)

    def _disturbance(self, stretch: Stretch, next_first: int) -> Disturbance:
        at_s, after = self.at_s, stretch.last + 1
        back_s = float(at_s[after]) if after < len(at_s) else None
        held = back_s is not None and back_s + self.hold_s <= self.end_s
        inside = self.places[stretch.first : after]
        bad = inside[~self.found.good[inside]]
        start_s = min(float(np.min(self._went_bad_s(bad))), back_s or math.inf)
        end_s = back_s if held and back_s is not None else self.end_s
        return Disturbance(
            start_s=start_s,
            ended_s=back_s if held else None,
            good_again_s=None if held else back_s,
            length_s=max(0.0, end_s - start_s),
            length_interval_s=self._length_interval_s(stretch, start_s, next_first),
            resolution_s=max(_FINEST_S, self._gap_s(stretch.first), self._gap_s(after)),
            arrivals=len(inside),
            bad=len(bad),
            outcomes=self._outcomes(bad),
        )

    def _went_bad_s(self, bad: Ints) -> Floats:
        rows = self.found.rows
        failed_s = rows.failed_at_s[bad]
        return np.where(np.isnan(failed_s), rows.intended_s[bad], failed_s)

    def _outcomes(self, bad: Ints) -> dict[str, int]:
        rows = self.found.rows
        names = [SLOW if rows.ok[place] else OUTCOMES[rows.outcome[place]] for place in bad]
        return dict(Counter(names).most_common())

    def _length_interval_s(self, stretch: Stretch, start_s: float, next_first: int) -> tuple[float, float]:
        bad: Flags = ~self.found.good[self.places[:next_first]]
        tolerated = self.held_to.bad.tolerated
        least = self.held_to.bad.threshold(len(self.places)) or 0.0
        earliest = scan.earliest_end(bad, stretch, tolerated, least)
        proved = scan.proved_from(bad, stretch.last, tolerated)
        before_s = float(self.at_s[stretch.first - 1]) if stretch.first else start_s
        low_s = float(self.at_s[max(earliest, 0)]) - start_s
        high_s = float(self.at_s[proved]) - before_s if proved < next_first else math.inf
        return max(0.0, low_s), high_s

    def _gap_s(self, place: int) -> float:
        """Between the request at this place and the one before."""
        if not 0 < place < len(self.places):
            return 0.0
        return float(self.at_s[place] - self.at_s[place - 1])
