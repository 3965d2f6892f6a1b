"""Service level indicators: which arrivals are good, what failed when, latency samples, the run by seconds.

Defined in docs/measurement.md. Arrivals count by intended start, failures by the instant of the failure.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.measuring.quantiles import quantile
from chaos.measuring.timeline import Phase, Timeline, ready_at, ready_steps
from loadtests.rows import CENSORED, Row

METRICS = ("ttft", "e2e", "tpot", "itl", "lag")


@dataclass(frozen=True, slots=True)
class Objectives:
    """The SLO of one request: upper bounds in seconds, inclusive."""

    ttft_s: float
    e2e_s: float
    itl_s: float | None = None
    """Bound of the largest gap between two tokens; None leaves gaps unbounded."""


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
    ttft_p50_s: float | None
    """Quantiles of the planned arrivals, failures as +inf; None without arrivals."""
    ttft_p95_s: float | None
    ttft_p99_s: float | None


def is_good(row: Row, objectives: Objectives) -> bool:
    """Whether the arrival was answered completely and within every bound."""
    if not row.ok or row.ttft_s is None or row.e2e_s is None:
        return False
    if row.ttft_s > objectives.ttft_s or row.e2e_s > objectives.e2e_s:
        return False
    return objectives.itl_s is None or max(row.itl_s, default=0.0) <= objectives.itl_s


def good_count(rows: Sequence[Row], objectives: Objectives) -> int:
    """How many of the rows are good."""
    return sum(is_good(row, objectives) for row in rows)


def failures(timeline: Timeline, phase: Phase) -> int:
    """Requests that failed within the phase; the drain belongs to a phase that ends with the plan."""
    end_s = math.inf if phase.end_s >= timeline.plan_end_s else phase.end_s
    return sum(
        row.failed_at_s is not None and phase.start_s <= row.failed_at_s < end_s for row in timeline.rows
    )


def samples(rows: Sequence[Row], metric: str) -> list[float]:
    """Ascending samples of one of `METRICS` in seconds, failures as +inf.

    TPOT leaves out answers of fewer than two tokens, where it is undefined. ITL pools every gap, and a failed
    request adds one that never ended. Lag is the generator's: only an arrival never dispatched is +inf.
    """
    values: list[float] = []
    for row in rows:
        if metric == "lag":
            values.append(_or_inf(row.lag_s))
        elif metric == "itl":
            values.extend(row.itl_s)
            values.extend(() if row.ok else (math.inf,))
        elif not row.ok:
            values.append(math.inf)
        elif metric == "tpot":
            values.extend(() if row.tpot_s is None else (row.tpot_s,))
        else:
            values.append(_or_inf(row.ttft_s if metric == "ttft" else row.e2e_s))
    return sorted(values)


def observed_until_s(timeline: Timeline, objectives: Objectives) -> float:
    """Up to when every arrival is known to be good or bad.

    A censored request is known to be bad once its end-to-end bound has passed; the first one cut off earlier
    ends the observation.
    """
    undecided = (
        row.intended_s
        for row in timeline.rows
        if row.outcome == CENSORED
        and (row.ended_s if row.ended_s is not None else timeline.plan_end_s) - row.intended_s
        <= objectives.e2e_s
    )
    return min(undecided, default=timeline.plan_end_s)


def per_second(timeline: Timeline, objectives: Objectives) -> tuple[Bin, ...]:
    """The run second by second, from 0 to the last thing that happened to a request, drain included.

    Each row is planned in one bin; each failure is failed in one, each success completed in one.
    """
    rows = timeline.rows
    failed = _by_second(row.failed_at_s for row in rows)
    completed = _by_second(row.ended_s for row in rows if row.ok)
    dispatched_s = _ascending(row.dispatched_s for row in rows)
    ended_s = _ascending(row.ended_s for row in rows if row.dispatched_s is not None)
    steps = ready_steps(timeline)
    last = max((*failed, *completed), default=0)
    bins = []
    for start in range(max(math.ceil(timeline.plan_end_s), last + 1)):
        arrivals = timeline.between(start, start + 1)
        ttft_s = samples(arrivals, "ttft")
        p50, p95, p99 = (quantile(ttft_s, percent) if ttft_s else None for percent in (50, 95, 99))
        bins.append(
            Bin(
                start_s=start,
                planned=len(arrivals),
                good=good_count(arrivals, objectives),
                failed=failed[start],
                completed=completed[start],
                in_flight=bisect_right(dispatched_s, start + 1) - bisect_right(ended_s, start + 1),
                ready=len(ready_at(steps, start + 1)),
                ttft_p50_s=p50,
                ttft_p95_s=p95,
                ttft_p99_s=p99,
            )
        )
    return tuple(bins)


def _ascending(instants_s: Iterable[float | None]) -> list[float]:
    return sorted(at_s for at_s in instants_s if at_s is not None)


def _by_second(instants_s: Iterable[float | None]) -> Counter[int]:
    return Counter(math.floor(at_s) for at_s in instants_s if at_s is not None)


def _or_inf(value: float | None) -> float:
    return math.inf if value is None else value
