"""Our dashboards break no rule, and each damage to one breaks the right one."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dashboards.build import texts
from dashboards.checks.dashboards import dashboard_problems

PAGES = {path: json.loads(text) for path, text in texts().items() if path.endswith(".json")}


@pytest.mark.parametrize("path", PAGES)
def test_a_dashboard_of_ours_breaks_no_rule(path: str) -> None:
    assert dashboard_problems(PAGES[path]) == []


Damage = Callable[[dict[str, Any]], None]


def of_first_chart(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(page: dict[str, Any]) -> None:
        change(next(panel for panel in page["panels"] if panel["type"] == "timeseries"))

    return damage


BROKEN: list[tuple[str, Damage, str]] = [
    ("no data source variable", lambda page: page["templating"]["list"].pop(0), "variable must choose"),
    ("editable", lambda page: page.update(editable=True), "can be edited"),
    ("two panels of one id", lambda page: page["panels"][1].update(id=1), "ids must be unique"),
    ("a panel on another", lambda page: page["panels"][1]["gridPos"].update(y=0), "overlap"),
    ("a panel outside", lambda page: page["panels"][1]["gridPos"].update(x=23), "leaves the grid"),
    ("a variable for nothing", lambda page: page["templating"]["list"][1].update(name="x"), "not used"),
    (
        "a variable that is not there",
        of_first_chart(lambda p: p["targets"][0].update(expr='sum (up{job=~"$jobs",pod=~"$pod"})')),
        "variable jobs is used and not defined",
    ),
    ("no annotation step", lambda page: page["annotations"]["list"][0]["target"].pop("interval"), "fuse"),
    (
        "a fixed data source",
        of_first_chart(lambda panel: panel.update(datasource={"uid": "P1"})),
        "chosen one",
    ),
    ("no description", of_first_chart(lambda panel: panel.update(description="")), "description"),
    ("no unit", of_first_chart(lambda panel: panel["fieldConfig"]["defaults"].pop("unit")), "unit"),
    ("an unknown unit", of_first_chart(lambda p: p["fieldConfig"]["defaults"].update(unit="sec")), "unit"),
    ("no query", of_first_chart(lambda panel: panel["targets"].clear()), "no query"),
    ("no refId", of_first_chart(lambda panel: panel["targets"][0].pop("refId")), "refIds"),
    ("no legend", of_first_chart(lambda p: p["options"]["legend"].update(showLegend=False)), "legend"),
    ("a legend by itself", of_first_chart(lambda p: p["targets"][0].update(legendFormat="__auto")), "legend"),
    (
        "a legend of no label",
        of_first_chart(lambda p: p["targets"][0].update(legendFormat="{{zone}}")),
        "not grouped",
    ),
    (
        "an unknown metric",
        of_first_chart(lambda p: p["targets"][0].update(expr='sum (ds_queue{job=~"$job",pod=~"$pod"})')),
        "exported by nobody",
    ),
    (
        "no selector",
        of_first_chart(lambda panel: panel["targets"][0].update(expr="sum (ds_requests_waiting)")),
        "not chosen by",
    ),
]


@pytest.mark.parametrize(
    ("damage", "expected"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_broken_dashboard_is_refused(damage: Damage, expected: str) -> None:
    page = copy.deepcopy(PAGES["dashboards/generated/fleet.json"])
    damage(page)
    assert any(expected in problem for problem in dashboard_problems(page)), dashboard_problems(page)
