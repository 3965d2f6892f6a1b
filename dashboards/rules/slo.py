"""Service level objectives as rules, in the names that Sloth made common, so that its public dashboards fit.

Each objective is two recorded rates, bad events and all events; every ratio and alert is made of those two.
No events, no ratio: silence is not compliance, and `SignalAbsent` says when there is nothing to judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dashboards import config
from dashboards.engines import REFERENCE_ENGINE, Engine
from dashboards.objectives import bound_s, budget
from dashboards.rules.groups import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    Alert,
    Group,
    Recording,
    Severity,
    Timing,
    duration,
)
from dashboards.sources import Source, le_matcher
from exporters.slo import BURN_RATE_PAGE, Objective

KEEP = "cluster, namespace, model, runtime"
"""What an objective is kept for: each model of each namespace has a budget of its own."""
FAILED = f'outcome=~"{config.FAILED}"'
GATEWAY_FAILED = 'outcome=~"http_5xx|unreachable|no_replica|truncated|error_event"'
PERIOD_S = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class BurnRate:
    """One row of the multi-window table: both windows must burn the budget this many times too fast."""

    severity: Severity
    rate: float
    long_s: float
    short_s: float
    """Lets the alert resolve soon after the errors end."""


BURN_RATES = (
    BurnRate("page", BURN_RATE_PAGE, 1 * HOUR_S, 5 * MINUTE_S),
    BurnRate("page", 6, 6 * HOUR_S, 30 * MINUTE_S),
    BurnRate("ticket", 3, 1 * DAY_S, 2 * HOUR_S),
    BurnRate("ticket", 1, 3 * DAY_S, 6 * HOUR_S),
)
"""The table of the SRE workbook for 30 days: 2 % of the budget, 5 %, 10 % and 10 %."""
WINDOWS_S = tuple(sorted({s for row in BURN_RATES for s in (row.long_s, row.short_s)} | {PERIOD_S}))


@dataclass(frozen=True, slots=True)
class Indicator:
    """What counts for an objective, as rates per second of events."""

    objective: Objective
    alert: str
    needs: tuple[str, ...]
    """The signals without which nothing can be said."""
    bad: str
    total: str
    runtime: str = REFERENCE_ENGINE

    @property
    def labels(self) -> dict[str, str]:
        """What every series of this objective carries."""
        name = self.objective.name
        service = "aftershock" if self.runtime == REFERENCE_ENGINE else f"aftershock-{self.runtime}"
        return {"sloth_id": f"{service}-{name}", "sloth_service": service, "sloth_slo": name}

    def series(self, name: str) -> str:
        """One recorded family, of this objective alone."""
        return f'{name}{{sloth_id="{self.labels["sloth_id"]}"}}'


def indicators(engine: Engine) -> tuple[Indicator, ...]:
    """The objectives that this engine can be judged by, each at a bound that is a bucket edge of it.

    Raises:
        ValueError: a budget too large for the alerts ever to fire.
    """
    fitted = (fit(engine, objective)[0] for objective in engine.objectives if objective.name in _INDICATORS)
    found = (_INDICATORS[one.name](one) for one in fitted if one is not None)
    return tuple(replace(indicator, runtime=engine.runtime) for indicator in found)


def fit(engine: Engine, objective: Objective) -> tuple[Objective | None, str]:
    """The objective at the engine's bucket edge nearest to its bound, and what is to be said about that.

    None when the engine tells too little to judge it. Of two edges equally near, the stricter.

    Raises:
        ValueError: it has no bound and needs one, or its budget is too large for the alerts ever to fire.
    """
    name = objective.name
    if BURN_RATES[0].rate * budget(objective) >= 1:
        raise ValueError(
            f"{name}: no error ratio burns a budget of that size {BURN_RATE_PAGE:g} times too fast"
        )
    sources = [source for signal in _INDICATORS[name](objective).needs for source in engine.of(signal)]
    if not sources:
        return None, f"{name} is not judged: this engine does not tell it."
    if objective.bound_s is None:
        return objective, ""
    edges_s = _common_edges(sources)
    if not edges_s:
        return None, f"{name} is not judged: the bucket edges of {sources[0].name} are not published."
    wanted_s = objective.bound_s
    nearest_s = min(edges_s, key=lambda edge_s: (round(abs(edge_s - wanted_s), 9), edge_s))
    if nearest_s == wanted_s:
        return objective, ""
    said = f"{name} is judged at {nearest_s:g} s: {wanted_s:g} s is no bucket edge of {sources[0].name}."
    return replace(objective, bound_s=nearest_s), said


def _common_edges(sources: Sequence[Source]) -> set[float]:
    return set.intersection(*(set(source.edges_s) for source in sources))


def slo_rules(engine: Engine, timing: Timing) -> tuple[Group, ...]:
    """Per objective: the two rates, the error ratio over every window, and what Sloth's dashboards read."""
    return tuple(
        group
        for indicator in indicators(engine)
        for group in (
            Group(f"slo:{indicator.objective.name}", (*_ratios(indicator, timing), *_metadata(indicator))),
            # A month of samples is read rarely: the budget does not move in minutes.
            Group(
                f"slo:{indicator.objective.name}:period",
                _period(indicator, timing),
                timing.window(5 * MINUTE_S),
            ),
        )
    )


def burn_alerts(engine: Engine) -> Group:
    """Multi-window multi-burn-rate alerts: one rule per objective and row of the table."""
    return Group(
        "burn-rates", [_burn_alert(indicator, row) for indicator in indicators(engine) for row in BURN_RATES]
    )


def _ttft(objective: Objective) -> Indicator:
    # A failed request may have had no first token: it counts as infinitely late, as it does in a run's verdict.
    got = _sum("inf:ttft_seconds_count:rate")
    total = f"{got}\n+ ({_sum(f'inf:request:rate{{{FAILED}}}')} or {got} * 0)"
    good = _sum(f"inf:ttft_seconds_bucket:rate{{{_le(objective)}}}")
    return Indicator(
        objective, "TtftBudgetBurn", ("ttft_seconds",), f"clamp_min(\n{total}\n- {good}, 0)", total
    )


def _itl(objective: Objective) -> Indicator:
    total = _sum("inf:itl_seconds_count:rate")
    good = _sum(f"inf:itl_seconds_bucket:rate{{{_le(objective)}}}")
    return Indicator(objective, "ItlBudgetBurn", ("itl_seconds",), f"clamp_min({total}\n- {good}, 0)", total)


def _tpot(objective: Objective) -> Indicator:
    total = _sum("inf:tpot_seconds_count:rate")
    good = _sum(f"inf:tpot_seconds_bucket:rate{{{_le(objective)}}}")
    return Indicator(
        objective, "TpotBudgetBurn", ("tpot_seconds",), f"clamp_min({total}\n- {good}, 0)", total
    )


def _e2e(objective: Objective) -> Indicator:
    # A client that leaves within the bound says nothing about the server; one that leaves later was served too slowly.
    le = _le(objective)
    ended = _sum("inf:e2e_seconds_count:rate")
    left = _sum(f'inf:e2e_seconds_bucket:rate{{outcome="aborted", {le}}}')
    total = f"{ended}\n- ({left} or {ended} * 0)"
    # Engines that do not tell outcomes record completed requests alone: an empty outcome is ok.
    good = _sum(f'inf:e2e_seconds_bucket:rate{{outcome=~"ok|", {le}}}')
    return Indicator(
        objective, "E2eBudgetBurn", ("e2e_seconds",), f"clamp_min(\n{total}\n- {good}, 0)", total
    )


def _availability(objective: Objective) -> Indicator:
    # At the gateway: what a client got, whichever replica died meanwhile. A killed replica counts nothing itself.
    total = _sum('inf:gateway_request:rate{outcome!="client_gone"}')
    bad = f"{_sum(f'inf:gateway_request:rate{{{GATEWAY_FAILED}}}')}\nor {total} * 0"
    return Indicator(objective, "AvailabilityBudgetBurn", ("gateway_request",), bad, total)


_INDICATORS = {"ttft": _ttft, "itl": _itl, "tpot": _tpot, "e2e": _e2e, "availability": _availability}
JUDGED = frozenset(_INDICATORS)
"""The objectives that rules watch; goodput is made of them."""


def _sum(selector: str) -> str:
    return f"sum by ({KEEP}) ({selector})"


def _le(objective: Objective) -> str:
    return le_matcher(bound_s(objective))


def _ratios(indicator: Indicator, timing: Timing) -> list[Recording]:
    rates = [
        Recording("slo:sli_bad:rate", indicator.bad, indicator.labels),
        Recording("slo:sli_total:rate", indicator.total, indicator.labels),
    ]
    return rates + [_ratio(indicator, window_s, timing) for window_s in WINDOWS_S if window_s != PERIOD_S]


def _ratio(indicator: Indicator, window_s: float, timing: Timing) -> Recording:
    window = timing.window(window_s)
    bad, total = (
        f"sum_over_time({indicator.series(name)}[{window}])"
        for name in ("slo:sli_bad:rate", "slo:sli_total:rate")
    )
    # The name tells the window that production uses, in scaled files too: dashboards and queries fit both.
    return Recording(
        f"slo:sli_error:ratio_rate{duration(window_s)}",
        f"{bad}\n/ ({total} > 0)",
        {**indicator.labels, "sloth_window": duration(window_s)},
    )


def _metadata(indicator: Indicator) -> list[Recording]:
    objective, labels = indicator.objective, indicator.labels
    info = {
        "sloth_mode": "aftershock",
        "sloth_objective": f"{objective.share * 100:g}",
        "sloth_spec": "prometheus/v1",
    }
    return [
        Recording("slo:objective:ratio", f"vector({objective.share:g})", labels),
        Recording("slo:error_budget:ratio", f"vector({budget(objective):g})", labels),
        Recording("slo:time_period:days", f"vector({PERIOD_S / DAY_S:g})", labels),
        Recording("slo:current_burn_rate:ratio", _burn(indicator, WINDOWS_S[0]), labels),
        Recording("sloth_slo_info", "vector(1)", {**labels, **info}),
    ]


def _period(indicator: Indicator, timing: Timing) -> list[Recording]:
    burn = indicator.series("slo:period_burn_rate:ratio")
    return [
        _ratio(indicator, PERIOD_S, timing),
        Recording("slo:period_burn_rate:ratio", _burn(indicator, PERIOD_S), indicator.labels),
        Recording("slo:period_error_budget_remaining:ratio", f"1 - {burn}", indicator.labels),
    ]


def _burn(indicator: Indicator, window_s: float) -> str:
    error = indicator.series(f"slo:sli_error:ratio_rate{duration(window_s)}")
    allowed = indicator.series("slo:error_budget:ratio")
    return f"{error}\n/ on (sloth_id, sloth_slo, sloth_service) group_left\n{allowed}"


def _burn_alert(indicator: Indicator, row: BurnRate) -> Alert:
    objective, threshold = indicator.objective, f"{row.rate * budget(indicator.objective):g}"
    short, long = (
        f"max without (sloth_window) ({indicator.series(f'slo:sli_error:ratio_rate{duration(s)}')}) > {threshold}"
        for s in (row.short_s, row.long_s)
    )
    days = PERIOD_S / DAY_S / row.rate
    bound = "" if objective.bound_s is None else f" within {objective.bound_s:g} s"
    return Alert(
        indicator.alert,
        f"{long}\nand\n{short}",
        row.severity,
        summary=f"The error budget of {objective.name} burns over {row.rate:g} times faster than it can last.",
        description=(
            f"Over {duration(row.long_s)}, {{{{ $value | humanizePercentage }}}} missed the objective: "
            f"{objective.share * 100:g} % {_MEANING[objective.name]}{bound}. "
            f"At {row.rate:g} times the lasting pace, the budget of 30 days is gone in {days:.1f} days."
        ),
        labels={"long_window": duration(row.long_s), "short_window": duration(row.short_s)},
    )


_MEANING = {
    "ttft": "of requests have their first token",
    "itl": "of gaps between two tokens end",
    "tpot": "of answers have a mean time per token",
    "e2e": "of requests are answered completely",
    "availability": "of requests at the gateway are answered completely",
}
