"""Dashboard Experiment: one run under a fault, its baseline, fault window and recovery in three colours on one axis."""

from dashboards import config, fault_queries, gateway_queries, objectives, queries, run_queries
from dashboards.fleet import scrape_time
from dashboards.panels import Dashboard, Limit, Panel, Row, Target, Unit
from exporters import slo
from exporters.series import server

_PHASES = (
    ("baseline", "blue", fault_queries.in_baseline),
    ("fault", "orange", fault_queries.in_fault),
    ("recovery", "purple", fault_queries.in_recovery),
)


def experiment() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-experiment",
        title="Experiment",
        description="What a fault did: goodput, failures and latency by phase, replicas, and what could be seen of it.",
        rows=(
            Row("Fault", (faults(), replicas())),
            Row("Baseline, fault, recovery", (goodput(), failures(), latency(), ttft())),
            Row("Where it hurt", (both_sides(), outcomes(), retries(), waiting())),
            Row("What could be seen", (telemetry(), blindness(), gateway_seen(), scrape_time().resized(8))),
        ),
        variables=(config.JOB, config.POD, config.GATEWAY_JOB),
    )


def faults() -> Panel:
    """Fault windows as series; the same are drawn as annotations on every panel."""
    return Panel(
        "Faults in force",
        "1 while a fault is in force, as the runner says. A kill is over in an instant: its effect is not.",
        "short",
        (Target(fault_queries.faults_active(), "{{kind}} {{fault}} on {{target}}"),),
        maximum=1,
        no_value="no experiment is running",
    )


def replicas() -> Panel:
    """Capacity."""
    return Panel(
        "Replicas",
        "In the gateway's rotation, and answering scrapes. Capacity has recovered when both are back and the new "
        "ones have served: the run's report has the exact instant.",
        "short",
        (
            Target(gateway_queries.ready(), "in the gateway's rotation"),
            Target(queries.replicas_scraped(), "answering scrapes"),
        ),
    )


def goodput() -> Panel:
    """What users had of it."""
    return _by_phase(
        "Goodput",
        "Logical requests per second answered completely and within the end-to-end objective, at the gateway.",
        "reqps",
        gateway_queries.good(),
    )


def failures() -> Panel:
    """What users did not get."""
    return _by_phase(
        "Failed",
        "Share of logical requests that were not answered completely, at the gateway. The line is the error budget.",
        "percentunit",
        gateway_queries.failure_ratio(),
        limit=objectives.failure_limit(slo.AVAILABILITY),
    )


def latency() -> Panel:
    """How long it took."""
    return _by_phase(
        "P99 at the gateway",
        "Arrival to last byte, retries included. The line is the objective. Verdicts come from the client's records.",
        "s",
        gateway_queries.latency(0.99),
        limit=objectives.latency_limit(slo.E2E),
    )


def ttft() -> Panel:
    """How long the first token took."""
    return _by_phase(
        "P99 time to first token",
        "Acceptance by a replica to its first token. Requests that no replica took are not in it.",
        "s",
        queries.latency(server.TIME_TO_FIRST_TOKEN, 0.99),
        limit=objectives.latency_limit(slo.TTFT),
    )


def both_sides() -> Panel:
    """Two views of one latency."""
    return Panel(
        "P99 before and behind the gateway",
        "Before: what the gateway's clients waited, failures and retries included. Behind: what surviving replicas "
        "say. A dead replica says nothing, so behind looks better just when it matters.",
        "s",
        (
            Target(gateway_queries.latency(0.99), "before the gateway"),
            Target(queries.latency(server.INFERENCE_LATENCY, 0.99), "behind the gateway"),
        ),
        limit=objectives.latency_limit(slo.E2E),
        min_step=config.QUANTILE_MIN_STEP,
    )


def outcomes() -> Panel:
    """How requests ended, for clients."""
    return Panel(
        "What clients got",
        "Logical requests that ended, per second, by outcome.",
        "reqps",
        (Target(gateway_queries.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def retries() -> Panel:
    """What the gateway did about it."""
    return Panel(
        "Retries",
        "Attempts beyond the first of their request, per second: failures that clients did not see.",
        "reqps",
        (Target(gateway_queries.retries(), "retries"),),
    )


def waiting() -> Panel:
    """What the survivors had to carry."""
    return Panel(
        "Waiting and running in the replicas",
        "The survivors' queues and batches: they carry the load of the dead.",
        "short",
        (Target(queries.waiting(), "waiting"), Target(queries.running(), "running")),
    )


def telemetry() -> Panel:
    """What should be seen, and what is."""
    return Panel(
        "Targets expected and reporting",
        "By scrape job, as the runner knows its cluster. Reporting below expected: every other panel tells of the rest "
        "alone. A replica that is being replaced is expected as soon as it is started.",
        "short",
        (
            Target(run_queries.targets_expected(), "{{job_name}}: expected"),
            Target(run_queries.targets_reporting(), "{{job_name}}: reporting"),
        ),
        width=24,
        no_value="no experiment is running",
    )


def blindness() -> Panel:
    """What was not seen."""
    return Panel(
        "Replicas not seen",
        "Replicas that Prometheus was told of and that did not answer. While above 0, the panels of the replicas "
        "tell only of those that did.",
        "short",
        (Target(queries.replicas_blind(), "not seen"),),
        limit=Limit(1, good="below"),
        width=8,
    )


def gateway_seen() -> Panel:
    """Whether the gateway's own figures can be had."""
    return Panel(
        "Gateway seen",
        "Gateways that answered the last scrape. At 0, every panel of what clients got is blind.",
        "short",
        (Target(gateway_queries.scraped(), "gateways answering"),),
        limit=Limit(1, good="above"),
        width=8,
    )


def _by_phase(
    title: str, description: str, unit: Unit, expression: str, *, limit: Limit | None = None
) -> Panel:
    return Panel(
        title,
        f"{description} Blue before the fault, orange while it is in force, purple for {config.PHASE_MEMORY} after.",
        unit,
        tuple(Target(during(expression), name, colour) for name, colour, during in _PHASES),
        limit=limit,
    )
