"""Whether two small samples differ, by how much, and what difference would have been found: by ranks, exactly.

Nothing is assumed of the distributions but that, without a difference, every assignment of the values to the two
samples is as likely as any other. Values may be tied, and +inf where the truth is only known to be later than watched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chaos.measuring.quantiles import wilson_interval

LEVEL = 0.05
"""A difference is told where equal samples would show one as large in fewer than 5 % of comparisons."""
POWER = 0.8
_EXACT_UP_TO = 120
"""Values in both samples together; beyond, permutations are drawn."""
_DRAWS = 20_000
_SEED = 13
_RESAMPLES = 400
_SEARCH_STEPS = 16

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shift:
    """How much larger the second sample is than the first; None where censored values hide the estimate."""

    estimate: float | None
    low: float
    """-inf where nothing bounds it."""
    high: float


def p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the rank-sum test of Wilcoxon, over all permutations of the mid-ranks that were observed.

    Exact up to 120 values, ties included, by the shift algorithm (Streitberg and Röhmel, 1986); beyond, over 20,000
    permutations drawn with a fixed seed, counted so that p is never too small (Phipson and Smyth, 2010).
    """
    ranks = _doubled_ranks(np.asarray([*first, *second], dtype=np.float64))
    observed = int(ranks[: len(first)].sum())
    if not first or not second:
        return 1.0
    if len(ranks) <= _EXACT_UP_TO:
        chances = _rank_sum_chances(tuple(np.sort(ranks).tolist()), len(first))
        below, above = chances[: observed + 1].sum(), chances[observed:].sum()
    else:
        rng = np.random.default_rng(_SEED)
        sums = np.array([rng.permutation(ranks)[: len(first)].sum() for _ in range(_DRAWS)])
        below, above = ((1 + (side).sum()) / (1 + _DRAWS) for side in (sums <= observed, sums >= observed))
    return min(1.0, 2 * float(min(below, above)))


def second_is_larger(first: Sequence[float], second: Sequence[float]) -> bool:
    """Which way the ranks lean."""
    ranks = _doubled_ranks(np.asarray([*first, *second], dtype=np.float64))
    return bool(ranks[: len(first)].mean() < ranks[len(first) :].mean())


def least_p_value(first: int, second: int) -> float:
    """The smallest p that so many values can show: above 5 % no difference could ever be told."""
    return min(1.0, 2 / math.comb(first + second, first))


def shift(first: Sequence[float], second: Sequence[float]) -> Shift:
    """The shift of Hodges and Lehmann (1963), the median of all differences, with its 95 % interval.

    The interval is that of the rank-sum test: order statistics of the differences (Bauer, JASA 67, 1972; Hollander
    and Wolfe, Nonparametric Statistical Methods, 4.3). The difference of two censored values may be anything.
    """
    one, other = (np.asarray(sample, dtype=np.float64) for sample in (first, second))
    unknown = np.isinf(other)[:, None] & np.isinf(one)[None, :]
    with np.errstate(invalid="ignore"):
        differences = np.where(unknown, 0.0, other[:, None] - one[None, :])
    least, most = (np.sort(np.where(unknown, fill, differences), axis=None) for fill in (-np.inf, np.inf))
    medians = _median(least), _median(most)
    estimate = medians[0] if medians[0] == medians[1] and math.isfinite(medians[0]) else None
    rank = _critical(len(first), len(second))
    if rank == 0:
        return Shift(estimate, -math.inf, math.inf)
    return Shift(estimate, float(least[rank - 1]), float(most[-rank]))


def share_shift(first: Sequence[float], second: Sequence[float]) -> Shift:
    """How much larger the second share is, of zeros and ones, with the interval of Newcombe (1998, method 10).

    Raises:
        ValueError: a sample is empty.
    """
    shares = [sum(sample) / len(sample) for sample in (first, second)]
    found = [wilson_interval(int(sum(sample)), len(sample)) for sample in (first, second)]
    (low_a, high_a), (low_b, high_b) = [each or (0.0, 1.0) for each in found]
    estimate = shares[1] - shares[0]
    below = math.hypot(shares[1] - low_b, high_a - shares[0])
    above = math.hypot(high_b - shares[1], shares[0] - low_a)
    return Shift(estimate, estimate - below, estimate + above)


def ratio(first: Sequence[float], second: Sequence[float]) -> Shift | None:
    """How many times as large the second sample is, by the same on logarithms; None where a value is not positive."""
    if min([*first, *second], default=0.0) <= 0:
        return None
    found = shift([*map(math.log, first)], [*map(math.log, second)])
    estimate = None if found.estimate is None else math.exp(found.estimate)
    return Shift(estimate, math.exp(found.low), math.exp(found.high))


def detectable(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The smallest shift that 4 of 5 such comparisons would have told, with this spread and these numbers.

    Both samples are drawn anew from all finite values, each sample centred on its median, and shifted; by a fixed
    seed. None where there are too few values, or no spread to draw from.
    """
    parts = [np.asarray([v for v in sample if math.isfinite(v)]) for sample in (first, second)]
    rank = _critical(len(first), len(second))
    if rank == 0 or any(not len(part) for part in parts):
        return None
    pool = np.concatenate([part - np.median(part) for part in parts])
    spread = float(np.ptp(pool))
    if spread == 0:
        return None
    rng = np.random.default_rng(_SEED)
    one = rng.choice(pool, (_RESAMPLES, len(first)))
    other = rng.choice(pool, (_RESAMPLES, len(second)))
    low, high = 0.0, 2 * spread
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _share_found(one, other + middle, rank) >= POWER else (middle, high)
    return high


def _share_found(one: Values, other: Values, rank: int) -> float:
    """In how many of the resampled comparisons the rank-sum test tells that the second is larger."""
    gaps = other[:, :, None] - one[:, None, :]
    smaller = (gaps < 0).sum(axis=(1, 2)) + (gaps == 0).sum(axis=(1, 2)) / 2
    return float((smaller <= rank - 1).mean())


def _median(ordered: Values) -> float:
    middle = len(ordered) // 2
    low, high = float(ordered[(len(ordered) - 1) // 2]), float(ordered[middle])
    return low if low == high else (low + high) / 2


def _doubled_ranks(values: Values) -> NDArray[np.int64]:
    """Twice the mid-rank of each value: whole numbers, ties included."""
    ordered = np.sort(values)
    below, through = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray(below + through + 1, dtype=np.int64)


@lru_cache(maxsize=16)
def _rank_sum_chances(ranks: tuple[int, ...], taken: int) -> Values:
    """The probability of each sum of `taken` of the ranks, drawn without replacement; their order is no matter."""
    counts = np.zeros((taken + 1, sum(sorted(ranks)[-taken:]) + 1))
    counts[0, 0] = 1.0
    for rank in ranks:
        counts[1:, rank:] += counts[:-1, : counts.shape[1] - rank].copy()
    return np.asarray(counts[taken] / counts[taken].sum())


def _critical(first: int, second: int) -> int:
    """How many of the differences lie outside the 95 % interval on each side, plus one; 0 where none can."""
    if least_p_value(first, second) > LEVEL:
        return 0
    if first + second > _EXACT_UP_TO:
        deviation = math.sqrt(first * second * (first + second + 1) / 12)
        return max(1, math.floor(first * second / 2 - 1.959964 * deviation))
    chances = _rank_sum_chances(tuple(range(2, 2 * (first + second) + 1, 2)), first)
    least = first * (first + 1)  # twice the smallest rank sum
    cumulative = np.cumsum(chances[least::2])
    return int(np.searchsorted(cumulative, LEVEL / 2, side="right"))
