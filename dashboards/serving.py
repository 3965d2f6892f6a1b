"""Dashboard Serving SLOs: what share was good, how fast the error budget goes, and the latencies behind it."""

from dashboards import config, objectives, queries
from dashboards.panels import Dashboard, Limit, Panel, Row, Target, tile
from exporters import slo
from exporters.series import server
from exporters.series.family import Family
from exporters.slo import Objective


def serving() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-serving",
        title="Serving SLOs",
        description="Objectives of exporters/slo.py: attained shares, burn rates, and latency quantiles.",
        rows=(
            Row("Attained now", (ttft_share(), e2e_share(), itl_share(), availability())),
            Row("Attained and burned", (attained(), burn_rates())),
            Row("Latency", (ttft(), e2e(), itl(), tpot(), means())),
        ),
        variables=(config.JOB, config.POD),
    )


def ttft_share() -> Panel:
    """A tile."""
    return _share(
        "First token in time",
        f"Ended requests whose first token came within {objectives.bound_s(slo.TTFT):g} s. Exact: the bound is a "
        "bucket edge.",
        queries.ttft_within_objective(),
        slo.TTFT,
    )


def e2e_share() -> Panel:
    """A tile."""
    return _share(
        "Answered in time",
        f"Ended requests answered completely within {objectives.bound_s(slo.E2E):g} s. Exact: the bound is a "
        "bucket edge.",
        queries.e2e_within_objective(),
        slo.E2E,
    )


def itl_share() -> Panel:
    """A tile."""
    return _share(
        "Token gaps in time",
        f"Gaps between tokens of at most {objectives.bound_s(slo.ITL):g} s. The objective is about each request's "
        "largest gap: this share of all gaps is never below it.",
        queries.itl_within_objective(),
        slo.ITL,
    )


def availability() -> Panel:
    """A tile."""
    return _share(
        "Answered completely",
        "Ended requests with outcome ok, by the replicas' own count.",
        queries.answered_ratio(),
        slo.AVAILABILITY,
    )


def attained() -> Panel:
    """All shares on one axis."""
    shares = {
        "first token in time": queries.ttft_within_objective(),
        "answered in time": queries.e2e_within_objective(),
        "token gaps in time": queries.itl_within_objective(),
        "answered completely": queries.answered_ratio(),
    }
    return Panel(
        "Attained",
        "Shares of what was good, over the window. The line is the availability objective; a share without a "
        "point had nothing to count.",
        "percentunit",
        tuple(Target(expression, legend) for legend, expression in shares.items()),
        limit=objectives.share_limit(slo.AVAILABILITY),
        maximum=1,
    )


def burn_rates() -> Panel:
    """How fast the budgets go."""
    burns = {
        "first token in time": queries.burn_rate(queries.ttft_within_objective(), slo.TTFT),
        "answered in time": queries.burn_rate(queries.e2e_within_objective(), slo.E2E),
        "token gaps in time": queries.burn_rate(queries.itl_within_objective(), slo.ITL),
        "answered completely": queries.burn_rate(queries.answered_ratio(), slo.AVAILABILITY),
    }
    return Panel(
        "Burn rate",
        "How many times faster than allowed the error budget is used: 1 uses it up exactly in its period. At the "
        f"line, {config.BURN_RATE_PAGE:g}, an hour uses 2 % of a month's budget.",
        "suffix:x",
        tuple(Target(expression, legend) for legend, expression in burns.items()),
        limit=Limit(config.BURN_RATE_PAGE, good="below"),
    )


def ttft() -> Panel:
    """Time to first token."""
    return _quantiles(
        "Time to first token", "Acceptance to first token.", server.TIME_TO_FIRST_TOKEN, slo.TTFT
    )


def e2e() -> Panel:
    """End to end."""
    return _quantiles(
        "End to end", "Acceptance to end, whatever the outcome.", server.INFERENCE_LATENCY, slo.E2E
    )


def itl() -> Panel:
    """Between tokens."""
    return _quantiles(
        "Inter-token latency", "Gap between consecutive tokens.", server.INTER_TOKEN_LATENCY, slo.ITL
    )


def tpot() -> Panel:
    """Per token, averaged within each request."""
    return _quantiles(
        "Time per output token",
        "Mean gap within a request, once per request of two tokens or more: it hides stalls that the inter-token "
        "latency shows.",
        server.TIME_PER_OUTPUT_TOKEN,
        None,
    )


def means() -> Panel:
    """Where the time goes, in sums that may be compared."""
    return Panel(
        "Where the time goes",
        "Mean seconds of the requests that ended: in the queue, and altogether. Ratios of summed rates, so that "
        "the two can be compared; for users, look at the quantiles.",
        "s",
        (Target(queries.mean_queue_time_s(), "queue"), Target(queries.mean_latency_s(), "altogether")),
        width=24,
    )


def _share(title: str, description: str, expression: str, objective: Objective) -> Panel:
    panel = tile(
        title,
        f"{description} The objective is {objective.share:.1%}.",
        "percentunit",
        Target(expression, "attained"),
        objectives.share_limit(objective),
    )
    return panel.resized(width=6)


def _quantiles(title: str, description: str, family: Family, objective: Objective | None) -> Panel:
    line = " The line is the objective." if objective is not None else ""
    return Panel(
        title,
        f"{description} Over all replicas, estimated between bucket edges.{line}",
        "s",
        tuple(Target(queries.latency(family, q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=objectives.latency_limit(objective) if objective is not None else None,
        min_step=config.QUANTILE_MIN_STEP,
    )
