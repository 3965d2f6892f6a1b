"""Dashboard Serving SLOs: what share was good, how fast the error budget goes, and the latencies behind it."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Limit, Panel, Query, Row, latency_limit, share_limit, tile
from dashboards.queries import replicas as queries
from dashboards.queries.expression import Expression
from exporters import slo
from exporters.slo import BURN_RATE_PAGE, Objective


def serving() -> Dashboard:
    return Dashboard(
        uid="aftershock-serving",
        title="Serving SLOs",
        description="What was asked for and what was attained: shares, burn rates, and latency quantiles.",
        rows=(
            Row("Attained now", (ttft_share(), e2e_share(), itl_share(), tpot_share(), availability())),
            Row("Attained and burned", (attained(), burn_rates(), budget_left())),
            Row("Latency", (ttft(), e2e(), itl(), tpot(), means())),
        ),
        variables=(*variables.OF_REPLICAS, variables.EXPERIMENT),
    )


def ttft_share() -> Panel:
    return _share(
        "First token in time",
        "First tokens that came in time, of all that came and all requests that failed. Exact where the bound is a "
        "bucket edge.",
        queries.ttft_within_objective(),
        slo.TTFT,
    )


def e2e_share() -> Panel:
    return _share(
        "Answered in time",
        "Ended requests answered completely and in time. Exact where the bound is a bucket edge.",
        queries.e2e_within_objective(),
        slo.E2E,
    )


def itl_share() -> Panel:
    return _share(
        "Token gaps in time",
        "Gaps between tokens that were short enough. The objective is about each request's largest gap: this share of "
        "all gaps is never below it.",
        queries.itl_within_objective(),
        slo.ITL,
    )


def tpot_share() -> Panel:
    return _share(
        "Tokens at pace",
        "Ended requests of two tokens or more whose mean time per token after the first was short enough.",
        queries.tpot_within_objective(),
        slo.TPOT,
    )


def availability() -> Panel:
    return _share(
        "Answered completely",
        "Ended requests with outcome ok, by the replicas' own count.",
        queries.answered_ratio(),
        slo.AVAILABILITY,
    )


def attained() -> Panel:
    shares = {
        "first token in time": queries.ttft_within_objective(),
        "answered in time": queries.e2e_within_objective(),
        "token gaps in time": queries.itl_within_objective(),
        "tokens at pace": queries.tpot_within_objective(),
        "answered completely": queries.answered_ratio(),
    }
    return Panel(
        "Attained",
        "Shares of what was good, over the window. The line is the availability objective; a share without a "
        "point had nothing to count.",
        "percentunit",
        tuple(Query(expression, legend) for legend, expression in shares.items()),
        limit=share_limit(slo.AVAILABILITY),
        maximum=1,
    )


def burn_rates() -> Panel:
    burns = {
        "first token in time": queries.burn_rate(queries.ttft_within_objective(), slo.TTFT),
        "answered in time": queries.burn_rate(queries.e2e_within_objective(), slo.E2E),
        "token gaps in time": queries.burn_rate(queries.itl_within_objective(), slo.ITL),
        "tokens at pace": queries.burn_rate(queries.tpot_within_objective(), slo.TPOT),
        "answered completely": queries.burn_rate(queries.answered_ratio(), slo.AVAILABILITY),
    }
    return Panel(
        "Burn rate",
        "How many times faster than allowed the error budget is used: 1 uses it up exactly in its period. At the "
        f"line, {BURN_RATE_PAGE:g}, an hour uses 2 % of a month's budget.",
        "suffix:x",
        tuple(Query(expression, legend) for legend, expression in burns.items()),
        limit=Limit(BURN_RATE_PAGE, good="below"),
    )


def budget_left() -> Panel:
    left = {
        "first token in time": queries.budget_left(queries.ttft_within_objective(), slo.TTFT),
        "answered in time": queries.budget_left(queries.e2e_within_objective(), slo.E2E),
        "token gaps in time": queries.budget_left(queries.itl_within_objective(), slo.ITL),
        "tokens at pace": queries.budget_left(queries.tpot_within_objective(), slo.TPOT),
        "answered completely": queries.budget_left(queries.answered_ratio(), slo.AVAILABILITY),
    }
    return Panel(
        "Error budget left",
        "Of what may be bad in the time shown, the share that is left: all of it at 100 %, none at 0, and below that "
        "more was bad than may be. For the budget of a month, show 30 days.",
        "percentunit",
        tuple(Query(expression, legend) for legend, expression in left.items()),
        kind="bargauge",
        limit=Limit(0, good="above"),
        maximum=1,
        width=24,
        now_only=True,
    )


def ttft() -> Panel:
    return _quantiles("Time to first token", "Acceptance to first token.", "ttft_seconds", slo.TTFT)


def e2e() -> Panel:
    return _quantiles("End to end", "Acceptance to end, whatever the outcome.", "e2e_seconds", slo.E2E)


def itl() -> Panel:
    return _quantiles("Inter-token latency", "Gap between consecutive tokens.", "itl_seconds", slo.ITL)


def tpot() -> Panel:
    return _quantiles(
        "Time per output token",
        "Mean gap within a request, once per request of two tokens or more: it hides stalls that the inter-token "
        "latency shows.",
        "tpot_seconds",
        slo.TPOT,
    )


def means() -> Panel:
    return Panel(
        "Where the time goes",
        "Mean seconds of the requests that ended: in the queue, and altogether. Ratios of summed rates, so that "
        "the two can be compared; for users, look at the quantiles.",
        "s",
        (Query(queries.mean_queue_time_s(), "queue"), Query(queries.mean_latency_s(), "altogether")),
        width=24,
    )


def _share(title: str, description: str, expression: Expression, objective: Objective) -> Panel:
    panel = tile(
        title,
        description,
        "percentunit",
        Query(expression, "attained"),
        share_limit(objective),
    )
    return panel.resized(width=6)


def _quantiles(title: str, description: str, signal: str, objective: Objective) -> Panel:
    return Panel(
        title,
        f"{description} Over all replicas, estimated between bucket edges.",
        "s",
        tuple(Query(queries.latency(signal, q), f"P{q * 100:g}") for q in config.QUANTILES),
        limit=latency_limit(objective),
        min_step=config.QUANTILE_MIN_STEP,
    )
