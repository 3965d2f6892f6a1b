"""Dashboard Load generator: what reaches the system under test of the load, by the first part that counts it.

The generator itself exports no series, and none is made up for it here: its plan, lag, drops and outcomes are in
the rows of a run and in the report.
"""

from dashboards import config, gateway_queries, queries
from dashboards.panels import Dashboard, Note, Panel, Row, Target

_MISSING = (
    "The load generator exports no series. **Offered rate against plan, lag of the generator, dropped and censored "
    "arrivals** are in each run's `requests.jsonl` and `report.html`, per planned arrival. What is shown here is the "
    "load as it arrives at the gateway and in the replicas."
)


def load_generator() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-load",
        title="Load generator",
        description="The load as the gateway and the replicas see it, and where to look for the generator's own side.",
        rows=(
            Row("What this is not", (missing(),)),
            Row("Load", (ended(), in_flight(), shape(), tokens())),
            Row("Impatience", (outcomes(),)),
        ),
        variables=(config.JOB, config.POD, config.GATEWAY_JOB),
    )


def missing() -> Note:
    """What is not there, and where it is."""
    return Note("Where the generator's own figures are", "What this dashboard cannot show.", _MISSING)


def ended() -> Panel:
    """The rate, at both places that count it."""
    return Panel(
        "Requests that ended",
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
        "Requests in flight",
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
