"""The expressions of assertions: asked once before the load, so that each is understood, and for the run at its end."""

import time
from collections.abc import Mapping, Sequence

from chaos.errors import InconclusiveError, RefusedError
from chaos.prometheus import PrometheusClient, WallClock
from chaos.record.observed import AskedSeries

_STEP_S = 1.0


def require_understood(url: str | None, expressions: Sequence[str]) -> None:
    """Ask each once.

    Raises:
        RefusedError: Prometheus does not take one, or cannot be asked.
    """
    if url is None:
        return
    client = PrometheusClient(url)
    for expression in expressions:
        try:
            client.instant(expression, time.time())
        except InconclusiveError as error:
            raise RefusedError(f"an assertion cannot be asked: {error}") from error


def keep(
    url: str, expressions: Sequence[str], start_monotonic_s: float, end_monotonic_s: float
) -> Mapping[str, tuple[AskedSeries, ...]]:
    """Every series of each expression over the run, a value a second.

    Raises:
        InconclusiveError: Prometheus cannot be reached.
    """
    client, clock = PrometheusClient(url), WallClock.now()
    start_s, end_s = clock.wall_s(start_monotonic_s), clock.wall_s(end_monotonic_s)
    return {
        expression: tuple(
            AskedSeries(
                labels=dict(found.labels),
                points=tuple((round(at_s - start_s, 3), value) for at_s, value in found.points),
            )
            for found in client.range(expression, start_s, end_s, _STEP_S)
        )
        for expression in expressions
    }
