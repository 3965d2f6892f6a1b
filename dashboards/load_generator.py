"""Dashboard Load generator: what was planned, what the client saw of it, and where it went on from there.

Verdicts come from the rows of a run, one per planned arrival; these are the same rows, counted while it goes on.
"""

from dashboards import config, gateway_queries, queries, run_queries
from dashboards.panels import Dashboard, Limit, Panel, Row, Target

_NO_RUN = "no load of a run is going on"
LAG_BOUND_S = 0.05
"""Where the generator's own lateness begins to show in what it measures."""


def load_generator() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-load",
        title="Load generator",
        description="The plan, what became of it for the client, and the same load at the gateway and in the replicas.",
        rows=(
            Row("The plan and its outcome", (offered(), client_outcomes(), client_in_flight(), lag())),
            Row("Where it arrives", (ended(), in_flight(), shape(), tokens())),
            Row("Impatience", (outcomes(),)),
        ),
        variables=(config.JOB, config.POD, config.GATEWAY_JOB),
    )


def offered() -> Panel:
    """An open loop keeps to its plan, whatever the servers do."""
    return Panel(
        "Planned and ended",
        "Per second: arrivals of the plan that came due, and those that ended, however. The gap between the two is "
        "what piles up.",
        "reqps",
        (Target(run_queries.planned(), "planned"), Target(run_queries.ended(), "ended")),
        no_value=_NO_RUN,
    )


def client_outcomes() -> Panel:
    """What the client saw."""
    return Panel(
        "What the client saw",
        "Planned arrivals that ended, per second, by outcome: each has exactly one.",
        "reqps",
        (Target(run_queries.ended_by_outcome(), "{{outcome}}"),),
        stacked=True,
        no_value=_NO_RUN,
    )


def client_in_flight() -> Panel:
    """What is open, and what part of the rest was answered."""
    return Panel(
        "In flight at the client",
        "Planned arrivals that came due and have not ended. It grows while service is short: nobody waits for answers.",
        "short",
        (Target(run_queries.client_in_flight(), "in flight"),),
        no_value=_NO_RUN,
    )


def lag() -> Panel:
    """Whether the generator can be believed."""
    return Panel(
        "Lag of the generator",
        "Dispatch after the planned instant, seen when a request ends. Above the line, the generator is part of what "
        "it measures; a run whose lag matters is inconclusive.",
        "s",
        tuple(Target(run_queries.lag(q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=Limit(LAG_BOUND_S, good="below"),
        min_step=config.QUANTILE_MIN_STEP,
        no_value=_NO_RUN,
    )


def ended() -> Panel:
    """The rate, at both places that count it."""
    return Panel(
        "Requests that ended in the cluster",
        "Per second: logical requests at the gateway, and requests in the replicas. Retries make the second the "
        "larger, unreachable replicas the first. Steady load with a dip here is requests that pile up.",
        "reqps",
        (
            Target(gateway_queries.requests(), "at the gateway"),
            Target(queries.requests_ended(), "in the replicas"),
        ),
    )


def in_flight() -> Panel:
    """How much is open."""
    return Panel(
        "In flight at the gateway",
        "Logical requests that the gateway holds open. Open-loop load does not wait for answers: this grows while "
        "service is short, and a plateau means that the generator or the gateway has reached a limit.",
        "short",
        (Target(gateway_queries.in_flight(), "in flight"),),
    )


def shape() -> Panel:
    """What a request asks for."""
    return Panel(
        "Tokens per request",
        "Mean prompt tokens, and generated tokens, per request that ended.",
        "suffix:tok",
        (
            Target(queries.prompt_tokens_per_request(), "prompt"),
            Target(queries.generated_tokens_per_request(), "generated"),
        ),
    )


def tokens() -> Panel:
    """What all requests ask for."""
    return Panel(
        "Tokens",
        "Tokens per second of all replicas: prompt tokens when their request ends, generated ones at once.",
        "suffix:tok/s",
        (Target(queries.tokens_by_direction(), "{{direction}}"),),
    )


def outcomes() -> Panel:
    """What came of it."""
    return Panel(
        "How requests ended in the replicas",
        "Per second. Aborted: the client, or the gateway for it, did not wait any longer.",
        "reqps",
        (Target(queries.requests_by_outcome(), "{{outcome}}"),),
        stacked=True,
        width=24,
    )
