"""Dashboard Queue and batching: how long requests wait, whether the queue moves, and what the batch makes of it."""

from dashboards import config, objectives, queries
from dashboards.panels import Dashboard, Panel, Row, Target, tile
from exporters import slo
from exporters.series import server


def queueing() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-queue",
        title="Queue and batching",
        description="Waiting requests and their ages, time in the queue, batch sizes, and throughput of the batch.",
        rows=(
            Row("Now", (waiting_now(), oldest_now(), p99_now(), running_now(), rejected_now(), pace_now())),
            Row("Queue", (queue_time(), oldest(), waiting(), waiting_by_replica())),
            Row("Batch", (running(), pace(), throughput(), gaps())),
        ),
        variables=(config.JOB, config.POD),
    )


def waiting_now() -> Panel:
    """A tile."""
    return tile("Waiting", _WAITING, "short", Target(queries.waiting(), "waiting"))


def oldest_now() -> Panel:
    """A tile."""
    limit = objectives.latency_limit(slo.TTFT)
    return tile("Oldest waiting", _OLDEST, "s", Target(queries.oldest_queued_s(), "oldest"), limit)


def p99_now() -> Panel:
    """A tile."""
    p99 = Target(queries.latency(server.QUEUE_TIME, 0.99), "P99")
    return tile("Queue time P99", _QUEUE_TIME, "s", p99, objectives.latency_limit(slo.TTFT))


def running_now() -> Panel:
    """A tile."""
    return tile(
        "Running", "Requests being computed, in all replicas.", "short", Target(queries.running(), "running")
    )


def rejected_now() -> Panel:
    """A tile."""
    return tile(
        "Rejected",
        "Share of ended requests that were never admitted: the queue was full.",
        "percentunit",
        Target(queries.rejected_ratio(), "rejected"),
        objectives.failure_limit(slo.AVAILABILITY),
    )


def pace_now() -> Panel:
    """A tile."""
    return tile("Pace", _PACE, "suffix:tok/s", Target(queries.tokens_per_running_request(), "pace"))


def queue_time() -> Panel:
    """How long requests waited."""
    return Panel(
        "Time in the queue",
        f"{_QUEUE_TIME} The line is the objective for the first token, which waiting alone can use up.",
        "s",
        tuple(Target(queries.latency(server.QUEUE_TIME, q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=objectives.latency_limit(slo.TTFT),
        min_step=config.QUANTILE_MIN_STEP,
    )


def oldest() -> Panel:
    """How long the unluckiest has been waiting."""
    return Panel(
        "Oldest waiting request by replica",
        f"{_OLDEST} Of the {config.WORST} replicas where it is oldest.",
        "s",
        (Target(queries.oldest_queued_by_replica_s(), "{{pod}}"),),
        limit=objectives.latency_limit(slo.TTFT),
    )


def waiting() -> Panel:
    """The queue of the fleet, beside what is running."""
    return Panel(
        "Waiting and running",
        "Requests not yet scheduled, and requests being computed. Waiting grows while running stands at its limit: "
        "the fleet is too small. Waiting grows while running falls: something is stuck.",
        "short",
        (Target(queries.waiting(), "waiting"), Target(queries.running(), "running")),
    )


def waiting_by_replica() -> Panel:
    """The queue of each replica."""
    return Panel(
        "Waiting by replica",
        f"Of the {config.WORST} replicas with the most: uneven queues under even load are one replica's trouble.",
        "short",
        (Target(queries.waiting_by_replica(), "{{pod}}"),),
    )


def running() -> Panel:
    """Batch sizes."""
    return Panel(
        "Batch by replica",
        f"Requests being computed together, of the {config.WORST} replicas with the most.",
        "short",
        (Target(queries.running_by_replica(), "{{pod}}"),),
    )


def pace() -> Panel:
    """What a user sees of the batch."""
    return Panel(
        "Pace of one request",
        _PACE,
        "suffix:tok/s",
        (Target(queries.tokens_per_running_request(), "tokens per second and request"),),
    )


def throughput() -> Panel:
    """What the fleet gets out of the batch."""
    return Panel(
        "Tokens",
        "Tokens per second of all replicas: prompt tokens when their request ends, generated ones at once.",
        "suffix:tok/s",
        (Target(queries.tokens_by_direction(), "{{direction}}"),),
    )


def gaps() -> Panel:
    """What batching costs."""
    family = server.INTER_TOKEN_LATENCY
    return Panel(
        "Gap between tokens",
        "A larger batch, or long prompts computed in between, make gaps longer. The line is the objective.",
        "s",
        tuple(Target(queries.latency(family, q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=objectives.latency_limit(slo.ITL),
        min_step=config.QUANTILE_MIN_STEP,
    )


_WAITING = "Requests accepted and not yet scheduled, in all replicas."
_OLDEST = (
    "Age of the request that has waited longest, 0 when none waits. A queue that is stuck shows here alone: "
    "what never leaves it is in no histogram."
)
_QUEUE_TIME = "Acceptance to first schedule, or to the end of a request that ended in the queue."
_PACE = "Generated tokens per second for each request being computed: falls as the batch grows."
