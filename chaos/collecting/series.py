"""What a run keeps of its Prometheus for its report: panels of the dashboards, on the run clock.

Titles, units, limits and queries are the dashboards' own. Another engine's replicas are asked in its words.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from chaos.prometheus import PrometheusClient, Series, WallClock
from chaos.record.observed import KeptSeries
from dashboards.boards import caches, experiment, fleet, gpu, queueing
from dashboards.boards.fitting import fit
from dashboards.boards.panels import Panel
from dashboards.config import bound
from dashboards.engines import REFERENCE, Engine, engines, presence
from exporters import slo
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB
from exporters.slo import Objective

STEP_S = 1.0
WINDOW = "5s"
"""Of every rate: five scrapes."""
PANELS = (
    *(fleet.replicas(), queueing.waiting(), experiment.both_sides(), experiment.retries()),
    *(queueing.queue_time(), queueing.oldest(), caches.hit_ratio(), caches.kv_by_replica()),
    *gpu.devices()[:2],
)
VARIABLES = {"$job": REPLICA_JOB, "$pod": ".*", "$gateway": GATEWAY_JOB}


def keep(
    url: str,
    start_monotonic_s: float,
    end_monotonic_s: float,
    objectives: Sequence[Objective] = slo.OBJECTIVES,
) -> dict[str, KeptSeries]:
    """Every series of the panels over the run, by panel and legend; what has no answer is left out.

    Lines are drawn at the objectives that the run is held to.

    Raises:
        InconclusiveError: Prometheus cannot be reached.
    """
    client, clock = PrometheusClient(url), WallClock.now()
    start_s, end_s = clock.wall_s(start_monotonic_s), clock.wall_s(end_monotonic_s)
    engine = replace(engine_of(client, start_s, end_s), objectives=objectives)
    kept: dict[str, KeptSeries] = {}
    # What the engine does not tell is left out: its coverage, printed when the run began, says so.
    for panel in filter(None, (fit(panel, engine)[0] for panel in PANELS)):
        for query in panel.queries:
            asked = bound(query.expression.text, WINDOW, VARIABLES)
            for found in client.range(asked, start_s, end_s, STEP_S):
                one = _series(panel, query.legend, asked, found, start_s)
                kept[f"{panel.title}: {one.label}"] = one
    return kept


def engine_of(client: PrometheusClient, start_s: float, end_s: float) -> Engine:
    """The engine whose series the replicas served at any time, ours where none is known."""
    for engine in engines():
        query = bound(presence(engine), WINDOW, VARIABLES)
        if engine.of("request") and client.range(query, start_s, end_s, max(STEP_S, (end_s - start_s) / 100)):
            return engine
    return REFERENCE


def _series(panel: Panel, legend: str, asked: str, found: Series, start_s: float) -> KeptSeries:
    return KeptSeries(
        panel=panel.title,
        note=panel.description,
        unit=panel.unit,
        limit=None if panel.limit is None else panel.limit.value,
        label=re.sub(r"\{\{(\w+)\}\}", lambda name: found.labels.get(name[1], ""), legend),
        labels=dict(found.labels),
        points=tuple((round(at_s - start_s, 3), value) for at_s, value in found.points),
        query=asked,
    )
