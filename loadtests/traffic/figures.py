"""What a plan is like, in the figures by which published traces are described."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from loadtests.plan import Plan

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one plan. What a plan of fewer than two arrivals does not have is NaN."""

    arrivals: int
    rate_per_s: float
    peak_per_s: float
    """Most arrivals in a window of one second that begins on a whole one."""
    cv: float
    """Coefficient of variation of the gaps: 0 for even ones, 1 for Poisson."""
    longest_gap_s: float
    sessions: int
    waiting: int
    """Arrivals that wait for the end of another: what is not open loop."""
    prompt_tokens: Array
    output_tokens: Array
    at_s: Array
    duration_s: float

    def dispersion(self, window_s: float) -> float:
        """Index of dispersion: variance by mean of the counts in windows of this length; 1 for Poisson."""
        return dispersion(self.at_s, window_s, self.duration_s)


def figures(plan: Plan, duration_s: float) -> Figures:
    """Of a plan that is offered for this long."""
    at_s = np.array(plan.offsets_s)
    gaps_s = np.diff(at_s)
    counts = np.bincount(at_s.astype(int)) if len(at_s) else np.zeros(1)
    return Figures(
        arrivals=len(at_s),
        rate_per_s=len(at_s) / duration_s,
        peak_per_s=float(counts.max()),
        cv=coefficient_of_variation(gaps_s),
        longest_gap_s=float(gaps_s.max()) if len(gaps_s) else float("nan"),
        sessions=len({each.session for each in plan.arrivals if each.session is not None}),
        waiting=sum(each.think_s is not None for each in plan.arrivals),
        prompt_tokens=np.array([each.prompt_tokens for each in plan.arrivals]),
        output_tokens=np.array([each.output_tokens for each in plan.arrivals]),
        at_s=at_s,
        duration_s=duration_s,
    )


def coefficient_of_variation(values: Array) -> float:
    """Standard deviation by mean; NaN without values, or where all are 0."""
    mean = values.mean() if len(values) else 0.0
    return float(values.std() / mean) if mean else float("nan")


def dispersion(at_s: Array, window_s: float, duration_s: float) -> float:
    """Variance by mean of the counts in the whole windows of this length that lie in the duration; NaN without any."""
    number = int(duration_s / window_s)
    places = (at_s / window_s).astype(int)
    counts = np.bincount(places[places < number], minlength=number) if number else np.zeros(0)
    return float(counts.var() / counts.mean()) if counts.sum() else float("nan")


def quantile(values: Array, percent: float) -> int:
    """The value of rank ceil(q n), never one between two."""
    return int(np.quantile(values, percent / 100, method="inverted_cdf"))


def shared_share(prompts: Sequence[tuple[object, int, int]]) -> float:
    """How much of all prompts, in order, a cache without limits would know from an earlier one.

    Args:
        prompts: of each its key (of what it is a beginning), its length, and how much of it an other key may share.
    """
    longest: dict[object, int] = {}
    common = known = total = 0
    for key, length, shared in prompts:
        known += max(min(longest.get(key, 0), length), min(common, shared))
        total += length
        longest[key] = max(longest.get(key, 0), length)
        common = max(common, shared)
    return known / total if total else 0.0
