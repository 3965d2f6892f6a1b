"""What a dashboard is made of, as frozen data: panels, rows, limits. grafana/classic.py makes Grafana's JSON of it.

Nothing of Grafana is imported here, so that a report can draw the same panels.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from dashboards.boards.variables import Variable
from dashboards.objectives import bound_s, budget
from dashboards.queries.expression import Expression
from exporters.slo import Objective, named

Visualisation = Literal["timeseries", "stat", "bargauge"]
Unit = Literal[
    "s",
    "percentunit",
    "reqps",
    "short",
    "bytes",
    "Bps",
    "watt",
    "celsius",
    "hertz",
    "suffix:tok/s",
    "suffix:tok",
    "suffix:x",
    "suffix:/s",
    "bool",
]
"""Grafana's names of units; `suffix:` is its own way to say any other."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a panel asks, and the name of its series; `{{label}}` stands for a label's value."""

    expression: Expression
    legend: str
    colour: str | None = None
    """Of all its series; None lets Grafana choose."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Where good ends: drawn as a line, and the colour of a single figure."""

    value: float
    good: Literal["below", "above"]
    objective: str = ""
    """Whose it is; empty: nobody's, it stays as it is."""
    part: Literal["bound", "share", "budget"] = "bound"
    """Which figure of the objective it is."""

    def of(self, objectives: Iterable[Objective]) -> "Limit | None":
        """The same limit as these objectives have it; None where they have none of that name."""
        if not self.objective:
            return self
        objective = named(objectives, self.objective)
        return None if objective is None else _OF_OBJECTIVE[self.part](objective)


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart or figure."""

    title: str
    description: str
    """What is drawn and how to read it, for a person who sees it for the first time."""
    unit: Unit
    queries: tuple[Query, ...]
    kind: Visualisation = "timeseries"
    limit: Limit | None = None
    width: int = 12
    """Of 24 columns."""
    height: int = 8
    stacked: bool = False
    maximum: float | None = None
    min_step: str | None = None
    """The finest resolution that is asked for, as Prometheus writes durations."""
    now_only: bool = False
    """Whether its queries are asked once, for the end of the time shown: those over all of it are dear."""
    named: bool = False
    """Whether a single figure shows the name of its series in place of the value."""
    infinite: str = ""
    """What a single figure says that is infinite, in place of so many years."""
    no_value: str = "no data"
    """What an empty panel says: a reason, where emptiness has a usual one."""

    def resized(self, width: int) -> "Panel":
        """The same panel over so many columns."""
        return replace(self, width=width)


@dataclass(frozen=True, slots=True)
class Note:
    """Words on a dashboard, in Markdown."""

    title: str
    description: str
    text: str
    width: int = 24
    height: int = 4


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel | Note, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: one file."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Every panel with queries, in reading order."""
        return tuple(panel for row in self.rows for panel in row.panels if isinstance(panel, Panel))


def tile(panel_title: str, description: str, unit: Unit, query: Query, limit: Limit | None = None) -> Panel:
    """A single figure with a sparkline, six to a row."""
    return Panel(panel_title, description, unit, (query,), kind="stat", limit=limit, width=4, height=4)


def latency_limit(objective: Objective) -> Limit:
    """Where a latency stops being good."""
    return Limit(bound_s(objective), "below", objective.name, "bound")


def share_limit(objective: Objective) -> Limit:
    """What share must be good."""
    return Limit(objective.share, "above", objective.name, "share")


def failure_limit(objective: Objective) -> Limit:
    """What share may be bad: the error budget."""
    return Limit(budget(objective), "below", objective.name, "budget")


_OF_OBJECTIVE = {"bound": latency_limit, "share": share_limit, "budget": failure_limit}
