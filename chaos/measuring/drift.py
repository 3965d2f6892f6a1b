"""Whether a trend that the baseline has already would by itself break the objective before the plan ends.

What a fault is blamed for must not have been on its way: a TTFT that grows by 3 ms every second meets its bound in the
fault phase. The slope is the median of the slopes between medians of blocks (Theil and Sen), so that slow answers make
none; its error allows for the dependence of neighbours, since the waits of a queue wander without a trend.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chaos.measuring.dependence import dependence
from chaos.measuring.student import student_point

Floats = NDArray[np.float64]

FEWEST = 40
"""Requests below which no trend is looked for."""
_BLOCKS = 16
_CERTAIN = 0.0025
"""Chance that a steady baseline's slope seems to be above 0."""
_TAIL = 0.025
_OF_MEDIAN = math.sqrt(math.pi / 2)
"""Standard error of a median against that of a mean, for normal samples."""
_OF_DEVIATION = 1 / NormalDist().inv_cdf(0.75)
"""Standard deviation against the median of absolute deviations."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The trend of a baseline, and where it leads."""

    slope: float
    """Growth of the median TTFT, in seconds per second,"""
    slope_interval: tuple[float, float]
    """with 95 % confidence."""
    slow_share: float
    """Of the baseline's requests, those above the bound now,"""
    slow_share_at_end: float
    """and if the trend went on until the end of the plan,"""
    slow_interval_at_end: tuple[float, float]
    """for either end of the slope's interval."""
    reason: str | None
    """Why the baseline is not sound; None when it is steady, or its trend harmless."""


def drift(
    instants_s: ArrayLike, ttft_s: ArrayLike, bound_s: float, horizon_s: float, tolerated: float
) -> Drift | None:
    """The trend of a baseline's TTFT; None where too few requests were answered to tell one.

    The baseline is not sound where its slope is certainly above 0, and where by the end of the plan it may move more
    than the tolerated share of the requests over the bound.

    Args:
        instants_s: planned instants, ascending.
        ttft_s: of each; +inf where it failed.
        bound_s: of TTFT.
        horizon_s: the end of the plan, on the clock of the instants.
        tolerated: share of the requests that may become slow.
    """
    at_s, values_s = np.asarray(instants_s, dtype=np.float64), np.asarray(ttft_s, dtype=np.float64)
    answered = np.isfinite(values_s)
    at_s, values_s = at_s[answered], values_s[answered]
    if len(at_s) < FEWEST or np.ptp(at_s) == 0:
        return None
    slope = _slope(at_s, values_s)
    centre_s, median_s = float(np.median(at_s)), float(np.median(values_s))
    residuals_s = values_s - median_s - slope * (at_s - centre_s)
    error, freedom = _error(at_s, residuals_s)
    low, high = (slope + side * student_point(1 - _TAIL, freedom) * error for side in (-1, 1))
    ahead_s = horizon_s - centre_s

    def share(trend: float) -> float:
        return _share_at(values_s - trend * (at_s - centre_s), median_s, trend * ahead_s, bound_s)

    shares = tuple(share(trend) for trend in (low, slope, high))
    now = float(np.mean(values_s > bound_s))
    reason = None
    if slope > student_point(1 - _CERTAIN, freedom) * error and shares[2] - now > tolerated:
        reason = _reason(slope, median_s + slope * ahead_s, shares[2], bound_s)
    return Drift(slope, (low, high), now, shares[1], (shares[0], shares[2]), reason)


def _reason(slope: float, ends_s: float, share: float, bound_s: float) -> str:
    return (
        f"the baseline drifts: its median TTFT grows by {1000 * slope:.2f} ms every second, to {1000 * ends_s:.0f} ms "
        f"at the end of the plan, where up to {share:.1%} would be above {1000 * bound_s:.0f} ms without any fault"
    )


def _slope(at_s: Floats, values_s: Floats) -> float:
    """The median of the slopes between the medians of blocks of equally many requests."""
    blocks = min(_BLOCKS, len(at_s) // 5)
    medians = np.array(
        [
            (np.median(at), np.median(of))
            for at, of in zip(np.array_split(at_s, blocks), np.array_split(values_s, blocks), strict=True)
        ]
    )
    first, second = np.triu_indices(blocks, 1)
    runs_s, rises_s = (medians[second] - medians[first]).T
    apart = runs_s > 0
    return float(np.median(rises_s[apart] / runs_s[apart])) if apart.any() else 0.0


def _error(at_s: Floats, residuals_s: Floats) -> tuple[float, float]:
    """The standard error of the slope, and the degrees of freedom of what is known of it."""
    worth = dependence(residuals_s > 0, residuals_s)
    deviation_s = _OF_DEVIATION * float(np.median(np.abs(residuals_s)))
    return _OF_MEDIAN * deviation_s / (math.sqrt(worth.worth) * float(np.std(at_s))), worth.certainty


def _share_at(levelled_s: Floats, median_s: float, growth_s: float, bound_s: float) -> float:
    """The share above the bound once the median has grown, and the spread with it, as that of latencies does."""
    widening = max(0.0, 1 + growth_s / median_s) if median_s > 0 else 1.0
    projected_s = median_s + growth_s + (levelled_s - median_s) * widening
    return float(np.mean(projected_s > bound_s))
