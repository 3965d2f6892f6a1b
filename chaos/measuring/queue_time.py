"""Quantiles of the time in the server's queue, from the buckets of its own histogram: no record of a request knows it.

A bucket tells that a value lies between its edges and no more, so that the edges are the interval: nothing is
interpolated. Defined in docs/measurement.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaos.measuring.quantiles import CONFIDENCE, binomial_point
from chaos.measuring.timeline import Phase

WINDOW_S = 5.0
"""Each sample is the mean rate over so long before it."""
STEP_S = 1.0
"""Between two samples."""
_LONGEST_GAP_S = 5.0

Buckets = Mapping[float, Sequence[tuple[float, float | None]]]
"""By upper edge (+inf the last), requests per second at or below it that left the queue, sample by sample."""


@dataclass(frozen=True, slots=True)
class QueueTime:
    """One quantile."""

    low_s: float
    high_s: float
    """At least and at most so long, with at least 95 % confidence; +inf beyond the last edge, or with too few."""
    value_s: float
    """The upper edge of the bucket that the quantile lies in."""
    n: int
    """Requests that left the queue in the phase, about."""


def queue_time(buckets: Buckets | None, phase: Phase, percent: float) -> QueueTime | str:
    """The quantile over the requests that left the queue in a phase, or why it is not known, in a clause."""
    if not buckets:
        return "the run kept no histogram of the time in the queue: its engine exports none, or nobody scraped it"
    edges = sorted(buckets)
    counts: list[float] = []
    for edge in edges:
        count = _counted(buckets[edge], phase)
        if isinstance(count, str):
            return count
        counts.append(max(count, counts[-1] if counts else 0.0))
    n = round(counts[-1])
    if n < 1:
        return f"no request left the queue in the {phase.name} phase"
    tail = (1 - CONFIDENCE) / 2
    lower = binomial_point(n, percent / 100, tail)
    upper = binomial_point(n, percent / 100, 1 - tail) + 1
    scale = counts[-1] / n
    return QueueTime(
        low_s=_edges(edges, counts, lower * scale)[0] if lower >= 1 else 0.0,
        high_s=math.inf if upper > n else _edges(edges, counts, upper * scale)[1],
        value_s=_edges(edges, counts, math.ceil(percent / 100 * n - 1e-9) * scale)[1],
        n=n,
    )


def _counted(points: Sequence[tuple[float, float | None]], phase: Phase) -> float | str:
    """Requests in a bucket, of samples that look back on nothing before the phase: one after the other, end to end."""
    known = [(at_s, value) for at_s, value in points if value is not None and not math.isnan(value)]
    inside = [(at_s, value) for at_s, value in known if phase.start_s + WINDOW_S <= at_s <= phase.end_s]
    if phase.length_s < WINDOW_S + STEP_S:
        return (
            f"the {phase.name} phase is too short: a sample of the server's series looks back {WINDOW_S:g} s"
        )
    instants_s = [phase.start_s + WINDOW_S, *(at_s for at_s, _ in inside), phase.end_s]
    begin_s, end_s = max(pairwise(instants_s), key=lambda edge: edge[1] - edge[0])
    if end_s - begin_s > _LONGEST_GAP_S:
        return f"Prometheus had no value of the time in the queue from {begin_s:.1f} to {end_s:.1f} s"
    count, until_s = 0.0, -math.inf
    for at_s, value in inside:
        if at_s >= until_s + WINDOW_S:
            count, until_s = count + value * WINDOW_S, at_s
    last_s, last = inside[-1]
    return count + last * (
        last_s - until_s
    )  # what is left is shorter than a window, whose rate is then its own


def _edges(edges: Sequence[float], counts: Sequence[float], rank: float) -> tuple[float, float]:
    """Both edges of the bucket that holds a rank."""
    place = next((at for at, count in enumerate(counts) if count >= rank - 1e-6), len(edges) - 1)
    return (edges[place - 1] if place else 0.0), edges[place]
