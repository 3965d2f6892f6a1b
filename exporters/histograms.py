"""Histograms that are cheap to feed: prometheus_client's take a lock per bucket and look through all of them in turn.

What they export is the same, but for `_created` series, which there are none of.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from exporters.families import Family

as_text: Callable[[float], str] = floatToGoString
"""A number as the text formats have it."""


class Buckets:
    """The observations under one set of label values. Thread-safe."""

    __slots__ = ("_counts", "_edges", "_labels", "_lock", "_name", "_sum")

    def __init__(self, family: Family, values: Sequence[str]) -> None:
        labels = dict(zip(family.labels, values, strict=True))
        self._name = family.name
        self._edges = family.buckets
        # Made once: each scrape shows the same labels again.
        self._labels = (labels, *({**labels, "le": as_text(edge)} for edge in family.buckets))
        self._labels += ({**labels, "le": "+Inf"},)
        self._counts = [0] * (len(family.buckets) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, amount: float) -> None:
        """Count one value."""
        with self._lock:
            self._counts[bisect_left(self._edges, amount)] += 1
            self._sum += amount

    def samples(self) -> Iterable[Sample]:
        """As the exposition has them: buckets that include the smaller ones, then count and sum."""
        with self._lock:
            counts, total = tuple(accumulate(self._counts)), self._sum
        labels, *by_edge = self._labels
        for edge, count in zip(by_edge, counts, strict=True):
            yield Sample(self._name + "_bucket", edge, float(count))
        yield Sample(self._name + "_count", labels, float(counts[-1]))
        yield Sample(self._name + "_sum", labels, total)


class Histogram:
    """One declared family in one registry: `labels` gives the child of some label values, there from then on."""

    def __init__(self, family: Family, registry: CollectorRegistry) -> None:
        """ValueError when the registry already holds the family."""
        self._family = family
        self._lock = threading.Lock()
        self._children: dict[tuple[str, ...], Buckets] = {}
        if not family.labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Buckets:
        """The child of these values, in the order of the family's labels; ValueError when they are too many or few."""
        with self._lock:
            child = self._children.get(values)
            if child is None:
                child = self._children[values] = Buckets(self._family, values)
            return child

    def observe(self, amount: float) -> None:
        """Count one value of a family without labels; ValueError when it has some."""
        self.labels().observe(amount)

    def collect(self) -> Iterable[Metric]:
        """The family with every child."""
        metric = self._empty()
        with self._lock:
            children = tuple(self._children.values())
        for child in children:
            metric.samples.extend(child.samples())
        return [metric]

    def describe(self) -> Iterable[Metric]:
        """The family without samples: what the registry checks for duplicates."""
        return [self._empty()]

    def _empty(self) -> Metric:
        return Metric(self._family.name, self._family.help, "histogram")
