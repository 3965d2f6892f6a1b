"""Every query of the gateway's series: what clients got, and what it took. Each a named function, written once."""

from dashboards.config import GATEWAY, WORST
from dashboards.objectives import bound_s
from dashboards.promql import now, per, quantile, selector, share, share_within, total_rate, within, worst
from exporters import slo
from exporters.series import gateway

_OK = 'outcome="ok"'


def requests_by_outcome() -> str:
    """Logical requests per second, by what the client got."""
    return total_rate(gateway.GATEWAY_REQUESTS, GATEWAY, by=("outcome",))


def requests() -> str:
    """Logical requests per second that ended."""
    return total_rate(gateway.GATEWAY_REQUESTS, GATEWAY)


def served() -> str:
    """Logical requests per second that were answered completely."""
    return total_rate(gateway.GATEWAY_REQUESTS, f"{GATEWAY},{_OK}")


def served_ratio() -> str:
    """Share of logical requests that were answered completely."""
    return share(served(), requests())


def failure_ratio() -> str:
    """Share of logical requests that were not answered completely."""
    return f"1 - {served_ratio()}"


def good_ratio() -> str:
    """Share of logical requests answered completely and within the end-to-end objective, retries included."""
    return share_within(gateway.GATEWAY_REQUEST_SECONDS, bound_s(slo.E2E), f"{GATEWAY},{_OK}", of=GATEWAY)


def good() -> str:
    """Logical requests per second answered completely and within the end-to-end objective: goodput."""
    return within(gateway.GATEWAY_REQUEST_SECONDS, f"{GATEWAY},{_OK}", bound_s(slo.E2E))


def latency(q: float) -> str:
    """A quantile of arrival to last byte, over all logical requests, however they ended."""
    return quantile(q, gateway.GATEWAY_REQUEST_SECONDS, GATEWAY)


def latency_by_outcome(q: float) -> str:
    """A quantile of arrival to last byte, by what the client got."""
    return quantile(q, gateway.GATEWAY_REQUEST_SECONDS, GATEWAY, by=("outcome",))


def attempts_by_outcome() -> str:
    """Attempts per second at replicas, by how they ended."""
    return total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY, by=("outcome",))


def attempts_by_replica() -> str:
    """Attempts per second, of the replicas with the most."""
    return worst(WORST, total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY, by=("replica",)))


def failed_attempts_by_replica() -> str:
    """Attempts per second that did not end well, of the replicas with the most."""
    return worst(WORST, total_rate(gateway.GATEWAY_ATTEMPTS, f'{GATEWAY},outcome!="ok"', by=("replica",)))


def retries() -> str:
    """Retries per second."""
    return total_rate(gateway.GATEWAY_RETRIES, GATEWAY)


def attempts_per_request() -> str:
    """Attempts per logical request: 1 while nothing is retried."""
    return per(total_rate(gateway.GATEWAY_ATTEMPTS, GATEWAY), requests())


def in_flight() -> str:
    """Logical requests that the gateway holds open."""
    return now("sum", gateway.GATEWAY_IN_FLIGHT, GATEWAY)


def outstanding_by_replica() -> str:
    """Attempts open at a replica, of those with the most."""
    return worst(WORST, now("max", gateway.GATEWAY_OUTSTANDING, GATEWAY, by=("replica",)))


def ready() -> str:
    """Replicas that get new requests."""
    return now("sum", gateway.GATEWAY_READY, GATEWAY)


def scraped() -> str:
    """Gateways that answered the last scrape."""
    return f"sum (up{selector(GATEWAY)})"
