"""How much requests that depend on each other are worth: the number of independent ones that would say as much.

One stall, or one queue, makes neighbours alike. A share of n such requests varies as one of n / D independent ones
does, where D = 1 + 2 (r1 + r2 + ...) is the sum of their autocorrelations (the design effect of a sample in clusters).
The sum is cut off where pairs of them are no longer positive (Geyer, Statistical Science 7, 1992). It is read off the
flags themselves and off whatever the requests came with, their latencies: rare flags alone do not show the queue that
will bring the next heap of them. The constants were found with `python -m benchmarks.interval_coverage`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Quantiles of the latencies whose exceedances are looked at: a queue heaps up the slow answers, not all of them."""
_LAGS = (1, 4, 16)
_SIGNIFICANT = 2.0
"""Standard deviations by which independent requests' correlations do not differ from 0."""
_SHORTFALL = 3.0
"""A stretch knows its own mean, not the true one, which hides correlation: more, the fewer D there are in it."""
_FEW_HEAPS = 0.25
"""D is raised to the power 1 + this / sqrt(heaps): a stretch with few heaps of flags has not seen the largest."""
_LEAST_WORTH = 0.5


@dataclass(frozen=True, slots=True)
class Dependence:
    """What n requests are worth."""

    n: int
    worth: float
    """So many independent ones, at most n."""
    certainty: float
    """On how many independent pieces of evidence `worth` rests (degrees of freedom); +inf where nothing depends."""


def dependence(flags: ArrayLike, beside: ArrayLike | None = None) -> Dependence:
    """What the requests of a stretch are worth.

    Args:
        flags: one per request, in the order of their planned instants: whether it is what is counted.
        beside: a number of each of the same requests, such as its TTFT; +inf where it failed.
    """
    own = np.asarray(flags, dtype=np.float64)
    n = len(own)
    design = 1.0
    for series in _series(own, None if beside is None else np.asarray(beside, dtype=np.float64)):
        correlations = _autocorrelations(series)
        if correlations is not None and _depends(correlations, n):
            design = max(design, _design(correlations))
    if design == 1.0:
        return Dependence(n, float(n), math.inf)
    heaps = max(1.0, min(own.sum(), n - own.sum()) / design)
    design = design ** (1 + _FEW_HEAPS / math.sqrt(heaps)) / max(1 - _SHORTFALL * (design - 1) / n, 0.02)
    worth = max(n / design, _LEAST_WORTH)
    return Dependence(n, worth, max(worth / 3, 1.5))


def _series(flags: Floats, beside: Floats | None) -> Iterator[Floats]:
    yield flags
    if beside is None or not len(beside):
        return
    finite = beside[np.isfinite(beside)]
    values = np.minimum(beside, finite.max() if len(finite) else 0.0)
    ascending = np.sort(beside)
    for level in _LEVELS:
        threshold = ascending[math.ceil(level * len(ascending)) - 1]
        yield (beside > threshold).astype(np.float64)
    yield values


def _autocorrelations(series: Floats) -> Floats | None:
    """From lag 0 on; None where nothing varies."""
    n = len(series)
    if n < 2 or np.ptp(series) == 0:
        return None
    centred = series - series.mean()
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    products = np.fft.irfft(spectrum * np.conj(spectrum), size)[:n]
    return np.asarray(products / products[0])


def _depends(correlations: Floats, n: int) -> bool:
    sums = np.cumsum(correlations[1:])
    return any(sums[lag - 1] > _SIGNIFICANT * math.sqrt(lag / n) for lag in _LAGS if lag <= len(sums))


def _design(correlations: Floats) -> float:
    """Geyer's initial monotone sequence: sums of neighbouring lags, positive and never growing."""
    pairs = len(correlations) // 2
    sums = correlations[: 2 * pairs : 2] + correlations[1 : 2 * pairs : 2]
    ends = np.flatnonzero(sums <= 0)
    sums = np.minimum.accumulate(sums[: ends[0]] if len(ends) else sums)
    return max(1.0, float(2 * sums.sum() - 1))
