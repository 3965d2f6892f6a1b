"""Symptoms of the cluster: replicas, gateway, the ways between peers, and of watching it: targets, collectors."""

from dashboards.config import COMM_FAILURE_RATIO
from dashboards.engines import Engine
from dashboards.rules.groups import HOUR_S, MINUTE_S, Alert, Timing
from dashboards.rules.recording import REPLICAS_UP
from dashboards.rules.symptoms import UP, Symptom, percent, total

REPLICAS_KEPT = 0.75
RETRY_RATIO = 0.1
COMM_FACTOR = 5
COMM_FLOOR_S = 0.001
"""Below this, no latency between peers is worth an alert, however much it grew."""


def fleet_symptoms(engine: Engine, timing: Timing) -> tuple[Symptom, ...]:
    """All of them, whichever the engine can tell."""
    return (
        _replica_down(engine, timing),
        _replicas_missing(timing),
        _telemetry_blind(engine, timing),
        _gateway_down(engine, timing),
        _gateway_no_ready_replicas(timing),
        _gateway_retry_storm(timing),
        _gray_replica(timing),
        _collector_failing(timing),
        _comm_latency_high(timing),
        _comm_failing(timing),
    )


def _replica_down(engine: Engine, timing: Timing) -> Symptom:
    alert = Alert(
        "ReplicaDown",
        f'up{{job="{engine.job}"}} == 0',
        "ticket",
        summary="The replica {{ $labels.instance }} cannot be scraped.",
        description=(
            "{{ $labels.instance }} of the job {{ $labels.job }} answers no scrape: it is down, hangs, or the network "
            "between it and Prometheus is. Whether clients notice, the gateway's series say."
        ),
        hold=timing.hold(MINUTE_S),
    )
    return Symptom((UP,), alert)


def _replicas_missing(timing: Timing) -> Symptom:
    most = f"max_over_time({REPLICAS_UP}[{timing.window(HOUR_S)}])"
    alert = Alert(
        "ReplicasMissing",
        f"{REPLICAS_UP} < {REPLICAS_KEPT:g} * {most}",
        "ticket",
        summary="More than a quarter of the replicas of {{ $labels.job }} are gone.",
        description=(
            f"{{{{ $value }}}} replicas answer scrapes, less than {percent(REPLICAS_KEPT)} of the past hour's most. "
            "A deleted pod leaves the list of targets: ReplicaDown cannot see it. Scaling down looks the same."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom((UP,), alert)


def _telemetry_blind(engine: Engine, timing: Timing) -> Symptom:
    alert = Alert(
        "TelemetryBlind",
        f'max(inf:replicas_ready{{runtime="{engine.runtime}"}})\n'
        f'> (sum({REPLICAS_UP}{{runtime="{engine.runtime}"}}) or vector(0))',
        "ticket",
        summary="Fewer replicas are scraped than the gateway sends requests to.",
        description=(
            "The gateway holds {{ $value }} replicas ready and Prometheus gets series from fewer: what the dashboards "
            "show is a part of the cluster. A fault on the network often hits the scrape as well."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("replicas_ready", UP), alert)


def _gateway_down(engine: Engine, timing: Timing) -> Symptom:
    alert = Alert(
        "GatewayDown",
        f'up{{job="{engine.gateway_job}"}} == 0',
        "page",
        summary="The gateway {{ $labels.instance }} cannot be scraped.",
        description=(
            "{{ $labels.instance }} answers no scrape: clients may reach no replica at all, and availability is not "
            "measured meanwhile."
        ),
        hold=timing.hold(MINUTE_S),
    )
    return Symptom(("replicas_ready",), alert)


def _gateway_no_ready_replicas(timing: Timing) -> Symptom:
    alert = Alert(
        "GatewayNoReadyReplicas",
        "inf:replicas_ready == 0",
        "page",
        summary="The gateway {{ $labels.instance }} has no replica to send requests to.",
        description="Every request is answered 503 by {{ $labels.instance }} until a replica becomes ready.",
        hold=timing.hold(MINUTE_S / 2),
    )
    return Symptom(("replicas_ready",), alert)


def _gateway_retry_storm(timing: Timing) -> Symptom:
    window = timing.window(5 * MINUTE_S)
    retries, requests = (total(f"inf:gateway_{name}:rate", window) for name in ("retries", "request"))
    alert = Alert(
        "GatewayRetryStorm",
        f"{retries}\n/ ({requests} > 0)\n> {RETRY_RATIO:g}",
        "ticket",
        summary="The gateway sends many requests to a second replica.",
        description=(
            "Over 5 minutes, {{ $value | humanizePercentage }} of the requests needed another attempt: some replicas "
            "refuse, reset or fail, and the retries load the others."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("gateway_retries", "gateway_request"), alert)


def _collector_failing(timing: Timing) -> Symptom:
    # Without a GPU its collector fails for good: `GpuLost` watches that one.
    alert = Alert(
        "CollectorFailing",
        'inf:collector_success{collector!="gpu"} == 0',
        "ticket",
        summary="The collector {{ $labels.collector }} of {{ $labels.instance }} fails.",
        description=(
            "Scrapes of {{ $labels.instance }} succeed without the series of {{ $labels.collector }}: "
            "alerts on them say nothing about this replica."
        ),
        hold=timing.hold(5 * MINUTE_S),
    )
    return Symptom(("collector_success",), alert)


def _gray_replica(timing: Timing) -> Symptom:
    # Probe and health check know a replica by different addresses: only their numbers can be compared.
    failing, probed = "count by (runtime) (inf:probe_success == 0)", "count by (runtime) (inf:probe_success)"
    alert = Alert(
        "GrayReplica",
        f"inf:probe_success == 0\n"
        f"and on (runtime) {failing} > {probed} - max by (runtime) (inf:replicas_ready)",
        "page",
        summary="{{ $labels.target }} passes its health checks and answers no request.",
        description=(
            "The probe gets no whole answer from {{ $labels.target }}, and more probes fail than the gateway has "
            "replicas out of use: it still sends users there."
        ),
        hold=timing.hold(MINUTE_S),
    )
    return Symptom(("probe_success", "replicas_ready"), alert)


def _comm_p99(window: str, offset: str = "") -> str:
    buckets = total("inf:comm_seconds_bucket:rate", window, "op", "scope", "peer", "le", offset=offset)
    return f"histogram_quantile(0.99, {buckets})"


def _comm_latency_high(timing: Timing) -> Symptom:
    recent, before = timing.window(5 * MINUTE_S), timing.window(HOUR_S)
    # The hold is longer than the window: where few operations are in it, one odd one is its P99 until it leaves. What
    # is compared with ended before both: of an hour a hundredth, 36 s of slow ones, makes its P99 slow as well.
    ago = timing.window(15 * MINUTE_S)
    alert = Alert(
        "CommLatencyHigh",
        f"{_comm_p99(recent)}\n> {COMM_FACTOR:g} * {_comm_p99(before, ago)}\n> {COMM_FLOOR_S:g}",
        "ticket",
        summary="{{ $labels.op }} with {{ $labels.peer }} takes much longer than before.",
        description=(
            "P99 over 5 minutes is {{ $value | humanizeDuration }}, "
            f"more than {COMM_FACTOR:g} times that of the hour that ended 15 minutes ago: every step of a sharded "
            "model waits for it."
        ),
        hold=timing.hold(6 * MINUTE_S),
    )
    return Symptom(("comm_seconds",), alert)


def _comm_failing(timing: Timing) -> Symptom:
    window = timing.window(5 * MINUTE_S)
    failed, answered = (
        total(f"inf:comm_{name}:rate", window, "op", "scope", "peer")
        for name in ("failures", "seconds_count")
    )
    alert = Alert(
        "CommFailing",
        f"{failed}\n/ ({failed} + {answered} > 0)\n> {COMM_FAILURE_RATIO:g}",
        "ticket",
        summary="{{ $labels.op }} with {{ $labels.peer }} gets no answer.",
        description=(
            "Over 5 minutes {{ $value | humanizePercentage }} of the operations with this peer got no answer in time. "
            "They have no latency: its histogram shows the others alone."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("comm_failures", "comm_seconds"), alert)
