"""Whether Prometheus still reaches the replicas that serve: that a fault blinds it is a fact of the run, on record."""

import asyncio
import time
from collections.abc import Callable, Iterable

from chaos.errors import InconclusiveError
from chaos.events import Event, EventKind
from chaos.prometheus import SCRAPE_INTERVAL_S, PrometheusClient
from chaos.targets.local.pod import Pod
from dashboards.queries.promql import reached
from exporters.series.jobs import REPLICA_JOB

_QUERY = reached(REPLICA_JOB)


class ScrapeWatch:
    """Looks once per scrape interval, and tells when a replica is lost to Prometheus, and when it is back."""

    def __init__(
        self, prometheus: PrometheusClient, pods: Callable[[], Iterable[Pod]], emit: Callable[[Event], None]
    ) -> None:
        """Prepare to watch.

        Args:
            prometheus: the cluster's own.
            pods: the replicas of the moment.
            emit: told of every change.
        """
        self._prometheus = prometheus
        self._pods = pods
        self._emit = emit
        self._reached: dict[str, bool] = {}
        """What the last scrape came to, by uid, of those that were ever scraped."""

    async def attend(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(SCRAPE_INTERVAL_S)
            try:
                series = await asyncio.to_thread(self._prometheus.instant, _QUERY, time.time())
            except InconclusiveError:
                continue  # busy or ending: the next look tells
            self.look({each.labels.get("pod", ""): each.value == 1 for each in series})

    def look(self, reached: dict[str, bool]) -> None:
        """Take in whether each replica's last scrape succeeded, by name; one that serves nobody anyway is left out."""
        for pod in self._pods():
            now, before = reached.get(pod.name), self._reached.get(pod.uid)
            if now is None or not pod.ready:
                continue
            self._reached[pod.uid] = now
            if before is not None and now != before:
                kind = EventKind.SCRAPE_BACK if now else EventKind.SCRAPE_LOST
                self._emit(Event(time.monotonic(), kind.value, pod.name, {"uid": pod.uid}))
