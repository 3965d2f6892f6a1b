"""Turns declared families into prometheus_client metrics of one registry, never of the global one.

`_created` series stay out of the registries made here. prometheus_client itself switches them for the whole
process only, so a registry of the user's own keeps whatever the user chose there.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from exporters.series.family import Family, Kind


class Registry(CollectorRegistry):
    """A registry without `_created` series: one more series per child that no query of ours reads."""

    def collect(self) -> Iterable[Metric]:
        """Every family of every collector, `_created` samples removed."""
        for metric in super().collect():
            created = f"{metric.name}_created"
            metric.samples = [sample for sample in metric.samples if sample.name != created]
            yield metric


def counter(family: Family, registry: CollectorRegistry) -> Counter:
    """Register a declared counter; ValueError when it is declared otherwise or already registered."""
    _require(family, "counter")
    return Counter(family.name, family.help, family.labels, registry=registry)


def gauge(family: Family, registry: CollectorRegistry) -> Gauge:
    """Register a declared gauge; ValueError when it is declared otherwise or already registered."""
    _require(family, "gauge")
    return Gauge(family.name, family.help, family.labels, registry=registry)


def histogram(family: Family, registry: CollectorRegistry) -> Histogram:
    """Register a declared histogram; ValueError when it is declared otherwise or already registered."""
    _require(family, "histogram")
    return Histogram(family.name, family.help, family.labels, registry=registry, buckets=family.buckets)


def counter_snapshot(family: Family) -> CounterMetricFamily:
    """An empty counter family for a collector to fill at scrape; ValueError when declared otherwise."""
    _require(family, "counter")
    return CounterMetricFamily(family.name, family.help, labels=family.labels)


def gauge_snapshot(family: Family) -> GaugeMetricFamily:
    """An empty gauge family for a collector to fill at scrape; ValueError when declared otherwise."""
    _require(family, "gauge")
    return GaugeMetricFamily(family.name, family.help, labels=family.labels)


def _require(family: Family, kind: Kind) -> None:
    if family.kind != kind:
        raise ValueError(f"{family.name} is declared as a {family.kind}, not a {kind}")
