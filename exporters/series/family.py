"""What the declaration of a metric family is made of; standard library only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from exporters.slo import Objective

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: what a dashboard must know to query it."""

    name: str
    kind: Kind
    help: str
    unit: str = ""
    """A base unit in the plural, `ratio`, or empty for states."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper edges without +Inf, in `unit`; histograms only."""
    signal: str = ""
    """What it tells of those that all engines are asked for (`exporters/profiles/signals.py`); empty: none of them."""
    objective: str = ""
    """Of histograms: the objective whose bound is one of the edges."""

    def __post_init__(self) -> None:
        if (self.kind == "histogram") != bool(self.buckets):
            raise ValueError(f"{self.name}: histograms have buckets, others have none")
        if any(low >= high for low, high in pairwise(self.buckets)):
            raise ValueError(f"{self.name}: bucket edges must rise: {self.buckets}")
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and only counters, end in _total")


def edges(*upper: float, bound_s: float) -> tuple[float, ...]:
    """Bucket edges in rising order, with an SLO bound among them (all in seconds)."""
    return tuple(sorted({*upper, bound_s}))


def with_bound(family: Family, objectives: Iterable[Objective]) -> Family:
    """The family with the bound of its objective among its edges, where these objectives have one."""
    bounds = {
        each.bound_s for each in objectives if each.name == family.objective and each.bound_s is not None
    }
    return replace(family, buckets=tuple(sorted({*family.buckets, *bounds})))
