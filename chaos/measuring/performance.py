"""What a service does at one rate, and what several rates show together: the knee, and the highest that it carries.

Quantiles as everywhere: over every planned arrival, failures as +inf, no interpolation. Throughput is what ended within
the measured stretch, per second of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from chaos.measuring.columns import Columns, Floats, Ints, taken
from chaos.measuring.evidence import evidence
from chaos.measuring.failures import refusals
from chaos.measuring.intervals import share_interval
from chaos.measuring.objectives import Objectives
from chaos.measuring.quantiles import quantile
from chaos.measuring.slis import samples
from chaos.measuring.timeline import Timeline
from loadtests.rows import OUTCOMES

PERCENTS = (50, 90, 95, 99)
LATENCIES = ("ttft", "tpot", "itl", "e2e")


@dataclass(frozen=True, slots=True)
class Latency:
    """One of `LATENCIES` in seconds; None without a sample, +inf where failures reach the quantile."""

    mean_s: float | None
    """Of the answers that were complete."""
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Performance:
    """One rate for a while, its warm-up left out."""

    rate_per_s: float
    """As planned."""
    lasts_s: float
    planned: int
    ok: int
    good: int
    """Complete, and within every objective."""
    goodput: float | None
    """Good per planned; None without an arrival."""
    goodput_interval: tuple[float, float] | None
    """95 % interval."""
    requests_per_s: float
    """Complete answers that ended."""
    good_per_s: float
    output_tokens_per_s: float
    prompt_tokens_per_s: float | None
    """None where the server does not count them."""
    in_flight: float
    """On average, those that fail included."""
    lag_p99_s: float | None
    """The generator's own."""
    ttft: Latency
    tpot: Latency
    itl: Latency
    e2e: Latency
    outcomes: dict[str, int]
    said: dict[str, int] = field(default_factory=dict)
    """What the server said when it refused, each with its outcome before it, and how often."""


def performance(timeline: Timeline, objectives: Objectives, rate_per_s: float) -> Performance:
    """What the rows of one rate say, from the end of the warm-up to the end of the plan."""
    begin_s, end_s = timeline.warmup_s, timeline.plan_end_s
    rows, lasts_s = timeline.rows, max(end_s - begin_s, 1e-9)
    places: Ints = np.arange(len(rows))[rows.between(begin_s, end_s)]
    ended = np.flatnonzero(rows.ok & (rows.ended_s >= begin_s) & (rows.ended_s < end_s))
    good = evidence(timeline, objectives).good[places]
    planned, interval = len(places), share_interval(good, np.round(samples(rows, "ttft", places), 6))
    lags_s = np.sort(rows.lag_s[places][~np.isnan(rows.lag_s[places])])
    prompt_tokens = rows.prompt_tokens[ended]
    counted = len(ended) > 0 and not np.all(np.isnan(prompt_tokens))
    return Performance(
        rate_per_s=rate_per_s,
        lasts_s=lasts_s,
        planned=planned,
        ok=int(np.sum(rows.ok[places])),
        good=int(np.sum(good)),
        goodput=float(np.mean(good)) if planned else None,
        goodput_interval=None if interval.reason else (interval.low, interval.high),
        requests_per_s=len(ended) / lasts_s,
        good_per_s=float(np.sum(good)) / lasts_s,
        output_tokens_per_s=float(np.sum(rows.output_tokens[ended])) / lasts_s,
        prompt_tokens_per_s=float(np.nansum(prompt_tokens)) / lasts_s if counted else None,
        in_flight=_in_flight(rows, begin_s, end_s) / lasts_s,
        lag_p99_s=quantile(lags_s, 99) if len(lags_s) else None,
        **{name: _latency(samples(rows, name, places)) for name in LATENCIES},
        outcomes=_outcomes(rows.outcome[places]),
        said={f"{one.outcome}: {one.words}": one.count for one in refusals(taken(rows, places))},
    )


def carried(level: Performance, goal: float) -> bool:
    """Whether this rate was served within the objectives: as large a share of it as the goal says."""
    return level.goodput is not None and level.goodput >= goal


def decided(level: Performance, goal: float) -> bool:
    """Whether its requests are enough to say so of the service, with 95 % confidence, and not of this run alone."""
    if level.goodput_interval is None:
        return False
    low, high = level.goodput_interval
    return low >= goal or high < goal


def highest_within(levels: Sequence[Performance], goal: float) -> Performance | None:
    """The highest rate that was carried, with every lower one that was tried; None where the lowest was not."""
    highest = None
    for level in sorted(levels, key=lambda one: one.rate_per_s):
        if not carried(level, goal):
            break
        highest = level
    return highest


def knee(levels: Sequence[Performance]) -> Performance | None:
    """The rate with the most good answers per second for each second that one takes: its *power*.

    Below it a higher rate costs little latency, above it latency grows faster than throughput. (Kleinrock, Power and
    deterministic rules of thumb for probabilistic problems in computer communications, ICC 1979.) None where it is
    the highest rate that was tried, beyond which nobody looked, or where there are fewer than three.
    """
    known = [one for one in levels if power(one) is not None]
    if len(known) < 3:
        return None
    best = max(known, key=lambda one: power(one) or 0.0)
    return None if best.rate_per_s == max(one.rate_per_s for one in levels) else best


def power(level: Performance) -> float | None:
    """Good answers per second, by the mean time that a complete one takes; None where none came."""
    mean_s = level.e2e.mean_s
    return level.good_per_s / mean_s if mean_s else None


def _latency(values: Floats) -> Latency:
    came, ordered = values[np.isfinite(values)], np.sort(values)
    quantiles = {
        f"p{percent}_s": quantile(ordered, percent) if len(ordered) else None for percent in PERCENTS
    }
    return Latency(mean_s=float(np.mean(came)) if len(came) else None, **quantiles)


def _in_flight(rows: Columns, begin_s: float, end_s: float) -> float:
    """Seconds that requests spent on their way within a stretch, all together."""
    left_s = np.where(np.isnan(rows.ended_s), end_s, rows.ended_s)
    spent_s = np.minimum(left_s, end_s) - np.maximum(rows.dispatched_s, begin_s)
    return float(np.nansum(np.maximum(spent_s, 0.0)))


def _outcomes(codes: Ints) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(OUTCOMES)).tolist()
    return {name: count for name, count in sorted(zip(OUTCOMES, counts, strict=True)) if count}
