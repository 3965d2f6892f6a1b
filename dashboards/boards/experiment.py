"""Dashboard Experiment: one run under a fault, its baseline, fault window and recovery in three colours on one axis."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.fleet import scrape_time
from dashboards.boards.panels import Dashboard, Limit, Panel, Query, Row, Unit, failure_limit, latency_limit
from dashboards.queries import faults as fault_queries
from dashboards.queries import gateway as gateway_queries
from dashboards.queries import replicas as queries
from dashboards.queries import run as run_queries
from dashboards.queries.expression import Expression
from exporters import slo

_PHASES = (
    ("baseline", "blue", fault_queries.in_baseline),
    ("fault", "orange", fault_queries.in_fault),
    ("recovery", "purple", fault_queries.in_recovery),
)

_NOT_JUDGED = "no run was judged yet"


def experiment() -> Dashboard:
    return Dashboard(
        uid="aftershock-experiment",
        title="Experiment",
        description="What a fault did: goodput, failures and latency by phase, replicas, and what could be seen of it.",
        rows=(
            Row("Outcome", (verdict(), recoveries(), budget_left())),
            Row("Fault", (faults(), replicas())),
            Row("Baseline, fault, recovery", (goodput(), failures(), latency(), ttft())),
            Row("Cold start of the replacements", (cold_start_steps(), cold_starts())),
            Row("Where it hurt", (both_sides(), outcomes(), retries(), waiting())),
            Row("What could be seen", (telemetry(), blindness(), gateway_seen(), scrape_time().resized(8))),
        ),
        variables=(*variables.OF_REPLICAS, variables.GATEWAY_JOB, variables.EXPERIMENT),
    )


def verdict() -> Panel:
    return Panel(
        "Verdict",
        "Passed, deviated (a weakness was found) or inconclusive, as the run's report has it: there once the run was "
        "judged, and for as long as it stays up (aftershock run --keep).",
        "short",
        (Query(run_queries.verdict(), "{{verdict}}"),),
        kind="stat",
        width=6,
        named=True,
        no_value=_NOT_JUDGED,
    )


def recoveries() -> Panel:
    return Panel(
        "Recovery",
        "From the fault until service (goodput) was back, and until capacity was: every wanted replica ready, and the "
        "new ones have served. The report has the intervals.",
        "s",
        (Query(run_queries.recovery_s(), "{{of}}"),),
        kind="bargauge",
        width=9,
        infinite="not while it was looked at",
        no_value=_NOT_JUDGED,
    )


def budget_left() -> Panel:
    return Panel(
        "Error budget left",
        "Of the planned arrivals of the whole run that may miss an objective, the share that has not, as the client "
        "saw them: none is left at 0, and below that more missed it than may.",
        "percentunit",
        (Query(run_queries.run_budget_left(), "{{objective}}"),),
        kind="bargauge",
        limit=Limit(0, good="above"),
        maximum=1,
        width=9,
        no_value="no experiment is running",
    )


def cold_start_steps() -> Panel:
    return Panel(
        "Cold start: step by step",
        "How long each step of a start took, of the replacement that took longest for it. Kubernetes tells all of "
        "them, a local cluster neither node nor image: a step that nobody told is in the next one.",
        "s",
        (Query(run_queries.cold_start_steps_s(), "{{step}}"),),
        kind="bargauge",
        no_value=_NOT_JUDGED,
    )


def cold_starts() -> Panel:
    return Panel(
        "Cold start: to the first token",
        f"From a replacement's creation to its first token, or as far as it came, of the {config.WORST} slowest.",
        "s",
        (Query(run_queries.cold_starts_s(), "{{replica}}"),),
        kind="bargauge",
        no_value=_NOT_JUDGED,
    )


def faults() -> Panel:
    return Panel(
        "Faults in force",
        "1 while a fault is in force, as the runner says. A kill is over in an instant: its effect is not.",
        "short",
        (Query(fault_queries.faults_active(), "{{fault}} on {{target}}"),),
        maximum=1,
        no_value="no experiment is running",
    )


def replicas() -> Panel:
    return Panel(
        "Replicas",
        "In the gateway's rotation, and answering scrapes. Capacity has recovered when both are back and the new "
        "ones have served: the run's report has the exact instant.",
        "short",
        (
            Query(gateway_queries.ready(), "in the gateway's rotation"),
            Query(queries.replicas_scraped(), "answering scrapes"),
        ),
    )


def goodput() -> Panel:
    return _by_phase(
        "Goodput",
        "Logical requests per second answered completely and within the end-to-end objective, at the gateway.",
        "reqps",
        gateway_queries.good(),
    )


def failures() -> Panel:
    return _by_phase(
        "Failed",
        "Share of logical requests that were not answered completely, at the gateway. The line is the error budget.",
        "percentunit",
        gateway_queries.failure_ratio(),
        limit=failure_limit(slo.AVAILABILITY),
    )


def latency() -> Panel:
    return _by_phase(
        "P99 at the gateway",
        "Arrival to last byte, retries included. The line is the objective. Verdicts come from the client's records.",
        "s",
        gateway_queries.latency(0.99),
        limit=latency_limit(slo.E2E),
    )


def ttft() -> Panel:
    return _by_phase(
        "P99 time to first token",
        "Acceptance by a replica to its first token. Requests that no replica took are not in it.",
        "s",
        queries.latency("ttft_seconds", 0.99),
        limit=latency_limit(slo.TTFT),
    )


def both_sides() -> Panel:
    return Panel(
        "P99 before and behind the gateway",
        "Before: what the gateway's clients waited, failures and retries included. Behind: what surviving replicas "
        "say. A dead replica says nothing, so behind looks better just when it matters.",
        "s",
        (
            Query(gateway_queries.latency(0.99), "before the gateway"),
            Query(queries.latency("e2e_seconds", 0.99), "behind the gateway"),
        ),
        limit=latency_limit(slo.E2E),
        min_step=config.QUANTILE_MIN_STEP,
    )


def outcomes() -> Panel:
    return Panel(
        "What clients got",
        "Logical requests that ended, per second, by outcome.",
        "reqps",
        (Query(gateway_queries.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
    )


def retries() -> Panel:
    return Panel(
        "Retries",
        "Attempts beyond the first of their request, per second: failures that clients did not see.",
        "reqps",
        (Query(gateway_queries.retries(), "retries"),),
    )


def waiting() -> Panel:
    return Panel(
        "Waiting and running in the replicas",
        "The survivors' queues and batches: they carry the load of the dead.",
        "short",
        (Query(queries.waiting(), "waiting"), Query(queries.running(), "running")),
    )


def telemetry() -> Panel:
    return Panel(
        "Targets expected and reporting",
        "By scrape job, as the runner knows its cluster. Reporting below expected: every other panel tells of the rest "
        "alone. A replica that is being replaced is expected as soon as it is started.",
        "short",
        (
            Query(run_queries.targets_expected(), "{{job_name}}: expected"),
            Query(run_queries.targets_reporting(), "{{job_name}}: reporting"),
        ),
        width=24,
        height=10,
        no_value="no experiment is running",
    )


def blindness() -> Panel:
    return Panel(
        "Replicas not seen",
        "Replicas that Prometheus was told of and that did not answer. While above 0, the panels of the replicas "
        "tell only of those that did.",
        "short",
        (Query(queries.replicas_blind(), "not seen"),),
        limit=Limit(1, good="below"),
        width=8,
    )


def gateway_seen() -> Panel:
    return Panel(
        "Gateway seen",
        "Gateways that answered the last scrape. At 0, every panel of what clients got is blind.",
        "short",
        (Query(gateway_queries.scraped(), "gateways answering"),),
        limit=Limit(1, good="above"),
        width=8,
    )


def _by_phase(
    title: str, description: str, unit: Unit, expression: Expression, *, limit: Limit | None = None
) -> Panel:
    return Panel(
        title,
        f"{description} Blue before the fault, orange while it is in force, purple for {config.PHASE_MEMORY} after.",
        unit,
        tuple(Query(during(expression), name, colour) for name, colour, during in _PHASES),
        limit=limit,
    )
