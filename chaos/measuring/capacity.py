"""What a cluster can carry, read off the rows of a ramp: the rate of answers within the objectives where it levels off.

The arrival rate at which objectives break says too much: a queue hides an overload until its wait fills the bound,
and meanwhile the ramp climbs on. What comes out in time cannot exceed what the cluster can do, however steep the ramp.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.measuring.objectives import Objectives, is_good
from chaos.measuring.quantiles import quantile
from loadtests.rows import CENSORED, Row

HELD = 0.9
"""Share of arrivals within the objectives up to where a ramp still held; below it the cluster is overloaded."""
FEWEST = 4
"""Answers within the objectives below which a ramp says nothing about a rate."""
ENOUGH = 8
"""Answers that a rate should rest on: a slot more or less is then less than a tenth."""
_WINDOW_S = 1.0
_WINDOW_ANSWERS = 1.5
"""A window is as long as so many answers take: slots that fill from empty look like more than they can repeat."""
_STEEP = 0.8
"""Growth of a ramp during one answer above which its estimate is coarse."""
_LATELY_S = 1.0
_FEWEST_DECIDED = 5
_MOSTLY_BAD = 0.6


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one ramp came to."""

    rate_per_s: float | None
    """Answers within the objectives per second; None when there were too few of them."""
    answers: int
    """Answers that the rate rests on."""
    answer_s: float
    """What nine of ten answers within the objectives took at most, end to end; 0 without any."""
    broke: bool
    """Whether the ramp overloaded the cluster: if not, the rate is what it carries at least."""
    arrivals: int
    good: int
    """Of all arrivals that were offered."""

    def is_coarse(self, growth_per_s: float) -> bool:
        """Whether a gentler ramp, nearer to this rate, would tell it better."""
        steep = growth_per_s * self.answer_s > _STEEP
        return self.broke and (self.rate_per_s is None or self.answers < ENOUGH or steep)


def estimate(rows: Iterable[Row], objectives: Objectives) -> Estimate:
    """What the rows of a ramp tell, once each arrival that was offered has come to its end."""
    offered = sorted((row for row in rows if was_offered(row)), key=lambda row: row.intended_s)
    verdicts = [is_good(row, objectives) for row in offered]
    held = _held_until(verdicts)
    answered = [row for row, good in zip(offered[:held], verdicts, strict=False) if good]
    took_s = sorted(row.e2e_s or 0.0 for row in answered)
    answer_s = _most(took_s) if took_s else 0.0
    ends_s = sorted(row.ended_s for row in answered if row.ended_s is not None)
    rate, answers = _best_rate(ends_s, max(_WINDOW_S, _WINDOW_ANSWERS * answer_s))
    return Estimate(
        rate_per_s=rate,
        answers=answers,
        answer_s=answer_s,
        broke=held < len(offered),
        arrivals=len(offered),
        good=sum(verdicts),
    )


def is_overloaded(
    rows: Sequence[Row], offsets_s: Sequence[float], now_s: float, objectives: Objectives
) -> bool:
    """Whether most of what was decided lately is bad, so that a ramp need not climb on.

    An arrival that is due for longer than a first token may take, and an answer took so far, is bad before it ends:
    a ramp that waits for all its rows doubles its rate meanwhile.

    Args:
        rows: of the ramp, as far as they have ended.
        offsets_s: the ramp's plan.
        now_s: on the run clock.
        objectives: what makes a request good.
    """
    decided = {row.index: is_good(row, objectives) for row in rows if was_offered(row)}
    took_s = sorted(row.e2e_s or 0.0 for row in rows if is_good(row, objectives))
    patience_s = min(objectives.e2e_s, objectives.ttft_s + _most(took_s)) if took_s else objectives.e2e_s
    overdue = bisect_left(offsets_s, now_s - patience_s)
    decided |= {index: False for index in range(overdue) if index not in decided}
    if len(decided) < _FEWEST_DECIDED:
        return False
    latest = sorted(decided)
    since = bisect_left(latest, bisect_left(offsets_s, offsets_s[latest[-1]] - _LATELY_S))
    lately = latest[min(since, len(latest) - _FEWEST_DECIDED) :]
    return sum(not decided[index] for index in lately) >= _MOSTLY_BAD * len(lately)


def was_offered(row: Row) -> bool:
    """Whether the arrival came due before the ramp was closed; what was dropped at its limit did."""
    return row.outcome != CENSORED or row.dispatched_s is not None


def _most(ascending_s: Sequence[float]) -> float:
    """What nine of ten took at most."""
    return quantile(ascending_s, 90)


def _held_until(verdicts: Sequence[bool]) -> int:
    """How many arrivals the cluster held: before that point goodput is above `HELD`, looking back however far.

    The point where the running sum of (good - HELD) is largest: one bad arrival moves it back for a while only.
    """
    held, highest, total = 0, 0.0, 0.0
    for count, good in enumerate(verdicts, start=1):
        total += (1 - HELD) if good else -HELD
        if total >= highest:
            held, highest = count, total
    return held


def _best_rate(ends_s: Sequence[float], window_s: float) -> tuple[float | None, int]:
    """The most answers per second over any window of at least this length and `ENOUGH` answers, and their number.

    Gaps are counted, not answers: a window that begins and ends with an answer holds one more of these. Where all
    answers together are too few, their whole stretch is the window.
    """
    if len(ends_s) < FEWEST or ends_s[-1] <= ends_s[0]:
        return None, len(ends_s)
    best, answers = 0.0, 0
    for first, begin_s in enumerate(ends_s):
        last = max(first + ENOUGH, bisect_left(ends_s, begin_s + window_s))
        if last >= len(ends_s):
            if first:
                break
            last = len(ends_s) - 1
        rate = (last - first) / (ends_s[last] - begin_s) if ends_s[last] > begin_s else 0.0
        if rate > best:
            best, answers = rate, last - first
    return best, answers
