"""Dashboard Queue and batching: how long requests wait, whether the queue moves, and what the batch makes of it."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Panel, Query, Row, failure_limit, latency_limit, tile
from dashboards.queries import replicas as queries
from exporters import slo


def queueing() -> Dashboard:
    return Dashboard(
        uid="aftershock-queue",
        title="Queue and batching",
        description="Waiting requests and their ages, time in the queue, batch sizes, and throughput of the batch.",
        rows=(
            Row("Now", (waiting_now(), oldest_now(), p99_now(), running_now(), rejected_now(), pace_now())),
            Row("Queue", (queue_time(), oldest(), waiting(), waiting_by_replica())),
            Row("Batch", (running(), pace(), throughput(), gaps())),
        ),
        variables=(*variables.OF_REPLICAS, variables.EXPERIMENT),
    )


def waiting_now() -> Panel:
    return tile("Waiting", _WAITING, "short", Query(queries.waiting(), "waiting"))


def oldest_now() -> Panel:
    limit = latency_limit(slo.TTFT)
    return tile("Oldest waiting", _OLDEST, "s", Query(queries.oldest_queued_s(), "oldest"), limit)


def p99_now() -> Panel:
    p99 = Query(queries.latency("queue_seconds", 0.99), "P99")
    return tile("Queue time P99", _QUEUE_TIME, "s", p99, latency_limit(slo.TTFT))


def running_now() -> Panel:
    return tile(
        "Running", "Requests being computed, in all replicas.", "short", Query(queries.running(), "running")
    )


def rejected_now() -> Panel:
    return tile(
        "Rejected",
        "Share of ended requests that were never admitted: the queue was full.",
        "percentunit",
        Query(queries.rejected_ratio(), "rejected"),
        failure_limit(slo.AVAILABILITY),
    )


def pace_now() -> Panel:
    return tile("Pace", _PACE, "suffix:tok/s", Query(queries.tokens_per_running_request(), "pace"))


def queue_time() -> Panel:
    return Panel(
        "Time in the queue",
        f"{_QUEUE_TIME} The line is the objective for the first token, which waiting alone can use up.",
        "s",
        tuple(Query(queries.latency("queue_seconds", q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=latency_limit(slo.TTFT),
        min_step=config.QUANTILE_MIN_STEP,
    )


def oldest() -> Panel:
    return Panel(
        "Oldest waiting request by replica",
        f"{_OLDEST} Of the {config.WORST} replicas where it is oldest.",
        "s",
        (Query(queries.oldest_queued_by_replica_s(), "{{pod}}"),),
        limit=latency_limit(slo.TTFT),
    )


def waiting() -> Panel:
    return Panel(
        "Waiting and running",
        "Requests not yet scheduled, and requests being computed. Waiting grows while running stands at its limit: "
        "the fleet is too small. Waiting grows while running falls: something is stuck.",
        "short",
        (Query(queries.waiting(), "waiting"), Query(queries.running(), "running")),
    )


def waiting_by_replica() -> Panel:
    return Panel(
        "Waiting by replica",
        f"Of the {config.WORST} replicas with the most: uneven queues under even load are one replica's trouble.",
        "short",
        (Query(queries.waiting_by_replica(), "{{pod}}"),),
    )


def running() -> Panel:
    return Panel(
        "Batch by replica",
        f"Requests being computed together, of the {config.WORST} replicas with the most.",
        "short",
        (Query(queries.running_by_replica(), "{{pod}}"),),
    )


def pace() -> Panel:
    return Panel(
        "Pace of one request",
        _PACE,
        "suffix:tok/s",
        (Query(queries.tokens_per_running_request(), "tokens per second and request"),),
    )


def throughput() -> Panel:
    return Panel(
        "Tokens",
        "Tokens per second of all replicas: prompt tokens when their request ends, generated ones at once.",
        "suffix:tok/s",
        (Query(queries.tokens_by_direction(), "{{direction}}"),),
    )


def gaps() -> Panel:
    return Panel(
        "Gap between tokens",
        "A larger batch, or long prompts computed in between, make gaps longer. The line is the objective.",
        "s",
        tuple(Query(queries.latency("itl_seconds", q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=latency_limit(slo.ITL),
        min_step=config.QUANTILE_MIN_STEP,
    )


_WAITING = "Requests accepted and not yet scheduled, in all replicas."
_OLDEST = (
    "Age of the request that has waited longest, 0 when none waits. A queue that is stuck shows here alone: "
    "what never leaves it is in no histogram."
)
_QUEUE_TIME = "Acceptance to first schedule, or to the end of a request that ended in the queue."
_PACE = "Generated tokens per second for each request being computed: falls as the batch grows."
