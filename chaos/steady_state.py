"""The gate before injection: a fault in a cluster that is already unwell proves nothing."""

from bisect import bisect_left
from collections.abc import Sequence

from chaos.errors import RefusedError
from chaos.measuring.objectives import Objectives, is_good
from chaos.measuring.quantiles import binomial_point, quantile
from loadtests.rows import Row

_FEWEST_TO_TELL = 10
_FALSE_ALARM = 0.001


def require_healthy_baseline(
    rows: Sequence[Row],
    overdue: int,
    objectives: Objectives,
    goodput: float,
    error_ratio: float,
) -> None:
    """Refuse unless the baseline's requests meet what recovery will be held to.

    Args:
        rows: the baseline's requests that have ended so far.
        overdue: how many more are waiting for so long that they are bad already; see `overdue`.
        objectives: what makes a request good.
        goodput: least share of good requests, 0..1.
        error_ratio: largest share of failed requests, 0..1.

    Raises:
        RefusedError: naming both shares; nothing was injected.
    """
    decided = len(rows) + overdue
    if not decided:
        raise RefusedError("no baseline request has ended: the cluster is not serving, nothing was injected")
    failed = sum(not row.ok for row in rows)
    good = sum(is_good(row, objectives) for row in rows)
    if failed > round(error_ratio * decided, 6) or good < round(goodput * decided, 6):
        waiting = f", {overdue} of them are waiting for longer than they may" if overdue else ""
        raise RefusedError(
            f"the baseline is unhealthy, nothing was injected: {good} of {decided} requests met the objectives "
            f"(at least {goodput:.6g} of them wanted{waiting}), {failed} failed (at most {error_ratio:.6g} may)",
            hint="lower load.rate, or widen slo; logs/ in the run folder has every process's output",
        )


def overdue(
    rows: Sequence[Row],
    offsets_s: Sequence[float],
    since_s: float,
    now_s: float,
    objectives: Objectives,
    waiting: frozenset[int] = frozenset(),
) -> int:
    """How many arrivals planned since an instant have no row, though they must be bad by now.

    Without a first token within its bound an arrival is bad, but rows tell of it at its end only: one is overdue once
    that bound and what an answer takes have passed, or its end-to-end bound.

    Args:
        rows: what has ended so far.
        offsets_s: the plan.
        since_s: arrivals from this instant of the run clock on count.
        now_s: on the run clock.
        objectives: what makes a request good.
        waiting: arrivals that wait for others: when they are due is known once they have left.
    """
    took_s = sorted(row.e2e_s or 0.0 for row in rows if is_good(row, objectives))
    patience_s = (
        min(objectives.e2e_s, objectives.ttft_s + quantile(took_s, 90)) if took_s else objectives.e2e_s
    )
    ended = {row.index for row in rows} | waiting
    due = range(bisect_left(offsets_s, since_s), bisect_left(offsets_s, now_s - patience_s))
    return sum(index not in ended for index in due)


def overloaded(
    rows: Sequence[Row],
    offsets_s: Sequence[float],
    warmup_s: float,
    objectives: Objectives,
    goodput: float,
    waiting: frozenset[int] = frozenset(),
) -> str | None:
    """How the warm-up shows that the cluster does not carry its load, as a clause; None when it does not show that.

    Its third and its fourth quarter must each show it, by requests decided there, whenever they arrived: a start that
    is slow, one stall or a few slow requests are no overload.

    Args:
        rows: what has ended so far.
        offsets_s: the plan of the warm-up: an arrival due for longer than its end-to-end bound is bad, row or not.
        warmup_s: how long it was; it is over now.
        objectives: what makes a request good.
        goodput: least share of good requests that the baseline will need, 0..1.
        waiting: arrivals that wait for others: when they are due is known once they have left.
    """
    decided = [
        (row.intended_s if row.ended_s is None else row.ended_s, is_good(row, objectives)) for row in rows
    ]
    ended = {row.index for row in rows} | waiting
    overdue = range(bisect_left(offsets_s, warmup_s - objectives.e2e_s))
    decided += [(offsets_s[index] + objectives.e2e_s, False) for index in overdue if index not in ended]
    middle_s, later_s = warmup_s / 2, warmup_s * 3 / 4
    third = [good for at_s, good in decided if middle_s <= at_s < later_s]
    fourth = [good for at_s, good in decided if later_s <= at_s <= warmup_s]
    if not all(_clearly_below(goodput, sum(quarter), len(quarter)) for quarter in (third, fourth)):
        return None
    both = [*third, *fourth]
    return f"{sum(both) / len(both):.0%} of {len(both)} requests in the later half of the warm-up met the objectives"


def _clearly_below(goodput: float, good: int, n: int) -> bool:
    """Whether so few good ones of n had a chance of less than one in a thousand if goodput were what is needed."""
    # Wanting every single one would make one slow request an overload.
    return n >= _FEWEST_TO_TELL and good < binomial_point(n, min(goodput, 0.99), _FALSE_ALARM)
