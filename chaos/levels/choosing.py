"""Which rate a sweep tries next: along what a capacity ramp found, then closer where rates cease to be carried."""

import math
from collections.abc import Sequence

from chaos.measuring.performance import Performance, carried

FIRST_PERCENT = 10.0
"""The first level, as a share of the capacity that a ramp finds just before it."""
_SHARES = (0.25, 0.45, 0.65, 0.8, 0.9, 1.0, 1.15)
"""Of the measured capacity, the further ones."""
_FURTHER, _MOST_FURTHER = 1.3, 5
"""By so much more each time while all are carried, so often at most: a ramp is steeper than a queue grows."""
_COLLAPSED = 0.5
"""Below this goodput no higher rate says anything."""
_MOST_BETWEEN, _NEAR_ENOUGH = 2, 1.06
"""Halvings of the stretch in which rates cease to be carried, while its ends are further apart than this factor."""


def next_rate(done: Sequence[Performance], goal: float, capacity_per_s: float) -> float | None:
    """The rate to try next; None where enough is known.

    Args:
        done: the levels so far, the first at `FIRST_PERCENT` of the capacity.
        goal: least goodput of a rate that counts as carried.
        capacity_per_s: what the ramp found.
    """
    tried = sorted(done, key=lambda one: one.rate_per_s)
    top = tried[-1]
    collapsed = (top.goodput or 0.0) < _COLLAPSED
    ahead = _grid(capacity_per_s, further=carried(top, goal))
    higher = next((rate for rate in ahead if rate > top.rate_per_s), None)
    if higher is not None and not collapsed:
        return higher
    return _between(tried, goal, _grid(capacity_per_s, further=True))


def _grid(capacity_per_s: float, *, further: bool) -> list[float]:
    """The rates that are tried whatever comes of them, from the lowest up."""
    beyond = [_SHARES[-1] * _FURTHER**step for step in range(1, _MOST_FURTHER + 1)] if further else []
    return [three_digits(share * capacity_per_s) for share in (FIRST_PERCENT / 100, *_SHARES, *beyond)]


def _between(tried: Sequence[Performance], goal: float, grid: Sequence[float]) -> float | None:
    """Half-way, by factor, between the highest rate that was carried and the one above it."""
    first_missed = next((place for place, one in enumerate(tried) if not carried(one, goal)), None)
    if not first_missed:
        return None
    low, high = tried[first_missed - 1].rate_per_s, tried[first_missed].rate_per_s
    halved = sum(one.rate_per_s not in grid for one in tried)
    middle = three_digits(math.sqrt(low * high))
    near = high / low <= _NEAR_ENOUGH or not low < middle < high
    return None if near or halved >= _MOST_BETWEEN else middle


def three_digits(rate_per_s: float) -> float:
    """A rate as people write one."""
    return float(f"{rate_per_s:.3g}")
