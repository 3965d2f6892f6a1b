"""Service recovery: when the service was as good as its baseline again, and for how long that cannot be known finer.

Told in seconds from the start of the first fault, or from the end of the last. Defined in docs/measurement.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chaos.measuring import scan
from chaos.measuring.baseline import Level, Levels, levels
from chaos.measuring.columns import Flags, Floats
from chaos.measuring.evidence import Evidence, observed_until_s
from chaos.measuring.objectives import Objectives
from chaos.measuring.phases import fault_end_s, phases
from chaos.measuring.recovery_time import NOTHING_INJECTED, Criteria, RecoveryTime, Status, never, unknown
from chaos.measuring.scan import Stretch
from chaos.measuring.timeline import Timeline

_LATER_S = 1e-6
"""The precision of rows."""
_EDGE_S = 1e-7
"""Less than the precision of rows, more than the noise of floats: what is on an edge stays on its side."""
_FINEST_S = 0.001
"""No recovery is told more finely than a millisecond."""


def service_recovery(
    timeline: Timeline, found: Evidence, objectives: Objectives, criteria: Criteria
) -> RecoveryTime:
    """From the start of the first fault to the end of what it did to the service; unknown with its reason."""
    start_s, end_s = timeline.fault_start_s, observed_until_s(timeline, objectives)
    if start_s is None:
        return unknown(NOTHING_INJECTED)
    places = found.between(start_s, end_s)
    held_to = levels(found, found.within(phases(timeline, found, criteria)[0]), criteria)
    too_little = _too_little(held_to, len(places), end_s - start_s, criteria)
    if too_little:
        return unknown(too_little)
    search = _Search(
        at_s=found.at_s[places],
        struck=int(np.sum(found.rows.intended_s[places] < start_s)),
        held_to=held_to,
        start_s=start_s,
        disturbed_s=fault_end_s(timeline, criteria),
        end_s=end_s,
        criteria=criteria,
    )
    bad, failed, doubtful = ~found.good[places], found.failed[places], found.unknown[places]
    worst = search.recovery(bad, failed)
    if not np.any(doubtful):
        return worst
    best = search.recovery(bad & ~doubtful, failed & ~doubtful)
    return _between(best, worst, found.at_s[places][doubtful] - start_s, timeline.stalls)


def _too_little(held_to: Levels, requests: int, observed_s: float, criteria: Criteria) -> str | None:
    """Why nothing can be said; None when it can."""
    if observed_s < criteria.hold_s:
        return f"observed for {max(0.0, observed_s):.3f} s, less than a hold of {criteria.hold_s:g} s"
    if not requests:
        return "no request was planned after the fault"
    noise = held_to.bad.noise
    if noise.bad == noise.n:
        return "the baseline has no good arrival to compare with"
    if held_to.bad.threshold(requests) is None:
        return (
            f"a baseline of {noise.n} requests cannot tell noise from an impact: {noise.bad} of them were bad, "
            f"and {held_to.bad.tolerated:.1%} are tolerated"
        )
    return None


def after_end(timeline: Timeline, service: RecoveryTime) -> RecoveryTime | None:
    """The same since the last fault ended; None unless every fault lasts: a one-shot fault has no end."""
    ends_s = [fault.ended_s for fault in timeline.faults if fault.ended_s is not None]
    if not ends_s or len(ends_s) < len(timeline.faults):
        return None
    lasted_s = max(ends_s) - (timeline.fault_start_s or 0.0)
    low_s, high_s = service.interval_s

    def since_end_s(value_s: float | None) -> float | None:
        return None if value_s is None else max(0.0, value_s - lasted_s)

    return replace(
        service,
        value_s=since_end_s(service.value_s),
        interval_s=(max(0.0, low_s - lasted_s), max(0.0, high_s - lasted_s)),
        first_touch_s=since_end_s(service.first_touch_s),
        relapse_s=since_end_s(service.relapse_s),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """One look over the requests from the fault on; seconds of results are since then."""

    at_s: Floats
    struck: int
    """How many of the first ones were in flight when the fault began."""
    held_to: Levels
    start_s: float
    disturbed_s: float
    """When the last fault was over, or capacity was back: until a hold after it every disturbance is the fault's."""
    end_s: float
    criteria: Criteria

    def recovery(self, bad: Flags, failed: Flags) -> RecoveryTime:
        kinds = [(self.held_to.bad, bad), *([(self.held_to.failed, failed)] if self.held_to.failed else [])]
        found = [
            (stretch, level, flags)
            for level, flags in kinds
            for stretch in level.disturbed(flags, self.at_s, self.criteria.hold_s)
        ]
        struck = self._struck(bad)
        if struck is not None:
            found.append((struck, self.held_to.bad, bad))
        found.sort(key=lambda each: (each[0].first, each[0].last))
        members, relapse = self._of_the_fault([stretch for stretch, _, _ in found])
        # Up to another outage; a few bad ones of which nobody knows whether they are one are evidence like all others.
        others = (
            each
            for each in found
            if each[0] not in members and scan.is_certain(each[2], each[0], each[1].tolerated)
        )
        beyond = next((stretch.first for stretch, _, _ in others), len(self.at_s))
        relapse_s = None if relapse is None else self._since_s(relapse.first)
        ends = [each for each in found if each[0] in members]
        low_s, high_s = self._interval(kinds, ends, beyond)
        if math.isinf(high_s) and self._holds(members):
            return self._unproved(members, low_s)
        if not members:
            return RecoveryTime(
                Status.NO_IMPACT,
                0.0,
                (0.0, high_s),
                self._resolution_s(0),
                first_touch_s=0.0,
                relapse_s=relapse_s,
            )
        last = max(stretch.last for stretch in members)
        touch_s = self._first_touch_s(members[0].first, bad)
        return replace(self._status(last, low_s, high_s), first_touch_s=touch_s, relapse_s=relapse_s)

    def _struck(self, bad: Flags) -> Stretch | None:
        """Those that the fault struck in flight, where more of them are bad than noise explains."""
        n, noise = self.struck, self.held_to.bad.noise.prudent_share
        chance = 1 - scan.chance_below(int(np.sum(bad[:n])), n, noise)
        return Stretch(0, n - 1) if n and chance < scan.FALSE_ALARM else None

    def _of_the_fault(self, ascending: Sequence[Stretch]) -> tuple[list[Stretch], Stretch | None]:
        """What belongs to the fault: until a whole hold has passed without; and what came after that."""
        members: list[Stretch] = []
        over_s = self.disturbed_s
        for stretch in ascending:
            if self.at_s[stretch.first] > over_s + self.criteria.hold_s:
                return members, stretch
            members.append(stretch)
            over_s = max(over_s, float(self.at_s[stretch.last]))
        return members, None

    def _interval(
        self,
        kinds: Sequence[tuple[Level, Flags]],
        ends: Sequence[tuple[Stretch, Level, Flags]],
        beyond: int,
    ) -> tuple[float, float]:
        """At least and at most: the latest of what goodput and errors say of the requests before `beyond`."""
        lows_s, lasts = [0.0], dict[int, int]()
        for stretch, level, flags in ends:
            lasts[id(level)] = max(stretch.last, lasts.get(id(level), -1))
            certain = scan.certain_part(flags, stretch, level.tolerated)
            if certain is not None:
                least = level.threshold(len(flags)) or 0.0
                earliest = scan.earliest_end(flags, certain, level.tolerated, least)
                lows_s.append(self._since_s(earliest) if earliest >= 0 else 0.0)
        proved = max(
            scan.proved_from(flags[:beyond], lasts.get(id(level), -1), level.tolerated)
            for level, flags in kinds
        )
        high_s = self._since_s(proved) if proved < beyond else math.inf
        return max(lows_s), high_s if self.start_s + high_s + self.criteria.hold_s <= self.end_s else math.inf

    def _status(self, last: int, low_s: float, high_s: float) -> RecoveryTime:
        criteria, observed_s = self.criteria, min(self.criteria.within_s, self.end_s - self.start_s)
        value_s = self._since_s(last + 1)
        # Later than the bound of a claim that is as long as what was waited for.
        at_least_s = low_s if low_s < observed_s else observed_s + _LATER_S
        if math.isinf(value_s):
            return never(at_least_s, f"not within the {observed_s:g} s observed")
        if value_s > criteria.within_s:
            return never(at_least_s, f"recovered only after {value_s:.3f} s")
        if self.start_s + value_s + criteria.hold_s > self.end_s:
            return unknown(
                f"good again after {value_s:.3f} s, but the plan ended before a hold of {criteria.hold_s:g} s",
                low_s,
            )
        return RecoveryTime(Status.RECOVERED, value_s, (low_s, high_s), self._resolution_s(last + 1))

    def _holds(self, members: Sequence[Stretch]) -> bool:
        """Whether a whole hold was seen after the last disturbance, within the time that is waited for."""
        over_s = self._since_s(max((each.last for each in members), default=-1) + 1)
        return over_s <= self.criteria.within_s and self.start_s + over_s + self.criteria.hold_s <= self.end_s

    def _unproved(self, members: Sequence[Stretch], low_s: float) -> RecoveryTime:
        seen = "no disturbance was seen"
        if members:
            seen = f"good again after {self._since_s(max(each.last for each in members) + 1):.3f} s"
        return unknown(
            f"{seen}, but the requests since do not prove that goodput is back: too few, or too many bad",
            low_s,
        )

    def _first_touch_s(self, first: int, bad: Flags) -> float:
        """When the first good request came whose own window has no more bad ones than tolerated."""
        first += int(np.argmax(bad[first:]))
        begin, counts = np.arange(first, len(bad)), np.concatenate([[0], np.cumsum(bad)])
        beyond = np.searchsorted(self.at_s, self.at_s[begin] + self.criteria.window_s - _EDGE_S)
        passes = counts[beyond] - counts[begin] <= self.held_to.bad.tolerated * (beyond - begin)
        whole = self.at_s[begin] + self.criteria.window_s <= self.end_s + _EDGE_S
        touches = np.flatnonzero(passes & whole & ~bad[begin])
        return self._since_s(first + int(touches[0])) if len(touches) else math.inf

    def _since_s(self, place: int) -> float:
        """When the request at this place counts; inf behind the last."""
        return float(self.at_s[place]) - self.start_s if place < len(self.at_s) else math.inf

    def _resolution_s(self, place: int) -> float:
        """From the request before to this one: nothing was asked in between."""
        before_s = float(self.at_s[place - 1]) if place else self.start_s
        return max(float(self.at_s[place]) - before_s, _FINEST_S)


def _between(
    best: RecoveryTime, worst: RecoveryTime, doubtful_s: Floats, stalls: Sequence[tuple[float, float]]
) -> RecoveryTime:
    """What holds whether or not the requests that the generator sent late, or dropped, would have been good."""
    interval_s = (min(best.interval_s[0], worst.interval_s[0]), max(best.interval_s[1], worst.interval_s[1]))
    if best.status is worst.status and best.value_s == worst.value_s:
        return replace(worst, interval_s=interval_s)
    reason = (
        f"it hangs on {len(doubtful_s)} requests, {doubtful_s.min():.3f} to {doubtful_s.max():.3f} s after the fault, "
        "that the generator sent late or dropped"
    )
    if stalls:
        start_s, length_s = max(stalls, key=lambda stall: stall[1])
        reason += f": it stood still for {length_s:.2f} s from {start_s:.2f} s on the run clock on"
    return replace(unknown(reason, interval_s[0]), interval_s=interval_s)
