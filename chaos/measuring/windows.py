"""Sliding windows over arrivals and failures, exactly: every content that a window can have is looked at.

Integer microseconds: in floats, x - w + w need not be x, and an arrival could change sides of an edge.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from chaos.measuring.slis import Objectives, is_good
from chaos.measuring.timeline import Timeline

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was planned and what failed in [start_us, end_us)."""

    start_us: int
    end_us: int
    arrivals_us: tuple[int, ...]
    good: tuple[bool, ...]
    """Beside each arrival."""
    failures_us: tuple[int, ...]

    @property
    def good_arrivals_us(self) -> list[int]:
        """The good ones among the arrivals."""
        return [at_us for at_us, good in zip(self.arrivals_us, self.good, strict=True) if good]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a window may lack and still pass."""

    window_us: int
    goodput: float
    """Smallest share of planned arrivals that are good."""
    error_ratio: float
    """Largest number of failures per planned arrival."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Every window that starts in (after_us, until_us] fails."""

    after_us: int
    until_us: int


def microseconds(seconds: float) -> int:
    """The nearest whole microsecond, the precision of the rows."""
    return round(seconds * MICROSECONDS)


def traffic(timeline: Timeline, objectives: Objectives, start_s: float, end_s: float) -> Traffic:
    """Arrivals and failures of [start_s, end_s)."""
    rows = timeline.between(start_s, end_s)
    failed_s = (row.failed_at_s for row in timeline.rows)
    return Traffic(
        start_us=microseconds(start_s),
        end_us=microseconds(end_s),
        arrivals_us=tuple(microseconds(row.intended_s) for row in rows),
        good=tuple(is_good(row, objectives) for row in rows),
        failures_us=tuple(
            sorted(microseconds(at_s) for at_s in failed_s if at_s is not None and start_s <= at_s < end_s)
        ),
    )


def has_empty_window(seen: Traffic, window_us: int) -> bool:
    """Whether a window without a single planned arrival exists: then a ratio cannot be had everywhere."""
    if not seen.arrivals_us or seen.arrivals_us[0] >= seen.start_us + window_us:
        return True
    edges = (*seen.arrivals_us, seen.end_us)
    return any(later - earlier > window_us for earlier, later in pairwise(edges))


def failing_stretches(seen: Traffic, tolerance: Tolerance) -> list[Stretch]:
    """Where windows [u, u + w) that lie inside the traffic fail, as ascending stretches of their start u.

    What a window holds changes just after an event is at u or at u + w: between two such instants, the
    later one speaks for all.
    """
    first_us, last_us = seen.start_us, seen.end_us - tolerance.window_us
    events = {*seen.arrivals_us, *seen.failures_us}
    changes = {edge for at_us in events for edge in (at_us, at_us - tolerance.window_us)}
    inside = sorted(at_us for at_us in changes | {first_us, last_us} if first_us <= at_us <= last_us)
    good = (0, *accumulate(seen.good))
    stretches = []
    for before_us, at_us in pairwise([first_us - 1, *inside]):
        if not _passes(seen, good, at_us, tolerance):
            stretches.append(Stretch(before_us, at_us))
    return stretches


def _passes(seen: Traffic, good: Sequence[int], start_us: int, tolerance: Tolerance) -> bool:
    end_us = start_us + tolerance.window_us
    first, beyond = bisect_left(seen.arrivals_us, start_us), bisect_left(seen.arrivals_us, end_us)
    planned = beyond - first
    failed = bisect_left(seen.failures_us, end_us) - bisect_left(seen.failures_us, start_us)
    if planned == 0:
        return False
    return (
        good[beyond] - good[first] >= tolerance.goodput * planned
        and failed <= tolerance.error_ratio * planned
    )


@dataclass(frozen=True, slots=True)
class Hold:
    """What the search for the first full hold of passing windows found, as instants of good arrivals."""

    begins_us: int | None
    """Where the first full hold begins; None when none was seen whole."""
    untouched: bool = False
    """It begins with the first arrival; nothing failed before it, and no window during the disturbance."""
    cut_short_us: int | None = None
    """Where a hold begins that the end of the traffic cut short."""
    touched_us: int | None = None
    """Where the first single window passes."""
    relapsed_us: int | None = None
    """Where the first failing window after the full hold begins."""


def first_hold(seen: Traffic, tolerance: Tolerance, hold_us: int, disturbed_us: int) -> Hold:
    """The earliest good arrival t such that every window inside [t, t + hold] passes.

    It starts at a good arrival, not at the instant from which the tolerance lets windows pass: what is
    tolerated must not make an outage look shorter. A failing window that begins before `disturbed_us` is
    impact, and no hold before it counts: a fault that bites late is not "no impact".
    """
    failing = failing_stretches(seen, tolerance)
    hit = bool(failing) and failing[0].after_us < disturbed_us
    earliest_us = failing[0].until_us + 1 if hit else seen.start_us
    hold = next_hold(seen, failing, tolerance.window_us, hold_us, earliest_us)
    if hold.begins_us is None:
        return hold
    led = bool(seen.failures_us) and seen.failures_us[0] < hold.begins_us
    return replace(hold, untouched=not hit and not led and hold.begins_us == seen.arrivals_us[0])


def next_hold(
    seen: Traffic, failing: Sequence[Stretch], window_us: int, hold_us: int, earliest_us: int
) -> Hold:
    """The same from `earliest_us` on, where the failing windows are known; never `untouched`."""
    until_us = [stretch.until_us for stretch in failing]
    touched_us = None
    for at_us in (at_us for at_us in seen.good_arrivals_us if at_us >= earliest_us):
        following = bisect_left(until_us, at_us)
        next_fails_us = failing[following].after_us if following < len(failing) else None
        if next_fails_us is not None and next_fails_us < at_us:
            continue
        if touched_us is None and at_us + window_us <= seen.end_us:
            touched_us = at_us
        if next_fails_us is not None and next_fails_us < at_us + hold_us - window_us:
            continue
        if at_us + hold_us > seen.end_us:
            return Hold(None, cut_short_us=at_us, touched_us=touched_us)
        return Hold(at_us, touched_us=touched_us, relapsed_us=next_fails_us)
    return Hold(None, touched_us=touched_us)


def gap_around_us(seen: Traffic, at_us: int) -> int:
    """The larger of the gaps between an arrival and its neighbours."""
    index = bisect_left(seen.arrivals_us, at_us)
    before_us = seen.arrivals_us[index - 1] if index else seen.start_us
    after_us = seen.arrivals_us[index + 1] if index + 1 < len(seen.arrivals_us) else seen.end_us
    return max(at_us - before_us, after_us - at_us)
