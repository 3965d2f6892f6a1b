"""What n trials allow to claim, whatever the distribution: exact bounds of rates, quantiles and curves.

Nothing is averaged: a trial that never recovered is the largest value there is, and stays in.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from chaos.measuring.quantiles import CONFIDENCE, binomial_point, needed_for_claim

_TAIL = 1 - CONFIDENCE
_HALVINGS = 60
"""Of the interval 0..1: more than a float resolves."""


def rate_interval(events: int, trials: int) -> tuple[float, float]:
    """The two-sided 95 % interval of Clopper and Pearson (Biometrika 26, 1934): exact, and never too narrow.

    Raises:
        ValueError: there are no trials.
    """
    return _rate_above(events, trials, _TAIL / 2), _rate_below(events, trials, _TAIL / 2)


def rate_below(events: int, trials: int) -> float:
    """The rate is below this at 95 % confidence: 0 events of 20 trials bound it by 13.9 %.

    Raises:
        ValueError: there are no trials.
    """
    return _rate_below(events, trials, _TAIL)


def rate_above(events: int, trials: int) -> float:
    """The rate is above this at 95 % confidence.

    Raises:
        ValueError: there are no trials.
    """
    return _rate_above(events, trials, _TAIL)


def trials_needed(rate: float) -> int:
    """Smallest number of trials without an event that bounds its rate by this: 29 for 10 %, 59 for 5 %."""
    return needed_for_claim(100 * (1 - rate))


def share_below_maximum(trials: int) -> float:
    """Which share of all trials to come lies at or below the largest of so many, at 95 % confidence: p^n = 5 %."""
    return _TAIL ** (1 / trials) if trials else 0.0


def quantile_at_most(ordered: Sequence[float], percent: float) -> float | None:
    """The upper 95 % confidence bound of a quantile: an order statistic of ascending values.

    The r-th of n bounds it when Binomial(n, q) is below r with 95 % probability (David and Nagaraja, Order
    Statistics, 7.1); None where even the largest does not.
    """
    rank = binomial_point(len(ordered), percent / 100, CONFIDENCE) + 1 if ordered else 1
    return ordered[rank - 1] if rank <= len(ordered) else None


def kaplan_meier(values: Iterable[tuple[float, bool]]) -> tuple[tuple[float, float], ...]:
    """The share that has recovered by each instant at which one did: 1 - S(t) of Kaplan and Meier (JASA 53, 1958).

    Args:
        values: how long each was watched, and whether it had recovered then; false is right-censored there, and
            counts as at risk up to and including that instant.
    """
    ordered = sorted(values)
    left = len(ordered)
    survival, steps = 1.0, []
    for at in sorted({seconds for seconds, _ in ordered}):
        recovered = sum(seconds == at and over for seconds, over in ordered)
        if recovered:
            survival *= 1 - recovered / left
            steps.append((at, 1 - survival))
        left -= sum(seconds == at for seconds, _ in ordered)
    return tuple(steps)


def _rate_below(events: int, trials: int, tail: float) -> float:
    _require(events, trials)
    return 1.0 if events == trials else _root(lambda rate: _at_most(events, trials, rate) > tail)


def _rate_above(events: int, trials: int, tail: float) -> float:
    _require(events, trials)
    return 0.0 if events == 0 else 1 - _rate_below(trials - events, trials, tail)


def _require(events: int, trials: int) -> None:
    if not 0 <= events <= trials or not trials:
        raise ValueError(f"{events} events in {trials} trials bound no rate")


def _root(holds: Callable[[float], bool]) -> float:
    """Where a condition that holds at 0 ends to hold, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """P(Binomial(trials, rate) <= events)."""
    if rate in (0.0, 1.0):
        return float(rate == 0.0 or events == trials)
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(rate)
            + (trials - k) * math.log1p(-rate)
        )
        for k in range(events + 1)
    )
