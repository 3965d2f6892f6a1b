"""Every query of what is not the replicas' own: the probe, the ways between peers, telemetry, and a run's load.

Their exporters run beside the cluster, under jobs of their own: one chooses among them by cluster and namespace.
"""

from dashboards.config import GATEWAY, PLACE, RUN, WORST
from dashboards.queries.expression import Expression, promql
from dashboards.queries.promql import lowest, now, per, quantile, total_rate, worst
from exporters.series import comm, gateway, run, server
from exporters.series import probe as probe_series
from exporters.series.family import Family

_PEER = ("op", "peer")


# The black-box probe.


def probe_success() -> Expression:
    """1 where the last probe got a whole answer, by target, the failing ones first."""
    return lowest(WORST, now("min", probe_series.PROBE_SUCCESS, PLACE, by=("target",)))


def probe(family: Family) -> Expression:
    """A figure of the last probe, of the targets where it is greatest."""
    return worst(WORST, now("max", family, PLACE, by=("target",)))


def probes_by_outcome() -> Expression:
    """Probes per second, by how they ended."""
    return total_rate(probe_series.PROBE_REQUESTS, PLACE, by=("outcome",))


def gray_replicas() -> Expression:
    """Probed replicas that answer no probe and still get requests: more fail than the gateway has out of use."""
    answered, ready = (
        now("sum", probe_series.PROBE_SUCCESS, PLACE),
        now("sum", gateway.GATEWAY_READY, GATEWAY),
    )
    return promql("clamp_min({ready} - {answered}, 0)", ready=ready, answered=answered)


# The ways between peers.


def comm_latency(q: float) -> Expression:
    """A quantile of one operation with a peer, of the slowest ways."""
    return worst(WORST, quantile(q, comm.COMM_LATENCY, PLACE, by=_PEER))


def comm_failure_ratio() -> Expression:
    """Share of operations with a peer that got no answer in time, of the worst ways."""
    failed = total_rate(comm.COMM_FAILURES, PLACE, by=_PEER)
    answered = total_rate(comm.COMM_LATENCY, PLACE, by=_PEER, part="_count")
    return worst(WORST, per(failed, promql("({failed} + {answered})", failed=failed, answered=answered)))


# Whether a run sees what it should.


def targets_expected() -> Expression:
    """Targets whose series should be there, by scrape job, as the runner knows its cluster."""
    return now("sum", run.TELEMETRY_EXPECTED, "", by=("job_name",))


def targets_reporting() -> Expression:
    """Of those, targets whose last scrape succeeded."""
    return now("sum", run.TELEMETRY_REPORTING, "", by=("job_name",))


# What a run came to, and what is left of its budgets while it goes on.


def verdict() -> Expression:
    """1 for the verdict of each run that was judged."""
    return now("max", run.RUN_VERDICT, RUN, by=("experiment", "verdict"))


def recovery_s() -> Expression:
    """Seconds from the fault to service, and to capacity, being back."""
    return now("max", run.RUN_RECOVERY, RUN, by=("of",))


def run_budget_left() -> Expression:
    """Of the arrivals of the whole run that may miss an objective, the share that has not."""
    return now("min", run.RUN_BUDGET_LEFT, RUN, by=("objective",))


def cold_start_steps_s() -> Expression:
    """Seconds of each step of a start, of the replacement that took longest for it."""
    return now("max", run.RUN_COLD_START, RUN, by=("step",))


def cold_starts_s() -> Expression:
    """Seconds from a replacement's creation to its first token, of those that took longest."""
    return worst(WORST, now("sum", run.RUN_COLD_START, RUN, by=("replica",)))


# The load, as the runner and its generator tell it.


def planned() -> Expression:
    """Arrivals of the plan that came due, per second."""
    return total_rate(run.LOAD_PLANNED, "")


def ended() -> Expression:
    """Planned arrivals that ended, per second."""
    return total_rate(run.LOAD_REQUESTS, "")


def ended_by_outcome() -> Expression:
    """The same by what the client saw, of those that there were: the list of all outcomes is a long one."""
    return promql("{rate} > 0", rate=total_rate(run.LOAD_REQUESTS, "", by=("outcome",)))


def client_in_flight() -> Expression:
    """Planned arrivals that came due and have not ended."""
    return now("sum", run.LOAD_IN_FLIGHT, "")


def lag(q: float) -> Expression:
    """A quantile of the generator's own lateness."""
    return quantile(q, run.LOAD_LAG, "")


# What a run asks for itself, without a panel: counts to compare with the client's, and who answers.


def counted_at(job: str) -> str:
    """When each replica's count of ended requests was last scraped, in Unix seconds."""
    return f'min by (pod) (timestamp({server.REQUESTS.name}{{job="{job}"}}))'


def counted(job: str, look_back_s: int) -> str:
    """Each replica's own count of ended requests, also where it is gone by now."""
    last = f'last_over_time({server.REQUESTS.name}{{job="{job}"}}[{look_back_s}s])'
    return f"sum by (pod) ({last})"


def answering(by: str = "job") -> str:
    """Targets that answered the last scrape, by a label of theirs."""
    return f"sum by ({by}) (up)"


def alerts_firing(by: str = "alertname, severity") -> str:
    """1 for each alert that fires."""
    return f'max by ({by}) (ALERTS{{alertstate="firing"}})'
