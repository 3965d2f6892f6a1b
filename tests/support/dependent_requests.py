"""Requests whose latencies depend on each other: a queue in its steady state, cut into stretches."""

import heapq
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SLOTS = 16
_SPREAD = 0.5
_SETTLES = 20_000


@cache
def queue_ttft_s(load: float, n: int = 400_000, seed: int = 1) -> Floats:
    """TTFT of consecutive requests of an M/G/16 queue, first come, first served, at a load below 1.

    Answers take a slot 1 s on average (lognormal); the first token comes some 50 ms after the slot.
    """
    rng = np.random.default_rng(seed)
    total = n + _SETTLES
    arrivals_s = np.cumsum(rng.exponential(1 / (load * _SLOTS), total)).tolist()
    takes_s = np.exp(_SPREAD * rng.standard_normal(total) - _SPREAD**2 / 2).tolist()
    free_s = [0.0] * _SLOTS
    waits_s = np.empty(total)
    for index, (at_s, lasts_s) in enumerate(zip(arrivals_s, takes_s, strict=True)):
        begins_s = max(at_s, free_s[0])
        waits_s[index] = begins_s - at_s
        heapq.heapreplace(free_s, begins_s + lasts_s)
    return np.asarray((waits_s + 0.05 * np.exp(0.25 * rng.standard_normal(total)))[_SETTLES:])


def independent_ttft_s(n: int, seed: int = 1) -> Floats:
    """The same without a queue."""
    return np.asarray(0.05 * np.exp(0.25 * np.random.default_rng(seed).standard_normal(n)))
