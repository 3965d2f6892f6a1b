"""Dashboard Fleet overview: is every replica there, does it serve, and which one is the odd one out."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Limit, Panel, Query, Row, failure_limit, latency_limit, tile
from dashboards.queries import gateway as gateway_queries
from dashboards.queries import replicas as queries
from dashboards.queries import run as run_queries
from exporters import slo
from exporters.series import probe

_NO_PROBE = "no prober runs: python -m exporters probe"
_NO_COMM = "nobody times peers: python -m exporters comm"


def fleet() -> Dashboard:
    return Dashboard(
        uid="aftershock-fleet",
        title="Fleet overview",
        description="All replicas at a glance: there, serving, within objectives; then the odd ones out by replica.",
        rows=(
            Row("Now", (replicas_now(), load_now(), tokens_now(), failed_now(), e2e_now(), ttft_now())),
            Row("Fleet", (replicas(), outcomes(), tokens(), collectors(), invalid())),
            Row("Seen from outside", (probed(), gray(), probe_ttft(), probe_tpot(), probe_outcomes())),
            Row("Between peers", (comm_latency(), comm_failures())),
            Row("By replica", (load(), e2e(), running(), waiting(), kv_usage(), scrape_time())),
        ),
        variables=(*variables.OF_REPLICAS, variables.GATEWAY_JOB, variables.EXPERIMENT),
    )


def replicas_now() -> Panel:
    return tile(
        "Replicas answering",
        "Replicas that answered the last scrape.",
        "short",
        Query(queries.replicas_scraped(), "answering"),
    )


def load_now() -> Panel:
    return tile(
        "Requests",
        "Requests that ended in the replicas, per second, however they ended.",
        "reqps",
        Query(queries.requests_ended(), "requests"),
    )


def tokens_now() -> Panel:
    return tile(
        "Generated tokens",
        "Tokens generated per second, all replicas.",
        "suffix:tok/s",
        Query(queries.generated_tokens(), "tokens"),
    )


def failed_now() -> Panel:
    return tile(
        "Failed, as replicas count",
        "Share of ended requests that were not answered completely. A replica that is gone counts nothing: "
        "the Gateway dashboard has what clients got.",
        "percentunit",
        Query(queries.replica_failure_ratio(), "failed"),
        failure_limit(slo.AVAILABILITY),
    )


def e2e_now() -> Panel:
    return tile(
        "P99 end to end",
        "P99 from acceptance to end, over all replicas. An estimate between bucket edges.",
        "s",
        Query(queries.latency("e2e_seconds", 0.99), "P99"),
        latency_limit(slo.E2E),
    )


def ttft_now() -> Panel:
    return tile(
        "P99 time to first token",
        "P99 from acceptance to the first token, over all replicas. An estimate between bucket edges.",
        "s",
        Query(queries.latency("ttft_seconds", 0.99), "P99"),
        latency_limit(slo.TTFT),
    )


def replicas() -> Panel:
    return Panel(
        "Replicas",
        "Those Prometheus was told of, those that answered its last scrape, and those that the gateway sends "
        "requests to. Told of and not answering is a blind spot; all three drop when a replica is gone for good.",
        "short",
        (
            Query(queries.replicas_known(), "known to Prometheus"),
            Query(queries.replicas_scraped(), "answering scrapes"),
            Query(gateway_queries.ready(), "in the gateway's rotation"),
        ),
    )


def outcomes() -> Panel:
    return Panel(
        "Requests by outcome",
        "Requests that ended in the replicas, per second: ok, error, timeout, aborted (the client left), rejected.",
        "reqps",
        (Query(queries.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def tokens() -> Panel:
    return Panel(
        "Tokens",
        "Tokens per second: generated ones as they are produced, prompt ones when their request ends.",
        "suffix:tok/s",
        (Query(queries.tokens_by_direction(), "{{direction}}"),),
    )


def collectors() -> Panel:
    return Panel(
        "Failing collectors",
        "Replicas whose last scrape lacked this collector's part. Above 0, some panels say less than there is. "
        "The GPU collector, which fails on every machine without one, is on the GPU dashboard.",
        "short",
        (Query(queries.failing_collectors(), "{{collector}}"),),
        limit=Limit(1, good="below"),
    )


def invalid() -> Panel:
    return Panel(
        "Requests that were none",
        "Answered 4xx per second because they cannot succeed as they are, by why: body (no JSON object), field (a "
        "value that is not understood), unserved (a field that is not served), context_length, unknown_model, "
        "too_large. They are in no other panel: a client of another version shows here alone.",
        "reqps",
        (Query(queries.invalid_requests(), "{{reason}}"),),
        stacked=True,
        width=24,
        no_value="the server does not count them",
    )


def probed() -> Panel:
    return Panel(
        "Probes answered",
        f"1 where the last probe got a whole streamed answer in time; failing ones first, {config.WORST} at most.",
        "short",
        (Query(run_queries.probe_success(), "{{target}}"),),
        kind="bargauge",
        maximum=1,
        width=12,
        no_value=_NO_PROBE,
    )


def gray() -> Panel:
    return Panel(
        "Gray replicas",
        "Replicas in the gateway's rotation beyond those whose last probe was answered: healthy by their own word, "
        "and answering nobody. Means something where every replica is probed.",
        "short",
        (Query(run_queries.gray_replicas(), "in rotation, no answer"),),
        limit=Limit(1, good="below"),
        width=12,
        no_value=_NO_PROBE,
    )


def probe_outcomes() -> Panel:
    return Panel(
        "Probes by outcome",
        "Per second: ok, refused (no connection), timeout, incomplete (no token, or no end), error.",
        "reqps",
        (Query(run_queries.probes_by_outcome(), "{{outcome}}"),),
        stacked=True,
        width=24,
        no_value=_NO_PROBE,
    )


def probe_ttft() -> Panel:
    return Panel(
        "Probe: time to first token",
        "Start of the last probe, connecting included, to its first token; one small request, so an idle floor.",
        "s",
        (Query(run_queries.probe(probe.PROBE_TTFT), "{{target}}"),),
        limit=latency_limit(slo.TTFT),
        no_value=_NO_PROBE,
    )


def probe_tpot() -> Panel:
    return Panel(
        "Probe: time per output token",
        "Mean gap between the tokens of the last probe.",
        "s",
        (Query(run_queries.probe(probe.PROBE_TPOT), "{{target}}"),),
        no_value=_NO_PROBE,
    )


def comm_latency() -> Panel:
    return Panel(
        "Latency between peers: P99",
        f"One small operation with a peer, of the {config.WORST} slowest ways: tcp_rtt is a round trip over TCP, "
        "collectives name themselves. Every step of a sharded model waits for it.",
        "s",
        (Query(run_queries.comm_latency(0.99), "{{op}} {{peer}}"),),
        no_value=_NO_COMM,
    )


def comm_failures() -> Panel:
    return Panel(
        "Between peers: no answer",
        "Share of the operations that got no answer in time. They have no latency: read both.",
        "percentunit",
        (Query(run_queries.comm_failure_ratio(), "{{op}} {{peer}}"),),
        limit=Limit(config.COMM_FAILURE_RATIO, good="below"),
        maximum=1,
        no_value=_NO_COMM,
    )


def load() -> Panel:
    return Panel(
        "Requests by replica",
        f"Requests that ended, per second, of the {config.WORST} replicas with the most.",
        "reqps",
        (Query(queries.requests_by_replica(), "{{pod}}"),),
    )


def e2e() -> Panel:
    return Panel(
        "P99 end to end by replica",
        f"Of the {config.WORST} slowest. The line is the objective. Never average these: the fleet's P99 is above.",
        "s",
        (Query(queries.latency_by_replica("e2e_seconds", 0.99), "{{pod}}"),),
        limit=latency_limit(slo.E2E),
        min_step=config.QUANTILE_MIN_STEP,
    )


def running() -> Panel:
    return Panel(
        "Running by replica",
        f"Requests being computed: the batch, of the {config.WORST} replicas with the largest.",
        "short",
        (Query(queries.running_by_replica(), "{{pod}}"),),
    )


def waiting() -> Panel:
    return Panel(
        "Waiting by replica",
        f"Requests accepted and not yet scheduled, of the {config.WORST} replicas with the most.",
        "short",
        (Query(queries.waiting_by_replica(), "{{pod}}"),),
    )


def kv_usage() -> Panel:
    return Panel(
        "KV cache by replica",
        f"Used share of the KV cache, of the {config.WORST} fullest. A full one makes requests wait.",
        "percentunit",
        (Query(queries.kv_usage_by_replica(), "{{pod}}"),),
        maximum=1,
    )


def scrape_time() -> Panel:
    return Panel(
        "Slowest scrape",
        "How long the slowest replica took to answer a scrape. Near the scrape timeout, samples will go missing.",
        "s",
        (Query(queries.slowest_scrape_s(), "slowest replica"),),
    )
