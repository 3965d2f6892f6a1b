"""Dashboard Gateway: what clients got, what it took to give it to them, and how the load was spread."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    failure_limit,
    latency_limit,
    share_limit,
    tile,
)
from dashboards.queries import gateway as query
from exporters import slo


def gateway() -> Dashboard:
    return Dashboard(
        uid="aftershock-gateway",
        title="Gateway",
        description="Logical requests as clients saw them, attempts at replicas, retries, and balance.",
        rows=(
            Row("At a glance", (*tiles(),)),
            Row("What clients got", (outcomes(), served_share(), latency_quantiles(), latency_by_outcome())),
            Row("What it took", (attempts(), retries(), attempts_per_request(), failed_attempts())),
            Row("Balance", (attempts_by_replica(), outstanding(), in_flight(), ready())),
            Row("Out of rotation", (ejected(), ejections())),
        ),
        variables=(*variables.PLACES, variables.GATEWAY_JOB, variables.EXPERIMENT),
    )


def tiles() -> tuple[Panel, ...]:
    return (
        *(load(), failures(), retries_now(), p99()),
        tile("In flight", "Requests the gateway holds open.", "short", Query(query.in_flight(), "in flight")),
        tile(
            "Replicas in rotation", "Replicas that get new requests.", "short", Query(query.ready(), "ready")
        ),
    )


def load() -> Panel:
    return tile(
        "Requests", "Logical requests that ended, per second.", "reqps", Query(query.requests(), "requests")
    )


def failures() -> Panel:
    return tile(
        "Failed",
        "Share of logical requests that were not answered completely.",
        "percentunit",
        Query(query.failure_ratio(), "failed"),
        failure_limit(slo.AVAILABILITY),
    )


def retries_now() -> Panel:
    return tile(
        "Retries", "Attempts beyond the first, per second.", "reqps", Query(query.retries(), "retries")
    )


def p99() -> Panel:
    return tile(
        "P99",
        "P99 of arrival to last byte, retries included. An estimate between bucket edges.",
        "s",
        Query(query.latency(0.99), "P99"),
        latency_limit(slo.E2E),
    )


def outcomes() -> Panel:
    return Panel(
        "Requests by outcome",
        "Logical requests that ended, per second, by what the client got. Everything but ok is a failure.",
        "reqps",
        (Query(query.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def served_share() -> Panel:
    return Panel(
        "Served, and served in time",
        "Share of logical requests answered completely, and answered completely within the end-to-end objective. "
        "The line is the availability objective.",
        "percentunit",
        (Query(query.served_ratio(), "answered"), Query(query.good_ratio(), "answered in time")),
        limit=share_limit(slo.AVAILABILITY),
        maximum=1,
    )


def latency_quantiles() -> Panel:
    return Panel(
        "Latency",
        "Arrival at the gateway to the last byte, retries included, however it ended. Estimates between bucket "
        "edges; the line is the end-to-end objective.",
        "s",
        tuple(Query(query.latency(q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=latency_limit(slo.E2E),
        min_step=config.QUANTILE_MIN_STEP,
    )


def latency_by_outcome() -> Panel:
    return Panel(
        "P99 by outcome",
        "The same P99 apart by what the client got: fast failures pull a common quantile down.",
        "s",
        (Query(query.latency_by_outcome(0.99), "{{outcome}}"),),
        min_step=config.QUANTILE_MIN_STEP,
    )


def attempts() -> Panel:
    return Panel(
        "Attempts by outcome",
        "Attempts at replicas, per second, by how they ended. More attempts than requests are retries.",
        "reqps",
        (Query(query.attempts_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def retries() -> Panel:
    return Panel(
        "Retries",
        "Attempts beyond the first of their request, per second, and those that the retry budget refused.",
        "reqps",
        (Query(query.retries(), "retries"), Query(query.retries_refused(), "refused")),
    )


def attempts_per_request() -> Panel:
    return Panel(
        "Attempts per request",
        "1 while nothing is retried. In an outage retries add load exactly when there is least room for it.",
        "suffix:x",
        (Query(query.attempts_per_request(), "attempts per request"),),
    )


def failed_attempts() -> Panel:
    return Panel(
        "Failed attempts by replica",
        "Attempts that did not end well, per second, of the replicas with the most: a gray replica stands out.",
        "reqps",
        (Query(query.failed_attempts_by_replica(), "{{replica}}"),),
        no_value="no attempt has failed",
    )


def attempts_by_replica() -> Panel:
    return Panel(
        "Attempts by replica",
        "Attempts per second, of the replicas with the most. Even is what the balancer aims at.",
        "reqps",
        (Query(query.attempts_by_replica(), "{{replica}}"),),
    )


def outstanding() -> Panel:
    return Panel(
        "Open attempts by replica",
        "The gateway picks the replica with the fewest. One that only grows does not answer.",
        "short",
        (Query(query.outstanding_by_replica(), "{{replica}}"),),
    )


def in_flight() -> Panel:
    return Panel(
        "Requests in flight",
        "Logical requests that the gateway holds open. Under open-loop load it grows while service is short.",
        "short",
        (Query(query.in_flight(), "in flight"),),
    )


def ready() -> Panel:
    return Panel(
        "Replicas in rotation",
        "Replicas that get new requests: a drop is a fault noticed, the rise after it is capacity recovered.",
        "short",
        (Query(query.ready(), "in rotation"),),
    )


def ejected() -> Panel:
    return Panel(
        "Replicas ejected",
        "Replicas that are ready and get no requests, because they did worse than their peers.",
        "short",
        (Query(query.ejected(), "ejected"),),
    )


def ejections() -> Panel:
    return Panel(
        "Ejections",
        "Times per second that a replica was ejected, by what it was worse at; and attempts that ejected replicas got "
        "all the same, because every ready one was ejected.",
        "suffix:/s",
        (Query(query.ejections(), "{{reason}}"), Query(query.panics(), "attempts at ejected replicas")),
    )
