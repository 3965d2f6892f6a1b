"""Dashboard Gateway: what clients got, what it took to give it to them, and how the load was spread."""

from dashboards import config
from dashboards import gateway_queries as query
from dashboards.objectives import failure_limit, latency_limit, share_limit
from dashboards.panels import Dashboard, Panel, Row, Target, tile
from exporters import slo


def gateway() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-gateway",
        title="Gateway",
        description="Logical requests as clients saw them, attempts at replicas, retries, and balance.",
        rows=(
            Row("At a glance", (*tiles(),)),
            Row("What clients got", (outcomes(), served_share(), latency_quantiles(), latency_by_outcome())),
            Row("What it took", (attempts(), retries(), attempts_per_request(), failed_attempts())),
            Row("Balance", (attempts_by_replica(), outstanding(), in_flight(), ready())),
        ),
        variables=(config.GATEWAY_JOB,),
    )


def tiles() -> tuple[Panel, ...]:
    """Six figures of now."""
    return (
        *(load(), failures(), retries_now(), p99()),
        tile(
            "In flight", "Requests the gateway holds open.", "short", Target(query.in_flight(), "in flight")
        ),
        tile(
            "Replicas in rotation", "Replicas that get new requests.", "short", Target(query.ready(), "ready")
        ),
    )


def load() -> Panel:
    """A tile."""
    return tile(
        "Requests", "Logical requests that ended, per second.", "reqps", Target(query.requests(), "requests")
    )


def failures() -> Panel:
    """A tile."""
    return tile(
        "Failed",
        "Share of logical requests that were not answered completely.",
        "percentunit",
        Target(query.failure_ratio(), "failed"),
        failure_limit(slo.AVAILABILITY),
    )


def retries_now() -> Panel:
    """A tile."""
    return tile(
        "Retries", "Attempts beyond the first, per second.", "reqps", Target(query.retries(), "retries")
    )


def p99() -> Panel:
    """A tile."""
    return tile(
        "P99",
        "P99 of arrival to last byte, retries included. An estimate between bucket edges.",
        "s",
        Target(query.latency(0.99), "P99"),
        latency_limit(slo.E2E),
    )


def outcomes() -> Panel:
    """What clients got."""
    return Panel(
        "Requests by outcome",
        "Logical requests that ended, per second, by what the client got. Everything but ok is a failure.",
        "reqps",
        (Target(query.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def served_share() -> Panel:
    """The share that was answered, and answered in time."""
    return Panel(
        "Served, and served in time",
        "Share of logical requests answered completely, and answered completely within the end-to-end objective. "
        "The line is the availability objective.",
        "percentunit",
        (Target(query.served_ratio(), "answered"), Target(query.good_ratio(), "answered in time")),
        limit=share_limit(slo.AVAILABILITY),
        maximum=1,
    )


def latency_quantiles() -> Panel:
    """Latency of all requests."""
    return Panel(
        "Latency",
        "Arrival at the gateway to the last byte, retries included, however it ended. Estimates between bucket "
        "edges; the line is the end-to-end objective.",
        "s",
        tuple(Target(query.latency(q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=latency_limit(slo.E2E),
        min_step=config.QUANTILE_MIN_STEP,
    )


def latency_by_outcome() -> Panel:
    """Failures are often fast, or as slow as a timeout."""
    return Panel(
        "P99 by outcome",
        "The same P99 apart by what the client got: fast failures pull a common quantile down.",
        "s",
        (Target(query.latency_by_outcome(0.99), "{{outcome}}"),),
        min_step=config.QUANTILE_MIN_STEP,
    )


def attempts() -> Panel:
    """What replicas did with the attempts."""
    return Panel(
        "Attempts by outcome",
        "Attempts at replicas, per second, by how they ended. More attempts than requests are retries.",
        "reqps",
        (Target(query.attempts_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def retries() -> Panel:
    """Retries over time."""
    return Panel(
        "Retries",
        "Attempts beyond the first of their request, per second.",
        "reqps",
        (Target(query.retries(), "retries"),),
    )


def attempts_per_request() -> Panel:
    """How much retries add to the load."""
    return Panel(
        "Attempts per request",
        "1 while nothing is retried. In an outage retries add load exactly when there is least room for it.",
        "suffix:x",
        (Target(query.attempts_per_request(), "attempts per request"),),
    )


def failed_attempts() -> Panel:
    """Which replicas fail."""
    return Panel(
        "Failed attempts by replica",
        "Attempts that did not end well, per second, of the replicas with the most: a gray replica stands out.",
        "reqps",
        (Target(query.failed_attempts_by_replica(), "{{replica}}"),),
        no_value="no attempt has failed",
    )


def attempts_by_replica() -> Panel:
    """Where the load goes."""
    return Panel(
        "Attempts by replica",
        "Attempts per second, of the replicas with the most. Even is what the balancer aims at.",
        "reqps",
        (Target(query.attempts_by_replica(), "{{replica}}"),),
    )


def outstanding() -> Panel:
    """What the balancer looks at."""
    return Panel(
        "Open attempts by replica",
        "The gateway picks the replica with the fewest. One that only grows does not answer.",
        "short",
        (Target(query.outstanding_by_replica(), "{{replica}}"),),
    )


def in_flight() -> Panel:
    """Requests held open."""
    return Panel(
        "Requests in flight",
        "Logical requests that the gateway holds open. Under open-loop load it grows while service is short.",
        "short",
        (Target(query.in_flight(), "in flight"),),
    )


def ready() -> Panel:
    """Replicas in rotation."""
    return Panel(
        "Replicas in rotation",
        "Replicas that get new requests: a drop is a fault noticed, the rise after it is capacity recovered.",
        "short",
        (Target(query.ready(), "in rotation"),),
    )
