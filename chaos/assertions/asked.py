"""What Prometheus had of a run: of the expressions of assertions, and of what every run asks."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from chaos.measuring.cache_recovery import Points
from chaos.measuring.queue_time import Buckets
from chaos.measuring.timeline import Phase
from chaos.record.observed import CACHE_HITS, QUEUE_TIME, AskedSeries

Expressions: TypeAlias = Mapping[str, tuple[AskedSeries, ...]]
"""What each expression came to over the run."""

LONGEST_GAP_S = 5.0
"""Longer than this without a value, an expression is not known there."""


def values_in(found: Sequence[AskedSeries], phase: Phase) -> list[float] | str:
    """Every value of every series in a phase; or why it is not known there, in a clause.

    What was not known for longer than some scrapes may have been anything: a fault that blinds Prometheus must not
    make a claim hold.
    """
    points = sorted(
        (at_s, value)
        for series in found
        for at_s, value in series.points
        if value is not None and phase.start_s <= at_s <= phase.end_s
    )
    if not points:
        return f"Prometheus had no value of it in the {phase.name} phase"
    known_s = [phase.start_s, *(at_s for at_s, _ in points), phase.end_s]
    begin_s, end_s = max(pairwise(known_s), key=lambda edge: edge[1] - edge[0])
    if end_s - begin_s > LONGEST_GAP_S:
        return f"Prometheus had no value of it from {begin_s:.1f} to {end_s:.1f} s"
    return [value for _, value in points]


def queue_buckets(found: Expressions | None) -> Buckets | None:
    """The histogram of the time in the server's queue; None where the run kept none."""
    series = () if found is None else found.get(QUEUE_TIME, ())
    buckets = {float(each.labels["le"]): each.points for each in series if "le" in each.labels}
    return buckets or None


def cache_hits(found: Expressions | None) -> Points | None:
    """The hit ratio of the cluster's prefix caches; None where the run kept none."""
    series = () if found is None else found.get(CACHE_HITS, ())
    return series[0].points if series else None
