"""Shares and quantiles of requests that may depend on each other, with intervals that hold in a queue too.

An interval is about the service: where the long-run share, or quantile, lies of which these requests are a sample. A
count is about the run: what was counted is certain and has no interval. Clopper and Pearson's interval (Biometrika 26,
1934) is taken on what the requests are worth (`dependence`), widened by Student's factor for how well that is known.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from chaos.measuring.beta import beta_point
from chaos.measuring.dependence import Dependence, dependence

TAIL = 0.025
"""On either side of an interval that is stated."""
CLAIM_TAIL = 0.05
"""Of a claim, which has one side: it is met, or not, with 95 % confidence."""
_LEAST_WORTH = 4.0
"""Requests that are worth less say nothing that could be called 95 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where something of the service lies, with 95 % confidence unless there is a reason against it."""

    low: float
    high: float
    n: int
    """Requests that it rests on,"""
    worth: float
    """and how many independent ones would say as much."""
    reason: str | None = None
    """Why it may not be called 95 %; then it spans everything."""

    def meets(self, operator: str, bound: float) -> bool | None:
        """Whether all of it meets `operator bound` (True), none of it does (False), or neither (None).

        Raises:
            KeyError: an operator that assertions do not have.
        """
        if self.reason is not None:
            return None
        low, high = self.low, self.high
        met, unmet = {
            "<=": (high <= bound, low > bound),
            "<": (high < bound, low >= bound),
            ">=": (low >= bound, high < bound),
            ">": (low > bound, high <= bound),
            "==": (low == high == bound, not low <= bound <= high),
            "!=": (not low <= bound <= high, low == high == bound),
        }[operator]
        return True if met else False if unmet else None


def exactly(value: float, n: int) -> Interval:
    """What was counted, or was the largest, in this run: certain, whatever else the service might have done."""
    return Interval(value, value, n, float(n))


def share_interval(flags: ArrayLike, beside: ArrayLike | None = None, tail: float = TAIL) -> Interval:
    """The long-run share of flagged requests.

    Args:
        flags: in the order of the planned instants.
        beside: a number of each of the same requests, such as TTFT (+inf: failed), in which dependence shows
            that few flags hide.
        tail: what may lie beyond either end.
    """
    flagged = np.asarray(flags, dtype=np.bool_)
    return _share(int(flagged.sum()), dependence(flagged, beside), tail)


def quantile_interval(in_order: ArrayLike, percent: float, tail: float = TAIL) -> Interval:
    """A quantile of the service: order statistics at ranks that allow for dependence.

    The upper end is +inf where too few requests are above any sample, the lower one -inf likewise. For independent
    requests the ranks are those of `quantiles.interval_ranks`.

    Args:
        in_order: of the planned instants; failures +inf.
        percent: 99 for P99.
        tail: what may lie beyond either end.
    """
    values = np.asarray(in_order, dtype=np.float64)
    n = len(values)
    if not n:
        return _nothing(0, 0.0)
    ascending = np.sort(values)
    at = ascending[max(1, math.ceil(round(percent / 100 * n, 9))) - 1]
    worth = dependence(values > at, values)
    if worth.worth < _LEAST_WORTH:
        return _nothing(n, worth.worth)
    above = 1 - percent / 100
    # How many samples may lie above an end of the interval: as many as leave the true share possible.
    most = _first(n, lambda k: _share(k, worth, tail).low > above)
    fewest = _first(n, lambda k: _share(k, worth, tail).high >= above)
    low = -math.inf if most > n else float(ascending[n - most])
    high = math.inf if fewest == 0 else float(ascending[n - fewest])
    return Interval(low, high, n, worth.worth)


def quantile_meets(in_order: Sequence[float], percent: float, operator: str, bound: float) -> bool | None:
    """Whether a claim about a quantile is met (True), refuted (False), or neither, with 95 % confidence.

    It is decided by the share of requests beyond the bound, so that few requests suffice where most of them refute it:
    48 of 77 above the bound refute a P99, and 299 of 299 below it support one. `==` and `!=` are never supported of
    a number that has an interval.

    Raises:
        KeyError: an operator that assertions do not have.
    """
    values = np.asarray(in_order, dtype=np.float64)
    if operator in ("==", "!="):
        return quantile_interval(values, percent).meets(operator, bound)
    beyond = values > bound if operator in ("<=", ">") else values >= bound
    share = share_interval(beyond, values, CLAIM_TAIL)
    return share.meets("<=" if operator in ("<=", "<") else ">", 1 - percent / 100)


def _share(k: int, worth: Dependence, tail: float) -> Interval:
    """The interval of a share of which k of n were seen."""
    n = worth.n
    if n == 0 or worth.worth < _LEAST_WORTH:
        return _nothing(n, worth.worth)
    normal = NormalDist().inv_cdf(1 - tail)
    size = worth.worth * (normal / _student_point(1 - tail, worth.certainty)) ** 2
    flagged = k / n * size
    low = 0.0 if k == 0 else beta_point(tail, flagged, size - flagged + 1)
    high = 1.0 if k == n else beta_point(1 - tail, flagged + 1, size - flagged)
    return Interval(low, high, n, worth.worth)


def _nothing(n: int, worth: float) -> Interval:
    few = f"{n} of them are worth about {worth:.2g}"
    reason = f"the requests depend on each other: {few}" if worth < n else f"there are only {n} requests"
    return Interval(-math.inf, math.inf, n, worth, reason)


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """The smallest k of 0..n for which something holds that holds for all larger ones; n + 1 when for none."""
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if middle <= n and holds(middle) else (middle + 1, high)
    return low


def _student_point(level: float, freedom: float) -> float:
    """The quantile of Student's t, by the expansion in 1 / freedom (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(level)
    if math.isinf(freedom):
        return z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
