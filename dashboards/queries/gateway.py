"""Every query of the gateway's series: what clients got, and what it took. Each a named function, written once."""

from dashboards.config import GATEWAY, WORST
from dashboards.queries.expression import Expression, Matcher, promql
from dashboards.queries.promql import (
    OK,
    now,
    of_scrapes,
    per,
    quantile,
    share,
    share_within,
    total_rate,
    within,
    worst,
)
from exporters import slo
from exporters.series import gateway


def requests_by_outcome() -> Expression:
    """Logical requests per second, by what the client got."""
    return total_rate(gateway.GATEWAY_REQUESTS, GATEWAY, by=("outcome",))


def requests() -> Expression:
    """Logical requests per second that ended."""
    return total_rate(gateway.GATEWAY_REQUESTS, GATEWAY)


def served() -> Expression:
    """Logical requests per second that were answered completely."""
    return total_rate(gateway.GATEWAY_REQUESTS, GATEWAY, OK)


def served_ratio() -> Expression:
    """Share of logical requests that were answered completely."""
    return share(served(), requests())


def failure_ratio() -> Expression:
    """Share of logical requests that were not answered completely."""
    return promql("1 - {served}", served=served_ratio())


def good_ratio() -> Expression:
    """Share of logical requests answered completely and within the end-to-end objective, retries included."""
    return share_within(gateway.GATEWAY_REQUEST_SECONDS, GATEWAY, slo.E2E, OK)


def good() -> Expression:
    """Logical requests per second answered completely and within the end-to-end objective: goodput."""
    return within(gateway.GATEWAY_REQUEST_SECONDS, GATEWAY, slo.E2E, OK)


def latency(q: float) -> Expression:
    """A quantile of arrival to last byte, over all logical requests, however they ended."""
    return quantile(q, gateway.GATEWAY_REQUEST_SECONDS, GATEWAY)


def latency_by_outcome(q: float) -> Expression:
    """A quantile of arrival to last byte, by what the client got."""
    return quantile(q, gateway.GATEWAY_REQUEST_SECONDS, GATEWAY, by=("outcome",))


def attempts_by_outcome() -> Expression:
    """Attempts per second at replicas, by how they ended."""
    return total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY, by=("outcome",))


def attempts_by_replica() -> Expression:
    """Attempts per second, of the replicas with the most."""
    return worst(WORST, total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY, by=("replica",)))


def failed_attempts_by_replica() -> Expression:
    """Attempts per second that did not end well, of the replicas with the most."""
    failed = Matcher("outcome", "!=", "ok")
    return worst(WORST, total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY, failed, by=("replica",)))


def retries() -> Expression:
    """Retries per second."""
    return total_rate(gateway.GATEWAY_RETRIES, GATEWAY)


def attempts_per_request() -> Expression:
    """Attempts per logical request: 1 while nothing is retried."""
    return per(total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY), requests())


def in_flight() -> Expression:
    """Logical requests that the gateway holds open."""
    return now("sum", gateway.GATEWAY_IN_FLIGHT, GATEWAY)


def outstanding_by_replica() -> Expression:
    """Attempts open at a replica, of those with the most."""
    return worst(WORST, now("max", gateway.GATEWAY_OUTSTANDING, GATEWAY, by=("replica",)))


def ready() -> Expression:
    """Replicas that get new requests."""
    return now("sum", gateway.GATEWAY_READY, GATEWAY)


def ejected() -> Expression:
    """Replicas out of rotation because they did worse than their peers."""
    return now("sum", gateway.GATEWAY_EJECTED, GATEWAY)


def ejections() -> Expression:
    """Ejections per second, by what the replica was worse at."""
    return total_rate(gateway.GATEWAY_EJECTIONS, GATEWAY, by=("reason",))


def retries_refused() -> Expression:
    """Retries per second that the budget refused."""
    return total_rate(gateway.GATEWAY_RETRIES_REFUSED, GATEWAY)


def panics() -> Expression:
    """Attempts per second at ejected replicas, because every ready one was ejected."""
    return total_rate(gateway.GATEWAY_PANICS, GATEWAY)


def scraped() -> Expression:
    """Gateways that answered the last scrape."""
    return of_scrapes("sum ({up})", GATEWAY)
