"""Every exported series, declared once as data; standard library only.

Bucket edges contain every SLO bound, so the share of requests within an objective is exact, not interpolated.
"""

from exporters import cluster_metrics, engine_metrics, gpu_metrics
from exporters.families import Family, edges
from exporters.slo import E2E_BOUND_S, ITL_BOUND_S, TTFT_BOUND_S

OUTCOMES = ("ok", "error", "timeout", "aborted", "rejected")
"""How a server's request can end: aborted by the client, timed out or rejected by the server, or failed."""
DIRECTIONS = ("prompt", "generation")
STREAMING = ("true", "false")


# Common edges of vLLM and of OpenTelemetry's GenAI conventions are kept, so that shares at them compare
# across engines; finer ones are added, because a P99 inside the first or a wide bucket says nothing.
_E2E_EDGES = edges(
    *(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 60, 120),
    bound_s=E2E_BOUND_S,
)
_TTFT_EDGES = edges(
    *(0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.35),
    *(0.75, 1, 1.5, 2.5, 5, 7.5, 10, 20, 40),
    bound_s=TTFT_BOUND_S,
)
_TOKEN_EDGES = edges(
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15),
    *(0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    bound_s=ITL_BOUND_S,
)
_QUEUE_EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)

INFERENCE_LATENCY = Family(
    "ds_inference_latency_seconds",
    "histogram",
    "Acceptance to end, exactly once per request, whatever its outcome.",
    unit="seconds",
    labels=("model", "outcome", "streaming"),
    buckets=_E2E_EDGES,
)
TIME_TO_FIRST_TOKEN = Family(
    "ds_time_to_first_token_seconds",
    "histogram",
    "Acceptance to first token, once per request that got one. "
    "For the share of all requests, divide by ds_requests_total.",
    unit="seconds",
    labels=("model",),
    buckets=_TTFT_EDGES,
)
TIME_PER_OUTPUT_TOKEN = Family(
    "ds_time_per_output_token_seconds",
    "histogram",
    "(last token - first token) / (output tokens - 1), once per ended request of two tokens or more.",
    unit="seconds",
    labels=("model",),
    buckets=_TOKEN_EDGES,
)
INTER_TOKEN_LATENCY = Family(
    "ds_inter_token_latency_seconds",
    "histogram",
    "Gap between consecutive tokens of a request, once per gap.",
    unit="seconds",
    labels=("model",),
    buckets=_TOKEN_EDGES,
)
QUEUE_TIME = Family(
    "ds_queue_time_seconds",
    "histogram",
    "Acceptance to first schedule, or to the end of a request that ended in the queue. "
    "Rejected ones never queued.",
    unit="seconds",
    labels=("model",),
    buckets=_QUEUE_EDGES,
)
REQUESTS = Family(
    "ds_requests_total",
    "counter",
    "Requests that ended: ok, error, timeout, aborted (the client left) or rejected (never admitted).",
    unit="requests",
    labels=("model", "outcome"),
)
TOKENS = Family(
    "ds_tokens_total",
    "counter",
    "Tokens by direction: generation as each is produced, prompt when the request ends.",
    unit="tokens",
    labels=("model", "direction"),
)
REQUESTS_RUNNING = Family(
    "ds_requests_running", "gauge", "Requests being computed.", unit="requests", labels=("model",)
)
REQUESTS_WAITING = Family(
    "ds_requests_waiting",
    "gauge",
    "Requests accepted and not yet scheduled.",
    unit="requests",
    labels=("model",),
)
OLDEST_QUEUED_AGE = Family(
    "ds_oldest_queued_request_age_seconds",
    "gauge",
    "Age of the request that has waited longest, 0 when none waits. A stuck queue shows here alone.",
    unit="seconds",
    labels=("model",),
)
KV_CACHE_USAGE = Family(
    "ds_kv_cache_usage_ratio",
    "gauge",
    "Used share of the KV cache, 0 to 1.",
    unit="ratio",
    labels=("model",),
)
KV_CACHE_FRAGMENTATION = Family(
    "ds_kv_cache_fragmentation_ratio",
    "gauge",
    "Share of the KV cache's reserved slots that hold no token yet; absent where the server does not report it.",
    unit="ratio",
    labels=("model",),
)
CACHE_QUERIES = Family(
    "ds_cache_queries_total",
    "counter",
    "Prompt tokens looked up in a cache tier.",
    unit="tokens",
    labels=("model", "tier"),
)
CACHE_HITS = Family(
    "ds_cache_hits_total",
    "counter",
    "Prompt tokens found in a cache tier.",
    unit="tokens",
    labels=("model", "tier"),
)
CACHE_HIT_RATIO = Family(
    "ds_cache_hit_ratio",
    "gauge",
    "ds_cache_hits_total / ds_cache_queries_total since start, absent before the first lookup. "
    "Over a window or several replicas, divide the rates of the counters instead.",
    unit="ratio",
    labels=("model", "tier"),
)
BUILD_INFO = Family(
    "ds_build_info", "gauge", "Always 1; the labels say what runs.", labels=("version", "python")
)

COLLECTOR_SUCCESS = Family(
    "ds_collector_success",
    "gauge",
    "1 when the collector's part of this scrape is complete, 0 when it failed.",
    labels=("collector",),
)
COLLECTOR_DURATION = Family(
    "ds_collector_duration_seconds",
    "gauge",
    "How long the collector took in this scrape.",
    unit="seconds",
    labels=("collector",),
)

GATEWAY_REQUESTS = Family(
    "ds_gateway_requests_total",
    "counter",
    "Logical requests that ended at the gateway, however many replicas they tried, by what the client got.",
    unit="requests",
    labels=("outcome",),
)
GATEWAY_ATTEMPTS = Family(
    "ds_gateway_attempts_total",
    "counter",
    "Attempts that ended at one replica, by how.",
    unit="attempts",
    labels=("replica", "outcome"),
)
GATEWAY_RETRIES = Family(
    "ds_gateway_retries_total",
    "counter",
    "Attempts beyond the first of their request.",
    unit="attempts",
)
GATEWAY_IN_FLIGHT = Family(
    "ds_gateway_requests_in_flight",
    "gauge",
    "Logical requests that the gateway holds open.",
    unit="requests",
)
GATEWAY_REQUEST_SECONDS = Family(
    "ds_gateway_request_seconds",
    "histogram",
    "Arrival at the gateway to the last byte, retries included, exactly once per logical request.",
    unit="seconds",
    labels=("outcome",),
    buckets=_E2E_EDGES,
)
GATEWAY_OUTSTANDING = Family(
    "ds_gateway_replica_outstanding",
    "gauge",
    "Attempts open at the replica: the gateway picks the replica with the fewest.",
    unit="attempts",
    labels=("replica",),
)
GATEWAY_READY = Family(
    "ds_gateway_replicas_ready",
    "gauge",
    "Replicas that get new requests.",
    unit="replicas",
)

GROUPS = {
    "Inference server": (
        *(INFERENCE_LATENCY, TIME_TO_FIRST_TOKEN, TIME_PER_OUTPUT_TOKEN, INTER_TOKEN_LATENCY, QUEUE_TIME),
        *(REQUESTS, TOKENS, REQUESTS_RUNNING, REQUESTS_WAITING, OLDEST_QUEUED_AGE),
        *(KV_CACHE_USAGE, KV_CACHE_FRAGMENTATION, CACHE_QUERIES, CACHE_HITS, CACHE_HIT_RATIO, BUILD_INFO),
    ),
    "Inference engine": engine_metrics.FAMILIES,
    "GPU": gpu_metrics.FAMILIES,
    "Collectors": (COLLECTOR_SUCCESS, COLLECTOR_DURATION),
    "Gateway": (
        *(GATEWAY_REQUESTS, GATEWAY_ATTEMPTS, GATEWAY_RETRIES, GATEWAY_IN_FLIGHT),
        *(GATEWAY_REQUEST_SECONDS, GATEWAY_OUTSTANDING, GATEWAY_READY),
    ),
    **cluster_metrics.GROUPS,
}
"""The families by the part that exports them."""
