"""Dashboard Load generator: what was planned, what the client saw of it, and where it went on from there.

Verdicts come from the rows of a run, one per planned arrival; these are the same rows, counted while it goes on.
"""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Limit, Panel, Query, Row
from dashboards.queries import gateway as gateway_queries
from dashboards.queries import replicas as queries
from dashboards.queries import run as run_queries

_NO_RUN = "no load of a run is going on"
LAG_BOUND_S = 0.05
"""Where the generator's own lateness begins to show in what it measures."""


def load_generator() -> Dashboard:
    return Dashboard(
        uid="aftershock-load",
        title="Load generator",
        description="The plan, what became of it for the client, and the same load at the gateway and in the replicas.",
        rows=(
            Row("The plan and its outcome", (offered(), client_outcomes(), client_in_flight(), lag())),
            Row("Where it arrives", (ended(), in_flight(), shape(), tokens())),
            Row("Impatience", (outcomes(),)),
        ),
        variables=(*variables.OF_REPLICAS, variables.GATEWAY_JOB, variables.EXPERIMENT),
    )


def offered() -> Panel:
    return Panel(
        "Planned and ended",
        "Per second: arrivals of the plan that came due, and those that ended, however. The gap between the two is "
        "what piles up.",
        "reqps",
        (Query(run_queries.planned(), "planned"), Query(run_queries.ended(), "ended")),
        no_value=_NO_RUN,
    )


def client_outcomes() -> Panel:
    return Panel(
        "What the client saw",
        "Planned arrivals that ended, per second, by outcome: each has exactly one.",
        "reqps",
        (Query(run_queries.ended_by_outcome(), "{{outcome}}"),),
        stacked=True,
        no_value=_NO_RUN,
    )


def client_in_flight() -> Panel:
    return Panel(
        "In flight at the client",
        "Planned arrivals that came due and have not ended. It grows while service is short: nobody waits for answers.",
        "short",
        (Query(run_queries.client_in_flight(), "in flight"),),
        no_value=_NO_RUN,
    )


def lag() -> Panel:
    return Panel(
        "Lag of the generator",
        "Dispatch after the planned instant, seen when a request ends. Above the line, the generator is part of what "
        "it measures; a run whose lag matters is inconclusive.",
        "s",
        tuple(Query(run_queries.lag(q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=Limit(LAG_BOUND_S, good="below"),
        min_step=config.QUANTILE_MIN_STEP,
        no_value=_NO_RUN,
    )


def ended() -> Panel:
    return Panel(
        "Requests that ended in the cluster",
        "Per second: logical requests at the gateway, and requests in the replicas. Retries make the second the "
        "larger, unreachable replicas the first. Steady load with a dip here is requests that pile up.",
        "reqps",
        (
            Query(gateway_queries.requests(), "at the gateway"),
            Query(queries.requests_ended(), "in the replicas"),
        ),
    )


def in_flight() -> Panel:
    return Panel(
        "In flight at the gateway",
        "Logical requests that the gateway holds open. Open-loop load does not wait for answers: this grows while "
        "service is short, and a plateau means that the generator or the gateway has reached a limit.",
        "short",
        (Query(gateway_queries.in_flight(), "in flight"),),
    )


def shape() -> Panel:
    return Panel(
        "Tokens per request",
        "Mean prompt tokens, and generated tokens, per request that ended.",
        "suffix:tok",
        (
            Query(queries.prompt_tokens_per_request(), "prompt"),
            Query(queries.generated_tokens_per_request(), "generated"),
        ),
    )


def tokens() -> Panel:
    return Panel(
        "Tokens",
        "Tokens per second of all replicas: prompt tokens when their request ends, generated ones at once.",
        "suffix:tok/s",
        (Query(queries.tokens_by_direction(), "{{direction}}"),),
    )


def outcomes() -> Panel:
    return Panel(
        "How requests ended in the replicas",
        "Per second. Aborted: the client, or the gateway for it, did not wait any longer.",
        "reqps",
        (Query(queries.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
        width=24,
    )
