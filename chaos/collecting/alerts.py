"""Which alerts fired during a run, and when: asked of its Prometheus, for the journal."""

from collections.abc import Iterable

from chaos.prometheus import SCRAPE_INTERVAL_S, PrometheusClient, Series, WallClock
from chaos.record.cluster import Alert
from chaos.record.observed import alert
from dashboards.queries.run import alerts_firing

_GAP_S = 2.5 * SCRAPE_INTERVAL_S
"""Samples further apart than this belong to two firings: rules are evaluated once per scrape interval."""


def fired(
    url: str, since_monotonic_s: float, start_monotonic_s: float, end_monotonic_s: float
) -> tuple[Alert, ...]:
    """Every firing of every alert that reached into the run, in the order of their beginnings.

    Alerts of one name and severity count as one, whatever else they are about. Times are seconds on the run clock,
    whose zero is `start_monotonic_s`; an alert may have fired before it, and one that is firing at the end has
    none as `resolved_s`.

    Raises:
        InconclusiveError: Prometheus cannot be reached.
    """
    client, clock = PrometheusClient(url), WallClock.now()
    since_s, end_s = clock.wall_s(since_monotonic_s), clock.wall_s(end_monotonic_s)
    found = client.range(alerts_firing(), since_s, end_s, SCRAPE_INTERVAL_S)
    zero_s = clock.wall_s(start_monotonic_s)
    firings = [_firing(series, spell, zero_s, end_s) for series in found for spell in _spells(series.points)]
    inside = [each for each in firings if each.resolved_s is None or each.resolved_s > 0]
    return tuple(sorted(inside, key=lambda each: (each.fired_s, each.name, each.severity)))


def _spells(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """First and last sample of each stretch without a gap, in Unix seconds."""
    spells: list[tuple[float, float]] = []
    for at_s, _ in points:
        if spells and at_s - spells[-1][1] <= _GAP_S:
            spells[-1] = (spells[-1][0], at_s)
        else:
            spells.append((at_s, at_s))
    return spells


def _firing(series: Series, spell: tuple[float, float], zero_s: float, end_s: float) -> Alert:
    first_s, last_s = spell
    over = end_s - last_s > _GAP_S
    return alert(
        series.labels["alertname"],
        series.labels.get("severity", ""),
        round(first_s - zero_s, 3),
        round(last_s + SCRAPE_INTERVAL_S - zero_s, 3) if over else None,
    )
