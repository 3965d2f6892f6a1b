"""The series of the run itself, for the Prometheus beside it: faults, its load, its outcome, who can be scraped.

Served by the runner, because it alone knows them: which fault it has injected, when the plan began, how many targets
there should be. The endpoint is there before the target starts, so that the target's Prometheus can be told of it.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from prometheus_client.metrics_core import Metric

from chaos.load.process import LoadConfig
from chaos.prometheus import PrometheusClient
from chaos.publishing.budgets import Budgets
from chaos.publishing.load_series import LoadCollector
from chaos.publishing.outcome import Outcome
from chaos.record.journal import Journal
from dashboards.queries.run import answering
from exporters.collectors import CollectorSet
from exporters.exposition import serve
from exporters.polling import Poller
from exporters.registry import Registry, gauge, gauge_snapshot
from exporters.series.run import CHAOS_ACTIVE, TELEMETRY_EXPECTED, TELEMETRY_REPORTING
from exporters.slo import Objective

_HOST = "127.0.0.1"
_DASHBOARD = "/dashboard"
_ASK_EVERY_S = 1.0


class RunSeries:
    """An endpoint that lives as long as the run."""

    def __init__(self, experiment: str) -> None:
        """Serve the series of this experiment from now on; OSError when no port can be bound."""
        self._experiment = experiment
        self._stack = ExitStack()
        registry = Registry()
        self._active = gauge(CHAOS_ACTIVE, registry)
        self._in_force: dict[str, list[tuple[str, str, str]]] = {}
        """Label values by occurrence."""
        self._collectors = CollectorSet(registry)
        self._exposition = self._stack.enter_context(serve(registry, host=_HOST, port=0))

    @property
    def address(self) -> str:
        """Where it listens: host and port."""
        return f"{_HOST}:{self._exposition.port}"

    def lead_to(self, dashboard: str) -> str:
        """A short address that leads to this one for as long as the run lives."""
        self._exposition.lead(_DASHBOARD, dashboard)
        return f"http://{self.address}{_DASHBOARD}"

    def watch_telemetry(self, prometheus_url: str, expected: Mapping[str, int]) -> None:
        """Compare what Prometheus gets with how many targets of each job there should be."""
        client = PrometheusClient(prometheus_url)
        collector = _TelemetryCollector(client, expected)
        self._stack.enter_context(collector.poller)
        self._collectors.add("telemetry", collector)

    def follow_load(self, config: LoadConfig, objectives: Sequence[Objective]) -> LoadCollector:
        """Export this load, of which nothing is due before it is told to begin, and its error budgets."""
        load = LoadCollector(config, Budgets(self._experiment, objectives))
        self._collectors.add("load", load)
        return load

    def fault_began(self, occurrence: str, fault: str, kind: str, targets: Sequence[str]) -> None:
        """The fault is in force on each of these."""
        self._in_force[occurrence] = [(fault, kind, target) for target in targets]
        self._show(self._in_force[occurrence])

    def fault_ended(self, occurrence: str) -> None:
        """It is not any more; harmless when it never was."""
        self._show(self._in_force.pop(occurrence, []))

    def judged(self, journal: Journal) -> None:
        """What the run came to."""
        self._collectors.add("outcome", Outcome(self._experiment, journal))

    def _show(self, changed: Iterable[tuple[str, str, str]]) -> None:
        in_force = {labels for those in self._in_force.values() for labels in those}
        for labels in changed:
            self._active.labels(self._experiment, *labels).set(labels in in_force)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._stack.close()


class _TelemetryCollector:
    """How many targets there should be, and how many of them the last scrape of each reached."""

    def __init__(self, client: PrometheusClient, expected: Mapping[str, int]) -> None:
        self._client = client
        self._expected = expected
        # Polled: a Prometheus that hangs must not make the scrape that it asks for hang as well.
        self.poller = Poller(self._reporting, period_s=_ASK_EVERY_S)

    def collect(self) -> Iterable[Metric]:
        """Both families; without the second, and as a failed collector, when Prometheus does not answer."""
        expected = gauge_snapshot(TELEMETRY_EXPECTED)
        for job, count in self._expected.items():
            expected.add_metric([job], count)
        yield expected
        reached = self.poller.latest()
        reporting = gauge_snapshot(TELEMETRY_REPORTING)
        for job in self._expected:
            reporting.add_metric([job], reached.get(job, 0))
        yield reporting

    def _reporting(self) -> Mapping[str, float]:
        up = self._client.instant(answering(), time.time())
        return {series.labels["job"]: series.value for series in up}
