"""What a run asks of its Prometheus for its verdict: the expressions of assertions, and signals that no row knows.

Expressions are asked once before the load, so that each is understood. Signals are asked in the words of whatever
engine the replicas are.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from chaos.collecting.series import VARIABLES, WINDOW, engine_of
from chaos.errors import InconclusiveError, RefusedError
from chaos.prometheus import PrometheusClient, WallClock
from chaos.record.observed import CACHE_HITS, QUEUE_TIME, AskedSeries
from dashboards.config import bound
from dashboards.engines import Engine, UntoldError
from dashboards.queries import replicas

_STEP_S = 1.0
_SIGNALS = {QUEUE_TIME: replicas.queue_time_buckets(), CACHE_HITS: replicas.cache_hit_ratio()}


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
    """Every series of each expression and of each signal over the run, a value a second.

    Raises:
        InconclusiveError: Prometheus cannot be reached.
    """
    client, clock = PrometheusClient(url), WallClock.now()
    start_s, end_s = clock.wall_s(start_monotonic_s), clock.wall_s(end_monotonic_s)
    asked = {expression: expression for expression in expressions}
    asked |= _signals(engine_of(client, start_s, end_s))
    return {
        name: tuple(
            AskedSeries(
                labels=dict(found.labels),
                points=tuple((round(at_s - start_s, 3), value) for at_s, value in found.points),
            )
            for found in client.range(expression, start_s, end_s, _STEP_S)
        )
        for name, expression in asked.items()
    }


def _signals(engine: Engine) -> Mapping[str, str]:
    """By name what is asked of this engine; without those that it does not tell."""
    found = {}
    for name, expression in _SIGNALS.items():
        with suppress(UntoldError):
            found[name] = bound(expression.over(engine).text, WINDOW, VARIABLES)
    return found
