"""Service level indicators: latency samples of any requests, and the run second by second.

Defined in docs/measurement.md.
"""

import math
from dataclasses import dataclass

import numpy as np

from chaos.measuring.columns import Columns, Flags, Floats, Ints
from chaos.measuring.evidence import Evidence
from chaos.measuring.objectives import Objectives
from chaos.measuring.spread import Spread, spread
from chaos.measuring.timeline import Timeline, ready_at, ready_steps

_ROUNDING_S = 1e-6
"""The precision of stamps."""
METRICS = ("ttft", "e2e", "tpot", "itl", "lag")


@dataclass(frozen=True, slots=True)
class Bin:
    """One second of the run, [start_s, start_s + 1)."""

    start_s: int
    planned: int
    """Arrivals intended in this second."""
    good: int
    """Those of them that met every objective, whenever they ended."""
    failed: int
    """Requests that failed in this second, whenever they arrived."""
    completed: int
    """Requests that ended well in this second."""
    in_flight: int
    """At the end of the second."""
    ready: int
    """Replicas ready at the end of the second."""
    ttft: Spread | None
    """Of the planned arrivals, failures as +inf; None without arrivals."""


def samples(rows: Columns, metric: str, places: Ints | slice = slice(None)) -> Floats:
    """Samples of one of `METRICS` in seconds, in the order of the places, failures as +inf.

    TPOT leaves out answers of fewer than two tokens, where it is undefined. ITL pools every gap; a failed request
    lacks gaps that never ended: as many as it has fewer than the median answer, one at least. Lag is the generator's:
    only an arrival never dispatched is +inf.
    """
    if metric == "itl":
        chosen = np.arange(len(rows))[places]
        return np.concatenate([rows.gaps_s(chosen), np.full(_missing_gaps(rows, chosen), np.inf)])
    if metric == "lag":
        return _or_inf(rows.lag_s[places])
    if metric == "tpot":
        found = rows.tpot_s[places]
        return found[~np.isnan(found)]
    ok = rows.ok[places]
    reached_s = rows.first_token_s if metric == "ttft" else rows.ended_s
    return np.where(ok, _or_inf(reached_s[places] - rows.intended_s[places]), np.inf)


def on_time(rows: Columns, places: Ints, objectives: Objectives) -> Flags:
    """Whether every token of these requests came by a deadline of its own, so that holding tokens back pays nobody.

    The first one is due within the TTFT bound, each further one the bound for the time per token later, else that for
    gaps; without either they are spread evenly up to the end-to-end bound. (A deadline per token: Wang et al.,
    Revisiting SLO and Goodput Metrics in LLM Serving, 2024.)
    """
    counts, stored = rows.tokens, rows.stored
    owner = np.repeat(stored, counts[stored])
    nth = np.arange(len(owner)) - rows.token_from[owner]
    each_s = objectives.itl_s if objectives.tpot_s is None else objectives.tpot_s
    if each_s is not None:
        pace_s = np.full(len(rows), each_s)
    else:
        pace_s = (objectives.e2e_s - objectives.ttft_s) / np.maximum(counts - 1, 1)
    late = rows.token_s > rows.intended_s[owner] + objectives.ttft_s + nth * pace_s[owner] + _ROUNDING_S
    found = rows.ok & (counts > 0)
    found[owner[late]] = False
    return found[places]


def _missing_gaps(rows: Columns, chosen: Ints) -> int:
    ok, gaps = rows.ok[chosen], np.maximum(rows.tokens[chosen] - 1, 0)
    usual = int(np.median(gaps[ok])) if np.any(ok) else 0
    return int(np.sum(np.maximum(usual - gaps[~ok], 1)))


def per_second(timeline: Timeline, found: Evidence) -> tuple[Bin, ...]:
    """The run second by second, from 0 to the last thing that happened to a request, drain included.

    Each row is planned in one bin; each failure is failed in one, each success completed in one.
    """
    rows, steps = timeline.rows, ready_steps(timeline)
    failed_s, completed_s = rows.failed_at_s[~rows.ok], rows.ended_s[rows.ok]
    last_s = max(np.max(failed_s, initial=0.0), np.max(completed_s, initial=0.0))
    seconds = max(math.ceil(timeline.plan_end_s), math.floor(last_s) + 1)
    failed, completed = _counts(failed_s, seconds), _counts(completed_s, seconds)
    edges = np.arange(1, seconds + 1)
    begun = np.searchsorted(np.sort(rows.dispatched_s[~np.isnan(rows.dispatched_s)]), edges, side="right")
    left = rows.ended_s[~np.isnan(rows.dispatched_s) & ~np.isnan(rows.ended_s)]
    in_flight = begun - np.searchsorted(np.sort(left), edges, side="right")
    ttft_s = samples(rows, "ttft")
    bins = []
    for start in range(seconds):
        arrivals = rows.between(start, start + 1)
        planned = arrivals.stop - arrivals.start
        bins.append(
            Bin(
                start_s=start,
                planned=planned,
                good=int(np.sum(found.good[arrivals])),
                failed=int(failed[start]),
                completed=int(completed[start]),
                in_flight=int(in_flight[start]),
                ready=len(ready_at(steps, start + 1)),
                ttft=spread(ttft_s[arrivals]),
            )
        )
    return tuple(bins)


def _counts(instants_s: Floats, seconds: int) -> Ints:
    whole = np.floor(instants_s[instants_s >= 0]).astype(np.int64)
    return np.bincount(whole, minlength=seconds)[:seconds]


def _or_inf(values: Floats) -> Floats:
    return np.where(np.isnan(values), np.inf, values)
