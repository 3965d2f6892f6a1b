"""Runs custom collectors at each scrape: one that fails is reported and never breaks the scrape.

A collector has one method, `collect()`, which yields complete metric families and must not block: it runs
in the thread of the scrape. What can hang is polled in the background (`polling.py`) and only read here.
"""

import logging
import time
from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from exporters.registry import gauge_snapshot
from exporters.series.collectors import COLLECTOR_DURATION, COLLECTOR_SUCCESS

log = logging.getLogger(__name__)


class Collector(Protocol):
    """What is asked at each scrape."""

    def collect(self) -> Iterable[Metric]:
        """Complete families. An exception ends this collector's part of the scrape; what it yielded stays."""


class CollectorSet:
    """The named collectors of one registry, with the success and duration of each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._collectors: dict[str, Collector] = {}
        self._failing: set[str] = set()
        registry.register(self)

    def add(self, name: str, collector: Collector) -> None:
        """Ask this collector at every scrape from now on; ValueError when the name is taken."""
        if name in self._collectors:
            raise ValueError(f"there is already a collector named {name!r}")
        self._collectors[name] = collector

    def collect(self) -> Iterable[Metric]:
        """Every collector's families, then the success and the duration in seconds of each."""
        success = gauge_snapshot(COLLECTOR_SUCCESS)
        duration_s = gauge_snapshot(COLLECTOR_DURATION)
        for name, collector in tuple(self._collectors.items()):
            started_s = time.monotonic()
            families: list[Metric] = []
            try:
                families.extend(collector.collect())
            except Exception as error:  # whatever a collector raises, the other series are still true
                self._note_failure(name, error)
                success.add_metric([name], 0)
            else:
                self._failing.discard(name)
                success.add_metric([name], 1)
            duration_s.add_metric([name], time.monotonic() - started_s)
            yield from families
        yield success
        yield duration_s

    def describe(self) -> Iterable[Metric]:
        """The names that this set itself exports, so that registering runs no collector."""
        return gauge_snapshot(COLLECTOR_SUCCESS), gauge_snapshot(COLLECTOR_DURATION)

    def _note_failure(self, name: str, error: Exception) -> None:
        if name not in self._failing:  # once per outage, not once per scrape
            self._failing.add(name)
            log.warning("collector failed: collector=%s error=%r", name, error)
