"""Where a service was worse than its baseline: a scan over good and bad requests that knows the baseline's own noise.

Every bad request adds 1 - q to a running sum and every good one takes q from it, q being the share of bad ones that is
tolerated. What noise alone can pile up is known (Karlin and Altschul, PNAS 87, 1990: the largest segment of n scores
exceeds s with a probability of at most n exp(-lambda s), where lambda solves p e^(lambda (1 - q)) + (1 - p)
e^(-lambda q) = 1); a stretch that piled up more is a disturbance. It ends with the bad request at which the sum is
highest, which is the likeliest instant at which the share of bad ones fell below q, whatever way it fell.
Defined in docs/measurement.md.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chaos.measuring.beta import beta_point, binomial_at_most
from chaos.measuring.columns import Flags, Floats, Ints

FALSE_ALARM = 0.01
"""Chance that noise alone shows a disturbance somewhere in a run."""
_CONTRADICTS = 3.841
"""Of twice a log likelihood ratio: the 95 % point of chi-square with one degree of freedom."""
_CONTRADICTS_EARLIER = 6.635
"""The 99 % point: a bad request of the noise right behind a disturbance must not make it seem to end later."""
_RUNS_LOOKED_AT = 200
_EVEN = 1e-9
"""Sums that differ by less are equal, but for the rounding of floats, which hangs on where a sequence begins."""
PRUDENT = 0.75
"""Confidence that the baseline's share of bad requests is not higher than it is taken to be."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How bad the service is when nothing disturbs it."""

    bad: int
    n: int
    peak: float = 0.0
    """The most that its bad requests piled up, with the same tolerance; clustered noise piles up more."""

    @property
    def share(self) -> float:
        """Bad requests per request."""
        return self.bad / self.n if self.n else 0.0

    @property
    def prudent_share(self) -> float:
        """What the share is at most, with 75 % confidence (Clopper and Pearson, Biometrika 26, 1934)."""
        return share_at_most(self.bad, self.n, PRUDENT)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From one bad request to another, as places in the sequence, both inclusive."""

    first: int
    last: int


def threshold(noise: Noise, tolerated: float, n: int) -> float | None:
    """What noise exceeds nowhere in n requests, but with a chance of `FALSE_ALARM`; None where nothing could show.

    Nothing can where the noise may be as high as what is tolerated: too few requests were seen without a disturbance.
    """
    share = noise.prudent_share
    if share >= tolerated:
        return None
    chances = math.log(max(n, 1) / FALSE_ALARM)
    independent = chances / _decay(share, tolerated)
    # Peaks of clustered noise fall off exponentially too, only slower: n of them reach ln(n) times their scale.
    return max(independent, noise.peak * chances / math.log(max(noise.n, 2)))


def peak(bad: Flags, tolerated: float) -> float:
    """The most that the requests of a sequence piled up anywhere."""
    sums = _sums(bad, tolerated)
    return float(np.max(sums - np.minimum.accumulate(sums)))


def stretches(bad: Flags, tolerated: float, least: float) -> list[Stretch]:
    """The disturbed stretches of a sequence, in order and apart: those that piled up at least `least`.

    A run of bad requests ends one if it is the end of requests that piled up so much, and every later part of these has
    more than the tolerated share of bad ones: what was before adds nothing, and of equal sums the first counts. So a
    request that turns bad can only make stretches longer, or more. Each goes back no further than it must to pile up
    that much.
    """
    starts, ends = _runs(bad)
    sums = _sums(bad, tolerated)
    tops, lows = sums[ends + 1].tolist(), sums[starts].tolist()
    found: list[Stretch] = []
    open_runs: list[tuple[float, float]] = []
    """Of earlier runs: their sum, and the lowest one before it since a higher one."""
    for run, (top, low_before) in enumerate(zip(tops, lows, strict=True)):
        low = low_before
        while open_runs and open_runs[-1][0] < top - _EVEN:
            low = min(low, open_runs.pop()[1])
        open_runs.append((top, low))
        if top - low < least:
            continue
        begins = run
        while top - lows[begins] < least:
            begins -= 1
        first = int(starts[begins])
        while found and found[-1].last >= first:
            first = min(first, found.pop().first)
        found.append(Stretch(first, int(ends[run])))
    return found


def quiet(at_s: Floats, bad: Flags, tolerated: float, hold_s: float) -> Ints:
    """Places of bad requests before which the service was as good as it should be for a whole hold.

    Good requests alone came for so long, and as many as prove that fewer than the tolerated share were bad.
    """
    places = np.flatnonzero(bad)
    apart_s, between = np.diff(at_s[places]), np.diff(places) - 1
    return places[1:][(apart_s > hold_s) & (between >= good_ones_that_prove(tolerated))]


def united(found: Iterable[Stretch]) -> list[Stretch]:
    """In order, those that share a request as one."""
    apart: list[Stretch] = []
    for each in sorted(found, key=lambda stretch: (stretch.first, stretch.last)):
        if apart and each.first <= apart[-1].last:
            apart[-1] = Stretch(apart[-1].first, max(apart[-1].last, each.last))
        else:
            apart.append(each)
    return apart


def certain_part(bad: Flags, stretch: Stretch, tolerated: float) -> Stretch | None:
    """The stretch up to the last run of bad requests with which it is beyond doubt; None where it is with none.

    Of a stretch of very many runs the last ones are looked at.
    """
    _, ends = _runs(bad[stretch.first : stretch.last + 1])
    for end in ends[: -_RUNS_LOOKED_AT - 1 : -1].tolist():
        part = Stretch(stretch.first, stretch.first + end)
        if is_certain(bad, part, tolerated):
            return part
    return None


def is_certain(bad: Flags, stretch: Stretch, tolerated: float) -> bool:
    """Whether its last requests, some number of them, could hardly be so bad if the share that is tolerated were bad.

    By the likelihood ratio, as the largest of all stretches of the sequence must have it but for `FALSE_ALARM`.
    """
    own = bad[stretch.first : stretch.last + 1][::-1]
    n = np.arange(1, len(own) + 1)
    share = np.cumsum(own) / n
    against = np.where(share > tolerated, n * _divergences(share, tolerated), 0.0)
    chances = math.log(max(len(bad), 2) / FALSE_ALARM)
    return bool(np.max(against) >= chances + math.log(chances))


def earliest_end(bad: Flags, stretch: Stretch, tolerated: float, least: float) -> int:
    """The place of the earliest request at which the stretch may have ended, from the one before it on.

    Its last requests, as many as pile up `least`, are disturbed by themselves, whatever was before. Among all ways in
    which a share can fall within them, one that had passed below the tolerated share by then is no contradiction
    (likelihood ratio of isotonic fits: Banerjee and Wellner, Annals of Statistics 29, 2001).
    """
    piled = _sums(bad[stretch.first : stretch.last + 1][::-1], tolerated)[1:]
    enough = np.flatnonzero(piled >= min(least, float(np.max(piled))))
    place, left = stretch.last, _CONTRADICTS_EARLIER
    for k, n in reversed(_falling(bad[stretch.last - int(enough[0]) : stretch.last + 1])):
        each = 2 * _divergence(k / n, tolerated) if k > tolerated * n else 0.0
        # A run of bad ones alone may have ended at any of them, any other block as a whole or not at all.
        back = min(n, int(left / each)) if k == n else n
        left -= back * each
        if left < 0:
            break
        place -= back
        if back < n:
            break
    return place


def proved_from(bad: Flags, last: int, tolerated: float) -> int:
    """The place from which on the requests since `last` always show fewer bad ones than tolerated; len(bad) if never.

    `last` is -1 for all of the sequence.
    """
    since = bad[last + 1 :]
    n = np.arange(1, len(since) + 1)
    share = np.cumsum(since) / n
    against = 2 * n * _divergences(share, tolerated)
    open_still = np.flatnonzero((share >= tolerated) | (against <= _CONTRADICTS))
    return last + 1 + (int(open_still[-1]) + 1 if len(open_still) else 0)


def good_ones_that_prove(tolerated: float) -> int:
    """How many good requests in a row contradict that the tolerated share of them is bad."""
    return math.ceil(_CONTRADICTS / (-2 * math.log1p(-tolerated)))


def share_at_most(bad: int, n: int, confidence: float) -> float:
    """The one-sided upper bound of a share by Clopper and Pearson; 1 without requests."""
    return 1.0 if bad >= n else beta_point(confidence, bad + 1, n - bad)


def chance_below(k: int, n: int, probability: float) -> float:
    """P(Binomial(n, probability) < k)."""
    return binomial_at_most(k - 1, n, probability) if k > 0 else 0.0


def _sums(bad: Flags, tolerated: float) -> Floats:
    """The running sum before the first request and after each: no error of rounding adds up over a long sequence."""
    return np.asarray(np.concatenate([[0], np.cumsum(bad)]) - tolerated * np.arange(len(bad) + 1))


def _runs(flags: Flags) -> tuple[Ints, Ints]:
    """First and last place of each run of flags."""
    before, after = np.concatenate([[False], flags[:-1]]), np.append(flags[1:], [False])
    return np.flatnonzero(flags & ~before), np.flatnonzero(flags & ~after)


def _falling(bad: Flags) -> list[tuple[int, int]]:
    """Blocks of (bad ones, requests) whose shares fall: the isotonic fit, by pooling adjacent violators."""
    edges = [0, *(np.flatnonzero(np.diff(bad)) + 1).tolist(), len(bad)]
    blocks: list[tuple[int, int]] = []
    for begin, end in pairwise(edges):
        k, n = (end - begin if bad[begin] else 0), end - begin
        while blocks and blocks[-1][0] * n < k * blocks[-1][1]:
            earlier_k, earlier_n = blocks.pop()
            k, n = k + earlier_k, n + earlier_n
        blocks.append((k, n))
    return blocks


def _divergences(share: Floats, tolerated: float) -> Floats:
    """The same of many."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bad = np.where(share > 0, share * np.log(share / tolerated), 0.0)
        good = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - tolerated)), 0.0)
    return np.asarray(bad + good)


def _divergence(share: float, tolerated: float) -> float:
    """Kullback-Leibler divergence of two shares, in nats."""
    bad = share * math.log(share / tolerated) if share > 0 else 0.0
    good = (1 - share) * math.log((1 - share) / (1 - tolerated)) if share < 1 else 0.0
    return bad + good


def _decay(share: float, tolerated: float) -> float:
    """The positive lambda of the module's docstring; share < tolerated."""

    def excess(rate: float) -> float:
        return share * math.exp(rate * (1 - tolerated)) + (1 - share) * math.exp(-rate * tolerated) - 1

    high = 1.0
    while excess(high) < 0:
        high *= 2
    low = high
    while excess(low) >= 0:
        low /= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high
