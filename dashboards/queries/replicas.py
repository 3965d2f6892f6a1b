"""Every query of what replicas tell, each a named function and written once; panels and the report take them.

They ask for signals, which any engine's profile finds in its own series; what our own exporters alone have is asked
for as declared. The GPUs' are in gpu.py, the gateway's in gateway.py, those of the probe, of peers and of a run in
run.py, faults and phases in faults.py.

Nothing of Grafana is imported. Variables and the window stay as `$job`, `$__rate_interval` and so on, until
Grafana fills them in, or `dashboards.config.bound` does.
"""

from dashboards.config import REPLICAS, WORST
from dashboards.queries.expression import Budget, Expression, Matcher, Samples, Shown, promql
from dashboards.queries.promql import (
    FAILED,
    OK,
    bucket_rates,
    lowest,
    now,
    of_scrapes,
    per,
    quantile,
    share,
    share_counted,
    share_counted_anywhere,
    share_within,
    total_rate,
    worst,
)
from exporters import slo
from exporters.series import collectors, server
from exporters.slo import Objective

# Requests and tokens, as the replicas count them.


def requests_by_outcome() -> Expression:
    """Requests per second that ended, by how."""
    return total_rate("request", REPLICAS, by=("outcome",))


def requests_ended() -> Expression:
    """Requests per second that ended, however."""
    return total_rate("request", REPLICAS)


def requests_by_replica() -> Expression:
    """Requests per second that ended, of the replicas with the most."""
    return worst(WORST, total_rate("request", REPLICAS, by=("pod",)))


def invalid_requests() -> Expression:
    """Requests per second that were answered 4xx because they cannot succeed, by why."""
    return total_rate(server.INVALID_REQUESTS, REPLICAS, by=("reason",))


def replica_failure_ratio() -> Expression:
    """Share of ended requests that were not answered completely, by the replicas' own count."""
    return promql("1 - {answered}", answered=answered_ratio())


def answered_ratio() -> Expression:
    """Share of ended requests that were answered completely, by the replicas' own count."""
    return share(total_rate("request", REPLICAS, OK), requests_ended())


def tokens_by_direction() -> Expression:
    """Tokens per second: prompt tokens taken in, generated ones given out."""
    return total_rate("tokens", REPLICAS, by=("direction",))


def generated_tokens() -> Expression:
    """Generated tokens per second."""
    return total_rate("tokens", REPLICAS, Matcher("direction", "=", "generation"))


def prompt_tokens_per_request() -> Expression:
    """Mean prompt tokens of the requests that ended."""
    return per(total_rate("tokens", REPLICAS, Matcher("direction", "=", "prompt")), requests_ended())


def generated_tokens_per_request() -> Expression:
    """Generated tokens per request that ended: near the mean output length while the load is steady."""
    return per(generated_tokens(), requests_ended())


# Latency, and how much of it is good enough.


def latency(signal: str, q: float) -> Expression:
    """A quantile of one of the replicas' latencies (`e2e_seconds`, `ttft_seconds`, ...), over all replicas."""
    return quantile(q, signal, REPLICAS)


def latency_by_replica(signal: str, q: float) -> Expression:
    """The same by replica, of the slowest ones."""
    return worst(WORST, quantile(q, signal, REPLICAS, by=("pod",)))


def e2e_within_objective() -> Expression:
    """Share of ended requests that were answered completely and within the end-to-end objective."""
    return share_within("e2e_seconds", REPLICAS, slo.E2E, OK)


def ttft_within_objective() -> Expression:
    """Share within the objective of all first tokens, and of all requests that failed, as the alerts have it.

    Not of the requests that ended: they got their token earlier, which a changing load would show as more than all, and
    the end of a load as none.
    """
    return share_within("ttft_seconds", REPLICAS, slo.TTFT, failed=("request", FAILED))


def itl_within_objective() -> Expression:
    """Share of gaps between two tokens that are within the objective."""
    return share_within("itl_seconds", REPLICAS, slo.ITL)


def tpot_within_objective() -> Expression:
    """Share of ended requests of two tokens or more whose mean time per token is within the objective."""
    return share_within("tpot_seconds", REPLICAS, slo.TPOT)


def burn_rate(good_ratio: Expression, objective: Objective) -> Expression:
    """How many times faster than allowed the error budget is used up; 1 uses it up exactly in its period."""
    return promql("(1 - {good}) / {budget}", good=good_ratio, budget=Budget(objective.name))


def budget_left(good_ratio: Expression, objective: Objective) -> Expression:
    """Share of the error budget of the time shown that is left; below 0: more was bad than may be."""
    burned = promql("(1 - {good}) / {budget}", good=Shown(good_ratio), budget=Budget(objective.name))
    return promql("1 - {burned}", burned=burned)


# Queue and batch.


def waiting() -> Expression:
    """Requests accepted and not yet scheduled, in all replicas."""
    return now("sum", "waiting", REPLICAS)


def waiting_by_replica() -> Expression:
    """Requests accepted and not yet scheduled, of the replicas with the most."""
    return worst(WORST, now("sum", "waiting", REPLICAS, by=("pod",)))


def running() -> Expression:
    """Requests being computed, in all replicas."""
    return now("sum", "running", REPLICAS)


def running_by_replica() -> Expression:
    """Requests being computed, of the replicas with the most: their batch."""
    return worst(WORST, now("sum", "running", REPLICAS, by=("pod",)))


def oldest_queued_s() -> Expression:
    """Age of the request that has waited longest anywhere, in seconds."""
    return now("max", "queue_age_seconds", REPLICAS)


def oldest_queued_by_replica_s() -> Expression:
    """Age of the oldest queued request, of the replicas where it is oldest, in seconds."""
    return worst(WORST, now("max", "queue_age_seconds", REPLICAS, by=("pod",)))


def rejected_ratio() -> Expression:
    """Share of ended requests that were never admitted."""
    return share(total_rate("request", REPLICAS, Matcher("outcome", "=", "rejected")), requests_ended())


def queue_time_buckets() -> Expression:
    """Requests per second that left the queue, by bucket of the time that they had been in it."""
    return bucket_rates("queue_seconds", REPLICAS)


def mean_queue_time_s() -> Expression:
    """Mean seconds in the queue of the requests that left it."""
    return _mean_s("queue_seconds")


def mean_latency_s() -> Expression:
    """Mean seconds from acceptance to end."""
    return _mean_s("e2e_seconds")


def tokens_per_running_request() -> Expression:
    """Generated tokens per second for each request being computed: what one user sees of the batch."""
    return per(generated_tokens(), running())


# Caches.


def cache_hit_ratio() -> Expression:
    """Share of looked-up prompt tokens that were found in any tier."""
    return share_counted_anywhere("prefix_hits", "prefix_lookups", REPLICAS, across="tier")


def cache_hit_ratio_by_tier() -> Expression:
    """Share of looked-up prompt tokens that were found, by tier."""
    return share_counted("prefix_hits", "prefix_lookups", REPLICAS, by=("tier",))


def cache_hit_ratio_by_replica() -> Expression:
    """Share of looked-up prompt tokens that were found, by replica and tier: a cold cache stands out."""
    return share_counted("prefix_hits", "prefix_lookups", REPLICAS, by=("pod", "tier"))


def cache_lookups_by_tier() -> Expression:
    """Prompt tokens looked up per second, by tier."""
    return total_rate("prefix_lookups", REPLICAS, by=("tier",))


def cache_hits_by_tier() -> Expression:
    """Prompt tokens found per second, by tier: prompt work saved."""
    return total_rate("prefix_hits", REPLICAS, by=("tier",))


def cache_hit_ratio_since_start() -> Expression:
    """The replicas' own ratio since each started, by replica and tier, lowest first where it is cut."""
    return lowest(WORST, now("min", server.CACHE_HIT_RATIO, REPLICAS, by=("pod", "tier")))


def kv_usage() -> Expression:
    """Used share of the fullest replica's KV cache."""
    return now("max", "kv_usage", REPLICAS)


def kv_fragmentation_by_replica() -> Expression:
    """Share of the KV cache's reserved slots that hold no token, of the replicas with the most."""
    return worst(WORST, now("max", server.KV_CACHE_FRAGMENTATION, REPLICAS, by=("pod",)))


def kv_usage_by_replica() -> Expression:
    """Used share of the KV cache, of the fullest replicas."""
    return worst(WORST, now("max", "kv_usage", REPLICAS, by=("pod",)))


# Telemetry itself.


def replicas_scraped() -> Expression:
    """Replicas that answered the last scrape."""
    return of_scrapes("sum ({up})", REPLICAS)


def replicas_known() -> Expression:
    """Replicas that Prometheus was told of: those that do not answer are blind spots."""
    return of_scrapes("count ({up})", REPLICAS)


def replicas_blind() -> Expression:
    """Replicas that Prometheus was told of and that did not answer the last scrape."""
    return of_scrapes("sum (1 - {up})", REPLICAS)


def slowest_scrape_s() -> Expression:
    """Seconds of the slowest scrape of a replica."""
    return of_scrapes("max ({scrape_duration_seconds})", REPLICAS)


def failing_collectors() -> Expression:
    """Replicas whose last scrape lacked a collector's part, by collector; the GPU's has a panel of its own."""
    others = Matcher("collector", "!=", "gpu")
    success = Samples(collectors.COLLECTOR_SUCCESS, REPLICAS, (others,), by=("collector",))
    return promql("sum by (collector) (1 - {success})", success=success)


def _mean_s(signal: str) -> Expression:
    return per(
        total_rate(signal, REPLICAS, part="_sum"),
        total_rate(signal, REPLICAS, part="_count"),
    )
