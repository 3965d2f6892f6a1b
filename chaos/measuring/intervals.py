"""Shares and quantiles of requests that may depend on each other, with intervals that hold in a queue too.

An interval is about the service: where the long-run share, or quantile, lies of which these requests are a sample. A
count is about the run: what was counted is certain and has no interval. Clopper and Pearson's interval (Biometrika 26,
1934) is taken on what the requests are worth (`dependence`), widened by Student's factor for how well that is known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from chaos.measuring.beta import beta_point, beta_share
from chaos.measuring.dependence import Dependence, dependence
from chaos.measuring.student import student_point

_TAIL = 0.025
"""What may lie beyond either end."""
_Z = NormalDist().inv_cdf(1 - _TAIL)
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


def share_interval(flags: ArrayLike, beside: ArrayLike | None = None, *, steady: bool = True) -> Interval:
    """The long-run share of flagged requests.

    Args:
        flags: in the order of the planned instants.
        beside: a number of each of the same requests, such as TTFT (+inf: failed), in which dependence shows
            that few flags hide.
        steady: whether the stretch is a sample of a service that is to go on like that, such as a baseline. Else it
            is about the service as it was in this very stretch, such as under a fault: that neighbours are alike is
            then what is measured and no uncertainty.
    """
    flagged = np.asarray(flags, dtype=np.bool_)
    worth = dependence(flagged, beside) if steady else _independent(len(flagged))
    return _share(int(flagged.sum()), worth)


def quantile_interval(in_order: ArrayLike, percent: float, *, steady: bool = True) -> Interval:
    """A quantile of the service: order statistics at ranks that allow for dependence.

    The upper end is +inf where too few requests are above any sample, the lower one -inf likewise: such a P99 can be
    refuted and never supported. For independent requests the ranks are those of `quantiles.interval_ranks`.

    Args:
        in_order: of the planned instants; failures +inf.
        percent: 99 for P99.
        steady: as for `share_interval`.
    """
    values = np.asarray(in_order, dtype=np.float64)
    n = len(values)
    if not n:
        return _nothing(0, 0.0)
    ascending = np.sort(values)
    at = ascending[max(1, math.ceil(round(percent / 100 * n, 9))) - 1]
    worth = dependence(values > at, values) if steady else _independent(n)
    if worth.worth < min(n, _LEAST_WORTH):
        return _nothing(n, worth.worth)
    size, above = _size(worth), 1 - percent / 100
    # How many samples may lie above an end of the interval: as many as leave the true share possible.
    most = _first(n, lambda k: k > 0 and beta_share(above, *_lower(k / n * size, size)) < _TAIL)
    fewest = _first(n, lambda k: k == n or beta_share(above, *_upper(k / n * size, size)) <= 1 - _TAIL)
    low = -math.inf if most > n else float(ascending[n - most])
    high = math.inf if fewest == 0 else float(ascending[n - fewest])
    return Interval(low, high, n, worth.worth)


def quantile_meets(
    in_order: ArrayLike, percent: float, operator: str, bound: float, *, steady: bool = True
) -> bool | None:
    """Whether a claim about a quantile is met (True), refuted (False), or neither, with 95 % confidence.

    The same as `quantile_interval(...).meets(...)`, decided by the share of requests beyond the bound, whose own heaps
    are looked at: 48 of 77 above the bound refute a P99, and 368 of 368 below it support one.

    Raises:
        KeyError: an operator that assertions do not have.
    """
    values = np.asarray(in_order, dtype=np.float64)
    if operator in ("==", "!="):
        return quantile_interval(values, percent, steady=steady).meets(operator, bound)
    beyond = values > bound if operator in ("<=", ">") else values >= bound
    share = share_interval(beyond, values, steady=steady)
    return share.meets("<=" if operator in ("<=", "<") else ">", 1 - percent / 100)


def _independent(n: int) -> Dependence:
    return Dependence(n, float(n), math.inf)


def _share(k: int, worth: Dependence) -> Interval:
    """The interval of a share of which k of n were seen."""
    n = worth.n
    if n == 0 or worth.worth < min(n, _LEAST_WORTH):
        return _nothing(n, worth.worth)
    size = _size(worth)
    flagged = k / n * size
    low = 0.0 if k == 0 else beta_point(_TAIL, *_lower(flagged, size))
    high = 1.0 if k == n else beta_point(1 - _TAIL, *_upper(flagged, size))
    return Interval(low, high, n, worth.worth)


def _size(worth: Dependence) -> float:
    """Independent requests, fewer the less is known of how many they are."""
    return worth.worth * (_Z / student_point(1 - _TAIL, worth.certainty)) ** 2


def _lower(flagged: float, size: float) -> tuple[float, float]:
    """The parameters of the beta distribution whose lower tail ends where the interval begins."""
    return flagged, size - flagged + 1


def _upper(flagged: float, size: float) -> tuple[float, float]:
    return flagged + 1, size - flagged


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
