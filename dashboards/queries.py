"""Every query of the replicas' series, each a named function and written once; panels and the report take them.

The GPUs' are in gpu_queries.py, the gateway's in gateway_queries.py, those of the probe, of peers and of a run in
run_queries.py, faults and phases in fault_queries.py.

Nothing of Grafana is imported. Variables and the window stay as `$job`, `$__rate_interval` and so on, until
Grafana fills them in, or `dashboards.config.bound` does.
"""

from dashboards.config import REPLICAS, WORST
from dashboards.objectives import bound_s, budget
from dashboards.promql import (
    now,
    per,
    quantile,
    selector,
    share,
    share_counted,
    share_within,
    total_rate,
    within,
    worst,
)
from exporters import slo
from exporters.series import collectors, server
from exporters.series.family import Family
from exporters.slo import Objective

_OK = 'outcome="ok"'


# Requests and tokens, as the replicas count them.


def requests_by_outcome() -> str:
    """Requests per second that ended, by how."""
    return total_rate(server.REQUESTS, REPLICAS, by=("outcome",))


def requests_ended() -> str:
    """Requests per second that ended, however."""
    return total_rate(server.REQUESTS, REPLICAS)


def requests_by_replica() -> str:
    """Requests per second that ended, of the replicas with the most."""
    return worst(WORST, total_rate(server.REQUESTS, REPLICAS, by=("pod",)))


def replica_failure_ratio() -> str:
    """Share of ended requests that were not answered completely, by the replicas' own count."""
    return f"1 - {answered_ratio()}"


def answered_ratio() -> str:
    """Share of ended requests that were answered completely, by the replicas' own count."""
    return share(total_rate(server.REQUESTS, f"{REPLICAS},{_OK}"), requests_ended())


def tokens_by_direction() -> str:
    """Tokens per second: prompt tokens taken in, generated ones given out."""
    return total_rate(server.TOKENS, REPLICAS, by=("direction",))


def generated_tokens() -> str:
    """Generated tokens per second."""
    return total_rate(server.TOKENS, f'{REPLICAS},direction="generation"')


def prompt_tokens_per_request() -> str:
    """Mean prompt tokens of the requests that ended."""
    return per(total_rate(server.TOKENS, f'{REPLICAS},direction="prompt"'), requests_ended())


def generated_tokens_per_request() -> str:
    """Generated tokens per request that ended: near the mean output length while the load is steady."""
    return per(generated_tokens(), requests_ended())


# Latency, and how much of it is good enough.


def latency(family: Family, q: float) -> str:
    """A quantile of one of the replicas' latency histograms, over all replicas."""
    return quantile(q, family, REPLICAS)


def latency_by_replica(family: Family, q: float) -> str:
    """The same by replica, of the slowest ones."""
    return worst(WORST, quantile(q, family, REPLICAS, by=("pod",)))


def e2e_within_objective() -> str:
    """Share of ended requests that were answered completely and within the end-to-end objective."""
    return share_within(server.INFERENCE_LATENCY, bound_s(slo.E2E), f"{REPLICAS},{_OK}", of=REPLICAS)


def ttft_within_objective() -> str:
    """First tokens within the objective, per ended request.

    At most 1: requests that got their token end later, which a changing load would show as more than all.
    """
    good = within(server.TIME_TO_FIRST_TOKEN, REPLICAS, bound_s(slo.TTFT))
    return f"clamp_max({share(good, requests_ended())}, 1)"


def itl_within_objective() -> str:
    """Share of gaps between two tokens that are within the objective."""
    return share_within(server.INTER_TOKEN_LATENCY, bound_s(slo.ITL), REPLICAS, of=REPLICAS)


def burn_rate(good_ratio: str, objective: Objective) -> str:
    """How many times faster than allowed the error budget is used up; 1 uses it up exactly in its period."""
    return f"(1 - {good_ratio}) / {budget(objective):g}"


# Queue and batch.


def waiting() -> str:
    """Requests accepted and not yet scheduled, in all replicas."""
    return now("sum", server.REQUESTS_WAITING, REPLICAS)


def waiting_by_replica() -> str:
    """Requests accepted and not yet scheduled, of the replicas with the most."""
    return worst(WORST, now("sum", server.REQUESTS_WAITING, REPLICAS, by=("pod",)))


def running() -> str:
    """Requests being computed, in all replicas."""
    return now("sum", server.REQUESTS_RUNNING, REPLICAS)


def running_by_replica() -> str:
    """Requests being computed, of the replicas with the most: their batch."""
    return worst(WORST, now("sum", server.REQUESTS_RUNNING, REPLICAS, by=("pod",)))


def oldest_queued_s() -> str:
    """Age of the request that has waited longest anywhere, in seconds."""
    return now("max", server.OLDEST_QUEUED_AGE, REPLICAS)


def oldest_queued_by_replica_s() -> str:
    """Age of the oldest queued request, of the replicas where it is oldest, in seconds."""
    return worst(WORST, now("max", server.OLDEST_QUEUED_AGE, REPLICAS, by=("pod",)))


def rejected_ratio() -> str:
    """Share of ended requests that were never admitted."""
    return share(total_rate(server.REQUESTS, f'{REPLICAS},outcome="rejected"'), requests_ended())


def mean_queue_time_s() -> str:
    """Mean seconds in the queue of the requests that left it."""
    return _mean_s(server.QUEUE_TIME)


def mean_latency_s() -> str:
    """Mean seconds from acceptance to end."""
    return _mean_s(server.INFERENCE_LATENCY)


def tokens_per_running_request() -> str:
    """Generated tokens per second for each request being computed: what one user sees of the batch."""
    return per(generated_tokens(), running())


# Caches.


def cache_hit_ratio_by_tier() -> str:
    """Share of looked-up prompt tokens that were found, by tier."""
    return share_counted(server.CACHE_HITS, server.CACHE_QUERIES, REPLICAS, by=("tier",))


def cache_hit_ratio_by_replica() -> str:
    """Share of looked-up prompt tokens that were found, by replica and tier: a cold cache stands out."""
    return share_counted(server.CACHE_HITS, server.CACHE_QUERIES, REPLICAS, by=("pod", "tier"))


def cache_lookups_by_tier() -> str:
    """Prompt tokens looked up per second, by tier."""
    return total_rate(server.CACHE_QUERIES, REPLICAS, by=("tier",))


def cache_hits_by_tier() -> str:
    """Prompt tokens found per second, by tier: prompt work saved."""
    return total_rate(server.CACHE_HITS, REPLICAS, by=("tier",))


def cache_hit_ratio_since_start() -> str:
    """The replicas' own ratio since each started, by replica and tier, lowest first where it is cut."""
    lowest = now("min", server.CACHE_HIT_RATIO, REPLICAS, by=("pod", "tier"))
    return f"bottomk({WORST}, {lowest})"


def kv_usage() -> str:
    """Used share of the fullest replica's KV cache."""
    return now("max", server.KV_CACHE_USAGE, REPLICAS)


def kv_fragmentation_by_replica() -> str:
    """Share of the KV cache's reserved slots that hold no token, of the replicas with the most."""
    return worst(WORST, now("max", server.KV_CACHE_FRAGMENTATION, REPLICAS, by=("pod",)))


def kv_usage_by_replica() -> str:
    """Used share of the KV cache, of the fullest replicas."""
    return worst(WORST, now("max", server.KV_CACHE_USAGE, REPLICAS, by=("pod",)))


# Telemetry itself.


def replicas_scraped() -> str:
    """Replicas that answered the last scrape."""
    return f"sum (up{selector(REPLICAS)})"


def replicas_known() -> str:
    """Replicas that Prometheus was told of: those that do not answer are blind spots."""
    return f"count (up{selector(REPLICAS)})"


def replicas_blind() -> str:
    """Replicas that Prometheus was told of and that did not answer the last scrape."""
    return f"sum (1 - up{selector(REPLICAS)})"


def slowest_scrape_s() -> str:
    """Seconds of the slowest scrape of a replica."""
    return f"max (scrape_duration_seconds{selector(REPLICAS)})"


def failing_collectors() -> str:
    """Replicas whose last scrape lacked a collector's part, by collector; the GPU's has a panel of its own."""
    others = selector(REPLICAS, 'collector!="gpu"')
    return f"sum by (collector) (1 - {collectors.COLLECTOR_SUCCESS.name}{others})"


def _mean_s(family: Family) -> str:
    return per(
        total_rate(family, REPLICAS, part="_sum"),
        total_rate(family, REPLICAS, part="_count"),
    )
