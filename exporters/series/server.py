"""The series of an inference server: its requests, their tokens and times, its queue and its caches.

Bucket edges contain every SLO bound, so the share of requests within an objective is exact, not interpolated.
"""

from exporters.series.family import Family, edges
from exporters.slo import E2E_BOUND_S, ITL_BOUND_S, TTFT_BOUND_S

OUTCOMES = ("ok", "error", "timeout", "aborted", "rejected")
"""How a server's request can end: aborted by the client, timed out or rejected by the server, or failed."""
DIRECTIONS = ("prompt", "generation")
INVALID_REASONS = ("body", "field", "unserved", "context_length", "unknown_model", "too_large")
"""Why a request was none: no JSON object; a value that is not understood; a field that is not served; too many tokens;
a model that is not here; too many bytes."""
STREAMING = ("true", "false")


# Common edges of vLLM and of OpenTelemetry's GenAI conventions are kept, so that shares at them compare
# across engines; finer ones are added, because a P99 inside the first or a wide bucket says nothing.
E2E_EDGES = edges(
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
    buckets=E2E_EDGES,
    objective="e2e",
    signal="e2e_seconds",
)
TIME_TO_FIRST_TOKEN = Family(
    "ds_time_to_first_token_seconds",
    "histogram",
    "Acceptance to first token, once per request that got one. "
    "For the share of all requests, divide by ds_requests_total.",
    unit="seconds",
    labels=("model",),
    buckets=_TTFT_EDGES,
    objective="ttft",
    signal="ttft_seconds",
)
TIME_PER_OUTPUT_TOKEN = Family(
    "ds_time_per_output_token_seconds",
    "histogram",
    "(last token - first token) / (output tokens - 1), once per ended request of two tokens or more.",
    unit="seconds",
    labels=("model",),
    buckets=_TOKEN_EDGES,
    objective="tpot",
    signal="tpot_seconds",
)
INTER_TOKEN_LATENCY = Family(
    "ds_inter_token_latency_seconds",
    "histogram",
    "Gap between consecutive tokens of a request, once per gap.",
    unit="seconds",
    labels=("model",),
    buckets=_TOKEN_EDGES,
    objective="itl",
    signal="itl_seconds",
)
QUEUE_TIME = Family(
    "ds_queue_time_seconds",
    "histogram",
    "Acceptance to first schedule, or to the end of a request that ended in the queue. "
    "Rejected ones never queued.",
    unit="seconds",
    labels=("model",),
    buckets=_QUEUE_EDGES,
    signal="queue_seconds",
)
REQUESTS = Family(
    "ds_requests_total",
    "counter",
    "Requests that ended: ok, error, timeout, aborted (the client left) or rejected (never admitted).",
    unit="requests",
    labels=("model", "outcome"),
    signal="request",
)
INVALID_REQUESTS = Family(
    "ds_invalid_requests_total",
    "counter",
    "Requests answered 4xx because they cannot succeed as they are, by why: body (no JSON object), field (a value that "
    "is not understood), unserved (a field that is not served), context_length, unknown_model, too_large (bytes). They "
    "are in no other series. Absent where the server does not count them.",
    unit="requests",
    labels=("model", "reason"),
)
TOKENS = Family(
    "ds_tokens_total",
    "counter",
    "Tokens by direction: generation as each is produced, prompt when the request ends.",
    unit="tokens",
    labels=("model", "direction"),
    signal="tokens",
)
REQUESTS_RUNNING = Family(
    "ds_requests_running",
    "gauge",
    "Requests being computed.",
    unit="requests",
    labels=("model",),
    signal="running",
)
REQUESTS_WAITING = Family(
    "ds_requests_waiting",
    "gauge",
    "Requests accepted and not yet scheduled.",
    unit="requests",
    labels=("model",),
    signal="waiting",
)
OLDEST_QUEUED_AGE = Family(
    "ds_oldest_queued_request_age_seconds",
    "gauge",
    "Age of the request that has waited longest, 0 when none waits. A stuck queue shows here alone.",
    unit="seconds",
    labels=("model",),
    signal="queue_age_seconds",
)
KV_CACHE_USAGE = Family(
    "ds_kv_cache_usage_ratio",
    "gauge",
    "Used share of the KV cache, 0 to 1; absent where the server does not report it.",
    unit="ratio",
    labels=("model",),
    signal="kv_usage",
)
KV_CACHE_FRAGMENTATION = Family(
    "ds_kv_cache_fragmentation_ratio",
    "gauge",
    "Share of the KV cache's reserved slots that hold no token yet, 0 while none is reserved; absent where the "
    "server does not report it.",
    unit="ratio",
    labels=("model",),
)
CACHE_QUERIES = Family(
    "ds_cache_queries_total",
    "counter",
    "Prompt tokens looked up in a cache tier; absent where the server has none.",
    unit="tokens",
    labels=("model", "tier"),
    signal="prefix_lookups",
)
CACHE_HITS = Family(
    "ds_cache_hits_total",
    "counter",
    "Prompt tokens found in a cache tier; absent where the server has none.",
    unit="tokens",
    labels=("model", "tier"),
    signal="prefix_hits",
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

FAMILIES = (
    *(INFERENCE_LATENCY, TIME_TO_FIRST_TOKEN, TIME_PER_OUTPUT_TOKEN, INTER_TOKEN_LATENCY, QUEUE_TIME),
    *(REQUESTS, INVALID_REQUESTS, TOKENS, REQUESTS_RUNNING, REQUESTS_WAITING, OLDEST_QUEUED_AGE),
    *(KV_CACHE_USAGE, KV_CACHE_FRAGMENTATION, CACHE_QUERIES, CACHE_HITS, CACHE_HIT_RATIO, BUILD_INFO),
)
