"""Dashboard Queue and batching: how long requests wait, whether the queue moves, and what the batch makes of it."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Panel, Query, Row, failure_limit, latency_limit, tile
from dashboards.queries import engine as engine_queries
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
            Row(
                "Steps of the engine",
                (step_sequences(), step_tokens(), steps(), preemptions(), idle(), bandwidth()),
            ),
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
        (Query(queries.tokens_per_running_request(), "tokens/s of one request"),),
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


def step_sequences() -> Panel:
    return Panel(
        "Requests in a step",
        "Mean requests that ran when a step ended, weighted by steps: how full the batch is. One replica's replacement "
        "starts with few.",
        "short",
        (Query(engine_queries.sequences_per_step(), "requests"),),
        no_value=_NO_ENGINE,
    )


def step_tokens() -> Panel:
    return Panel(
        "Tokens in a step",
        "Mean tokens that a step computed, of prompts and answers. Far above the requests in a step, prompts are being "
        "computed: gaps between tokens grow.",
        "suffix:tok",
        (Query(engine_queries.tokens_per_step(), "tokens"),),
        no_value=_NO_ENGINE,
    )


def steps() -> Panel:
    return Panel(
        "Steps by how they are launched",
        "Per second: replayed from a captured graph, or eagerly, kernel by kernel. Eager steps on a GPU cost the host "
        "more than the device; on a CPU every step is eager.",
        "suffix:/s",
        (Query(engine_queries.steps_by_launch(), "{{result}}"),),
        stacked=True,
        no_value=_NO_ENGINE,
    )


def preemptions() -> Panel:
    return Panel(
        "Preemptions by replica",
        "Running requests per second that lost their KV blocks and wait to be computed again, of the "
        f"{config.WORST} replicas with the most. Their clients see a long gap, and tokens are computed twice.",
        "suffix:/s",
        (Query(engine_queries.preemptions_by_replica(), "{{pod}}"),),
        no_value="the server counts none",
    )


def idle() -> Panel:
    return Panel(
        "Device idle between steps",
        f"Share of the time that the device had nothing to do although requests ran, of the {config.WORST} replicas "
        "with the most: what the host's part of a step costs.",
        "percentunit",
        (Query(engine_queries.idle_share_by_replica(), "{{pod}}"),),
        no_value=_NO_ENGINE,
    )


def bandwidth() -> Panel:
    return Panel(
        "Memory bandwidth used",
        "Bytes that recent steps had to read, by their time, by what a copy on the device moves; of the "
        f"{config.WORST} replicas with the least. Near 1 while decoding, a step cannot be faster.",
        "percentunit",
        (Query(engine_queries.bandwidth_by_replica(), "{{pod}}"),),
        maximum=1,
        no_value="not measured: no GPU, or a server that is no engine",
    )


_NO_ENGINE = "the server tells nothing of its steps"
_WAITING = "Requests accepted and not yet scheduled, in all replicas."
_OLDEST = (
    "Age of the request that has waited longest, 0 when none waits. A queue that is stuck shows here alone: "
    "what never leaves it is in no histogram."
)
_QUEUE_TIME = "Acceptance to first schedule, or to the end of a request that ended in the queue."
_PACE = "Generated tokens per second for each request being computed: falls as the batch grows."
