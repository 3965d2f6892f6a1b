"""What is looked at while a run goes on, as an experiment file says it: conditions of faults, and guards that abort."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from chaos.reading.documents import Problem
from chaos.reading.quantities import Duration, DurationOrZero, duration_text, ratio, seconds_of
from chaos.reading.strict import Strict, Text

Figure = Literal["in_flight", "error_ratio", "goodput", "ttft_p99"]


def _bound(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(value, str):
        for read in (ratio, seconds_of):
            try:
                return float(read(value))
            except (ValueError, PydanticCustomError):
                continue
    raise PydanticCustomError("bound", "a number, a ratio such as 50%, or a duration such as 5s")


Bound = Annotated[float, BeforeValidator(_bound)]


class Watched(Strict):
    """One figure, and the bound beyond which something is to happen."""

    promql: Text | None = None
    """a PromQL expression, asked of the target's Prometheus; of several series the one nearest to the bound counts"""
    of: Figure | None = None
    """a figure of the load in place of an expression: requests on the way, or of those that ended in the last `over`"""
    over_s: Duration = Field(default=5.0, alias="over")
    """how far `of` looks back"""
    above: Bound | None = None
    """it holds while the figure is larger than this"""
    below: Bound | None = None
    """it holds while the figure is smaller than this"""
    for_s: DurationOrZero = Field(default=0.0, alias="for")
    """it must hold for so long without a break"""

    def exceeds(self, value: float) -> bool:
        """Whether a figure lies beyond the bound."""
        return value > self.above if self.above is not None else value < (self.below or 0.0)

    def nearest(self, values: list[float]) -> float:
        """Of several series, the one that is beyond the bound if any is."""
        return max(values) if self.above is not None else min(values)

    def __str__(self) -> str:
        """`error_ratio over 5s above 0.5`."""
        figure = (
            self.promql if self.of in (None, "in_flight") else f"{self.of} over {duration_text(self.over_s)}"
        )
        bound = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        lasting = f" for {duration_text(self.for_s)}" if self.for_s else ""
        return f"{figure or self.of} {bound}{lasting}"


class Condition(Watched):
    """What must hold for a fault to be injected."""

    within_s: Duration = Field(alias="within")
    """how long after `at` it is waited for; a fault whose condition is never met makes the run inconclusive"""


class Guard(Watched):
    """What ends a run early once a fault was injected: everything is undone at once, exit code 4."""

    unknown_for_s: Duration = Field(default=15.0, alias="unknown_for")
    """a figure that cannot be known for so long ends the run too: nobody is watching any more"""


def watched_problems(watched: Watched, *, prometheus: bool) -> Iterator[Problem]:
    """What is wrong across the keys of one; key paths begin within it.

    Args:
        watched: what is looked at.
        prometheus: whether the target has one.
    """
    if (watched.promql is None) == (watched.of is None):
        yield Problem(("promql",), "expected either promql or of, and not both")
    if (watched.above is None) == (watched.below is None):
        yield Problem(("above",), "expected either above or below, and not both")
    if watched.promql is not None and not prometheus:
        yield Problem(("promql",), "expected a target with a Prometheus: this one has none", watched.promql)
