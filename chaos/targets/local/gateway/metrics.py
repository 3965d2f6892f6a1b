"""What the gateway counts: logical requests and attempts apart, each exactly once, however it ended."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chaos.targets.local.gateway.balancer import Balancer
from chaos.targets.local.gateway.ejection import REASONS
from chaos.targets.local.gateway.retry_budget import RetryBudget
from exporters.registry import Registry, counter, counter_snapshot, gauge_snapshot, histogram
from exporters.series import gateway
from exporters.series.family import with_bound
from exporters.slo import E2E

OK = "ok"
HTTP_4XX = "http_4xx"
HTTP_5XX = "http_5xx"
UNREACHABLE = "unreachable"
"""Refused, reset or ended before anything could be passed on; of a request: and nothing was left to try."""
NO_REPLICA = "no_replica"
"""No replica was ready: answered 503 without an attempt."""
TRUNCATED = "truncated"
"""The replica died after something had been passed on: the client's connection was reset. Or it ended a stream without
its terminal event."""
ERROR_EVENT = "error_event"
"""A stream with status 200 said that it failed, or that its engine gave it up."""
CLIENT_GONE = "client_gone"
SILENT = "silent"
"""Of attempts alone: a stream did not begin in time, and another replica was tried."""

OUTCOMES = (OK, HTTP_4XX, HTTP_5XX, UNREACHABLE, NO_REPLICA, TRUNCATED, ERROR_EVENT, CLIENT_GONE)
"""How a logical request can end."""
OF_ATTEMPTS = (*(each for each in OUTCOMES if each != NO_REPLICA), SILENT)
"""How an attempt can end."""

_MOST_REPLICA_LABELS = 200
_OTHER = "other"


def of_status(status: int) -> str:
    """The outcome of a complete answer."""
    return OK if status < 400 else HTTP_4XX if status < 500 else HTTP_5XX


class GatewayMetrics:
    """The gateway's families in a registry of their own."""

    def __init__(
        self,
        balancer: Balancer,
        budget: RetryBudget,
        in_flight: Callable[[], int],
        e2e_s: float | None = None,
    ) -> None:
        """`e2e_s` becomes a bucket edge: the share of requests within it is exact."""
        objectives = () if e2e_s is None else (replace(E2E, bound_s=e2e_s),)
        self.registry = Registry()
        self._requests = counter(gateway.GATEWAY_REQUESTS, self.registry)
        for outcome in OUTCOMES:
            # A series that begins with its first event shows no increase for it: rates would miss the first failures.
            self._requests.labels(outcome)
        self._attempts = counter(gateway.GATEWAY_ATTEMPTS, self.registry)
        self._retries = counter(gateway.GATEWAY_RETRIES, self.registry)
        self._seconds = histogram(with_bound(gateway.GATEWAY_REQUEST_SECONDS, objectives), self.registry)
        self._labelled: set[str] = set()
        self._ejections = counter(gateway.GATEWAY_EJECTIONS, self.registry)
        for reason in REASONS:
            self._ejections.labels(reason)
        self.registry.register(_Now(balancer, budget, in_flight))

    def request_ended(self, outcome: str, duration_s: float) -> None:
        """Count one logical request."""
        self._requests.labels(outcome).inc()
        self._seconds.labels(outcome).observe(duration_s)

    def attempt_ended(self, replica: str, outcome: str, *, retry: bool) -> None:
        """Count one attempt; replicas beyond the first 200 of a run share one label."""
        if replica not in self._labelled and len(self._labelled) < _MOST_REPLICA_LABELS:
            self._labelled.add(replica)
            for possible in OF_ATTEMPTS:
                self._attempts.labels(replica, possible)
        self._attempts.labels(replica if replica in self._labelled else _OTHER, outcome).inc()
        if retry:
            self._retries.inc()

    def ejected(self, reason: str) -> None:
        """Count one ejection, by the kind of its reason."""
        self._ejections.labels(reason).inc()


class _Now(Collector):
    """Read at each scrape, so that no bookkeeping can drift from what is so."""

    def __init__(self, balancer: Balancer, budget: RetryBudget, in_flight: Callable[[], int]) -> None:
        self._balancer = balancer
        self._budget = budget
        self._in_flight = in_flight

    def collect(self) -> Iterator[Metric]:
        """Requests in flight, attempts open per replica, who gets new requests, and what was refused or forced."""
        endpoints = tuple(self._balancer.endpoints.values())
        ejector = self._balancer.ejector
        inside = sum(endpoint.available and ejector.is_in(endpoint.name) for endpoint in endpoints)
        for family, value in (
            (gateway.GATEWAY_IN_FLIGHT, self._in_flight()),
            (gateway.GATEWAY_READY, inside),
            (gateway.GATEWAY_EJECTED, len(ejector.out)),
        ):
            gauge = gauge_snapshot(family)
            gauge.add_metric((), value)
            yield gauge
        for family, count in (
            (gateway.GATEWAY_RETRIES_REFUSED, self._budget.refused),
            (gateway.GATEWAY_PANICS, self._balancer.panics),
        ):
            counted = counter_snapshot(family)
            counted.add_metric((), count)
            yield counted
        outstanding = gauge_snapshot(gateway.GATEWAY_OUTSTANDING)
        for endpoint in endpoints:
            outstanding.add_metric((endpoint.name,), endpoint.outstanding)
        yield outstanding
