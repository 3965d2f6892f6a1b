"""What is wrong with a dashboard, read off the JSON that Grafana gets: grafana/dashboard-linter's rules, and our own.

Of that linter's rules, two are left out: `template-instance-rule` and `target-instance-rule`, because the variable
here is the replica (`pod`), whose address changes when it is replaced. The gateway has no `pod`.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, get_args

from dashboards.boards.panels import Unit
from dashboards.checks.promql import Meaning, known_series, meanings, problems
from dashboards.checks.syntax import parse
from dashboards.config import GATEWAY, PLACE, REPLICAS, RUN
from exporters.series import run

Json = Mapping[str, Any]
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
KNOWN: Mapping[str, Meaning] = known_series()
"""Every name that a panel may query."""
_UNSELECTED = frozenset(
    name
    for family in (*run.FAMILIES, *run.LOAD_FAMILIES)
    if "experiment" not in family.labels
    for name in meanings(family.name, family.kind)
)
"""A run has one load: no variable chooses among them."""


def dashboard_problems(dashboard: Json) -> list[str]:
    """Everything that is wrong with a dashboard, each with its panel's title."""
    drawn = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    return [
        *_frame(dashboard),
        *_numbers(dashboard["panels"]),
        *_overlaps(dashboard["panels"]),
        *(f"{panel.get('title')!r}: {problem}" for panel in drawn for problem in _panel(panel)),
        *(f"variable {name} is defined and not used" for name in _idle_variables(dashboard)),
        *(f"variable {name} is used and not defined" for name in _missing_variables(dashboard)),
        *(f"annotation: {problem}" for problem in _annotations(dashboard)),
    ]


def _frame(dashboard: Json) -> Iterator[str]:
    variables = dashboard["templating"]["list"]
    if [v["name"] for v in variables if v["type"] == "datasource" and v["query"] == "prometheus"] != [
        "datasource"
    ]:
        yield "one variable must choose the Prometheus data source, and be called datasource"
    if any(v["type"] == "query" and v["datasource"] != _SOURCE for v in variables):
        yield "a variable asks a data source that is not the chosen one"
    if dashboard.get("editable", True):
        yield "it can be edited in Grafana, where the next push would undo the edit"
    if not dashboard.get("description") or not dashboard.get("uid") or not dashboard.get("title"):
        yield "uid, title and description must be set"


def _numbers(panels: list[Json]) -> Iterator[str]:
    ids = [panel.get("id") for panel in panels]
    if not all(ids) or len(set(ids)) < len(ids):
        yield f"panel ids must be unique and not 0: {ids}"


def _overlaps(panels: list[Json]) -> Iterator[str]:
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > 24 or place["w"] < 1 or place["h"] < 1:
            yield f"{panel.get('title')!r} leaves the grid of 24 columns: {place}"
    for one, other in combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        if not (apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]):
            yield f"{one.get('title')!r} and {other.get('title')!r} overlap"


def _panel(panel: Json) -> Iterator[str]:
    if not panel.get("title") or not panel.get("description"):
        yield "title and description must be set"
    if panel["type"] == "text":
        return
    if panel.get("datasource") != _SOURCE:
        yield "its data source must be the chosen one"
    if panel.get("fieldConfig", {}).get("defaults", {}).get("unit") not in get_args(Unit):
        yield "its unit must be set, to one of dashboards.panels.Unit"
    targets = panel.get("targets") or []
    if not targets:
        yield "it has no query"
    ref_ids = [target.get("refId") for target in targets]
    if not all(ref_ids) or len(set(ref_ids)) < len(ref_ids):
        yield f"refIds must be unique: {ref_ids}"
    if panel["type"] == "timeseries" and not panel["options"].get("legend", {}).get("showLegend"):
        yield "its legend is hidden: nobody can tell its series apart"
    for target in targets:
        yield from _target(target)


def _target(target: Json) -> Iterator[str]:
    expression, legend = target.get("expr", ""), target.get("legendFormat", "")
    if target.get("datasource") != _SOURCE:
        yield "a query's data source must be the chosen one"
    if not legend or legend == "__auto":
        yield f"the legend of {expression} must be set"
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", legend):
        if not re.search(rf"\bby \([^)]*\b{label}\b", expression):
            yield f"the legend names {label}, by which {expression} is not grouped"
    yield from problems(expression, KNOWN)
    yield from _chosen_by_nothing(expression)


def _chosen_by_nothing(expression: str) -> Iterator[str]:
    for selector, _ in parse(expression).selectors():
        if selector.name not in _UNSELECTED and not any(
            _chosen(selector.matchers, by) for by in (REPLICAS, GATEWAY, PLACE, RUN)
        ):
            yield f"{selector.name} is not chosen by the dashboard's variables"


def _chosen(matchers: tuple[tuple[str, str, str], ...], by: str) -> bool:
    return {f'{label}{operator}"{value}"' for label, operator, value in matchers} >= set(by.split(","))


def _annotations(dashboard: Json) -> Iterator[str]:
    for annotation in dashboard["annotations"]["list"]:
        target = annotation.get("target") or {}
        if annotation.get("datasource") != _SOURCE or not target.get("refId"):
            yield "it needs the chosen data source and a refId"
        if "interval" not in target:
            yield "without a step of its own, faults less than a minute apart fuse"
        yield from problems(target.get("expr", ""), KNOWN)


def _missing_variables(dashboard: Json) -> list[str]:
    """Grafana leaves them as they are written: a matcher with one matches nothing."""
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    asked = [panel.get("targets", []) for panel in dashboard["panels"]]
    asked += [annotation.get("target") for annotation in dashboard["annotations"]["list"]]
    return sorted({*re.findall(r"\$\{?([a-z]\w*)", str(asked))} - defined)


def _idle_variables(dashboard: Json) -> Iterator[str]:
    used = str([dashboard[key] for key in ("panels", "annotations")])
    used += str([v.get("query") for v in dashboard["templating"]["list"]])
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if not re.search(rf"\$(?:{name}\b|\{{{name}\}})", used):
            yield name
