"""Quantiles and ratios from few samples: exact ranks, distribution-free intervals, samples a claim needs.

Failures enter as +inf, nothing is interpolated. A percentage names a quantile: 99 is P99, 99.9 is P99.9.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Ordered = Sequence[float] | NDArray[np.float64]

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)
"""Two-sided 95 % point of the normal distribution."""


def quantile(ordered: Ordered, percent: float) -> float:
    """The value at rank ceil(q n) of ascending samples: one that occurred, never one in between.

    Raises:
        ValueError: there are no samples.
    """
    if not len(ordered):
        raise ValueError(f"P{percent:g} of no samples")
    return float(ordered[max(1, math.ceil(_fraction(percent) * len(ordered))) - 1])


def needed_for_claim(percent: float) -> int:
    """Smallest n whose maximum bounds the quantile at 95 % confidence: 1 - q^n >= 0.95 (299 for P99)."""
    return _smallest_n(percent / 100, 1 - CONFIDENCE)


def needed_for_interval(percent: float) -> int:
    """Smallest n that has a two-sided 95 % interval of order statistics (368 for P99, 72 for P95)."""
    tail = (1 - CONFIDENCE) / 2
    return max(_smallest_n(percent / 100, tail), _smallest_n(1 - percent / 100, tail))


def interval_ranks(n: int, percent: float) -> tuple[int, int]:
    """1-based ranks (l, u) of the order statistics that enclose the quantile with at least 95 % confidence.

    The number of samples at or below the quantile is binomial(n, q): l is its 2.5 % point, u its 97.5 % point
    plus one (David and Nagaraja, Order Statistics, 7.1).

    Raises:
        ValueError: n is below `needed_for_interval(percent)`.
    """
    if n < needed_for_interval(percent):
        raise ValueError(
            f"an interval for P{percent:g} needs {needed_for_interval(percent)} samples, not {n}"
        )
    tail = (1 - CONFIDENCE) / 2
    return binomial_point(n, percent / 100, tail), binomial_point(n, percent / 100, 1 - tail) + 1


def quantile_interval(ordered: Ordered, percent: float) -> tuple[float, float] | None:
    """A distribution-free 95 % interval for the quantile of ascending samples; None for too few of them."""
    if len(ordered) < needed_for_interval(percent):
        return None
    lower, upper = interval_ranks(len(ordered), percent)
    return float(ordered[lower - 1]), float(ordered[upper - 1])


def quantile_bounds(ordered: Ordered, percent: float, requests: int) -> tuple[float, float]:
    """The same with what can be said of few samples: below the number that an interval needs, one end is open.

    Args:
        ordered: ascending samples; not empty.
        percent: which quantile.
        requests: independent ones that the samples come from, at most as many.
    """
    tail = (1 - CONFIDENCE) / 2
    lower = binomial_point(requests, percent / 100, tail)
    upper = binomial_point(requests, percent / 100, 1 - tail) + 1
    n = len(ordered)
    low = 0.0 if lower < 1 else float(ordered[math.ceil(lower * n / requests) - 1])
    return low, math.inf if upper > requests else float(ordered[math.ceil(upper * n / requests) - 1])


def wilson_interval(successes: int, n: int) -> tuple[float, float] | None:
    """Wilson's 95 % score interval for a ratio (JASA 22, 1927); None without trials."""
    if n == 0:
        return None
    ratio = successes / n
    centre = (ratio + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(ratio * (1 - ratio) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _fraction(percent: float) -> Fraction:
    # 7 % of 100 samples is rank 7; in floats 0.07 * 100 rounds up to rank 8.
    return Fraction(str(percent)) / 100


def _smallest_n(base: float, tail: float) -> int:
    return max(1, math.ceil(math.log(tail) / math.log(base)))


def binomial_point(n: int, probability: float, level: float) -> int:
    """Smallest k with P(Binomial(n, probability) <= k) >= level, summed from where the mass begins."""
    deviation = math.sqrt(n * probability * (1 - probability))
    k = max(0, math.floor(n * probability - 12 * deviation - 30))
    cumulative = 0.0
    while k <= n:
        cumulative += math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(probability)
            + (n - k) * math.log1p(-probability)
        )
        if cumulative >= level:
            return k
        k += 1
    return n
