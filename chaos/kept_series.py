"""The few Prometheus series that a run keeps for its report, on the run clock."""

from typing import Any

from chaos.prometheus import PrometheusClient, WallClock
from exporters import metrics

STEP_S = 1.0
QUERIES = {
    "Requests waiting in the replicas": f"sum({metrics.REQUESTS_WAITING.name})",
    "Requests running in the replicas": f"sum({metrics.REQUESTS_RUNNING.name})",
    "Replicas that answer a scrape": 'sum(up{job="deepseek-metrics"})',
    "Gateway retries per second": f"sum(rate({metrics.GATEWAY_RETRIES.name}[5s]))",
}
"""Chart title to query; a rate spans five scrapes."""


def keep(url: str, start_monotonic_s: float, end_monotonic_s: float) -> dict[str, Any]:
    """Every query's values over the run; a query without an answer, as from a foreign engine, is left out.

    Raises:
        InconclusiveError: Prometheus cannot be reached.
    """
    client, clock = PrometheusClient(url), WallClock.now()
    start_s, end_s = clock.wall_s(start_monotonic_s), clock.wall_s(end_monotonic_s)
    series: dict[str, Any] = {}
    for title, query in QUERIES.items():
        for found in client.range(query, start_s, end_s, STEP_S):
            points = [[round(at_s - start_s, 3), value] for at_s, value in found.points]
            series[title] = {"labels": dict(found.labels), "query": query, "points": points}
    return {"step_s": STEP_S, "series": series}
