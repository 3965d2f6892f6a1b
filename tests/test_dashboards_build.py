import ast
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from dashboards import build
from dashboards.boards.catalogue import dashboards
from dashboards.boards.panels import latency_limit
from dashboards.cli import main
from dashboards.config import bound
from dashboards.engines import engine_of
from dashboards.grafana.classic import render
from dashboards.objectives import budget
from dashboards.queries import faults, gateway, gpu, promql, replicas, run
from dashboards.queries.expression import Expression
from exporters import slo
from exporters.profiles.library import profile
from exporters.series import server
from tests.support.complete_profile import COMPLETE

ROOT = Path(__file__).parent.parent
SDK = "grafana-foundation-sdk"
PAGES = {name: json.loads(render(dashboard)) for name, dashboard in dashboards().items()}


NAMED = {
    f"{module.__name__}.{name}": asked.over(COMPLETE).text
    if isinstance(asked := function(), Expression)
    else asked
    for module in (replicas, gateway, gpu, run, faults)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not inspect.signature(function).parameters
}
"""Every named query that takes nothing, and what it says."""


def panels(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in page["panels"] if panel["type"] not in ("row", "text"))


def test_the_sdk_is_exactly_the_one_whose_gaps_are_known() -> None:
    assert version(SDK).removeprefix("v") == "0.0.21"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"{SDK}==0.0.21" in extras["dashboards"]  # a range would take an older one: its number is greater


def test_the_committed_files_are_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.stale(build.texts(), ROOT) == []
    assert main(["build", "--check", "--root", str(ROOT)]) == 0
    assert capsys.readouterr().err == ""


def test_there_are_eight_dashboards_each_in_a_file_of_its_own() -> None:
    titles = [page["title"] for page in PAGES.values()]
    assert titles == [
        *("Fleet overview", "Serving SLOs", "Queue and batching", "Caches", "GPU", "Gateway"),
        *("Experiment", "Load generator"),
    ]
    assert len({page["uid"] for page in PAGES.values()}) == 8


@pytest.mark.parametrize("name", PAGES)
def test_what_is_looked_at_is_chosen_by_cluster_namespace_model_and_experiment(name: str) -> None:
    chosen = {variable["name"]: variable for variable in PAGES[name]["templating"]["list"]}
    names_no_model = name in ("gpu", "gateway")
    wanted = {"cluster", "namespace", "experiment", *(() if names_no_model else ("model",))}
    assert wanted <= set(chosen)
    # A link to another dashboard takes the choice along, and what lacks the label is in `All`.
    assert all(chosen[each]["allValue"] == ".*" for each in wanted)
    assert all(link["includeVars"] for link in PAGES[name]["links"])
    [faults_shown] = PAGES[name]["annotations"]["list"]
    assert 'experiment=~"$experiment"' in faults_shown["target"]["expr"]


def test_a_model_is_chosen_by_the_label_that_the_engine_has() -> None:
    serving = dashboards(engine_of(profile("vllm")))["serving"]
    [model] = [each for each in serving.variables if each.name == "model"]
    assert re.fullmatch(r"label_values\(.+, model_name\)", model.query.text)
    asked = [query.expression.text for panel in serving.panels for query in panel.queries]
    assert all('model_name=~"$model"' in each for each in asked)
    assert "model" not in {each.name for each in dashboards(engine_of(profile("dcgm")))["gpu"].variables}


def test_building_twice_gives_the_same_bytes() -> None:
    assert build.texts() == build.texts()


def test_check_names_a_missing_an_edited_and_an_orphaned_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--root", str(tmp_path)]) == 0
    folder = tmp_path / build.GENERATED
    (folder / "fleet.json").unlink()
    (folder / "gpu.json").write_text("{}")
    (folder / "old.json").write_text("{}")
    assert main(["build", "--check", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert re.findall(r"(\w+)\.json is not", said) == ["fleet", "gpu", "old"]
    assert "hint: run `python -m dashboards build`" in said


def test_the_dashboards_of_another_engine_go_where_one_says_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["build", "--engine", "tgi", "--to", "grafana"]) == 0
    pages = [json.loads(path.read_text()) for path in (tmp_path / "grafana").glob("*.json")]
    assert {page["uid"].removeprefix("aftershock-") for page in pages} >= {"serving-tgi", "fleet-tgi"}
    assert [path.name for path in tmp_path.iterdir()] == ["grafana"]
    assert all("ds_requests" not in str(page) and "tgi_request" in str(page) for page in pages)


def test_a_dashboard_of_any_engine_that_breaks_a_rule_fails_the_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(page: dict[str, Any]) -> list[str]:
        return ["wrong"] if page["uid"] == "aftershock-serving-vllm" else []

    monkeypatch.setattr(build, "dashboard_problems", said)
    assert main(["build", "--check", "--root", str(ROOT)]) == 1
    assert capsys.readouterr().err == "vllm: serving.json: wrong\n"


def test_a_wrong_command_line_exits_2() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["paint"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("name", PAGES)
def test_what_the_sdk_leaves_behind_is_gone(name: str) -> None:
    page = PAGES[name]
    assert not any("repeatDirection" in panel for panel in page["panels"])
    assert not any(key.startswith("auto") for variable in page["templating"]["list"] for key in variable)
    assert not any("placement" in annotation for annotation in page["annotations"]["list"])
    assert page["schemaVersion"] == 42


def test_limits_are_the_objectives() -> None:
    steps = {
        (name, panel["title"]): [
            step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for name, page in PAGES.items()
        for panel in panels(page)
    }
    assert steps["fleet", "P99 end to end"] == [None, slo.E2E_BOUND_S]
    assert steps["serving", "Time to first token"] == [None, slo.TTFT_BOUND_S]
    assert steps["serving", "Answered completely"] == [None, slo.AVAILABILITY.share]
    assert steps["gateway", "Failed"] == [None, 0.01]


def test_no_panel_writes_promql_of_its_own() -> None:
    definitions = sorted((ROOT / "dashboards" / "boards").glob("*.py"))
    assert {"fleet.py", "serving.py"} < {path.name for path in definitions}
    for path in definitions:
        code = re.sub(r'"""[\s\S]*?"""', "", path.read_text())
        assert not re.search(r"ds_\w+\{|\brate\(|\bby \(|histogram_quantile", code), path.name


def test_a_query_is_written_in_the_dashboards_and_nowhere_else() -> None:
    promql = re.compile(
        r"\b(?:rate|increase|delta|resets|\w+_over_time|histogram_quantile|absent)\s*\("
        r"|\b(?:sum|count|min|max|avg) by \((?!uuid\)\.)"
        r"|\b(?:sum|count|min|max|avg)\s*\((?:up|ds_|inf:|ALERTS)|\b(?:up|ALERTS|ds_\w+|inf:[\w:]+)\{|__name__"
    )
    found = [
        f"{path.relative_to(ROOT)}: {node.value}"
        for package in ("chaos", "exporters", "loadtests", "reference_server")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and promql.search(node.value)
    ]
    assert found == []
    assert promql.search((ROOT / "dashboards/queries/promql.py").read_text())
    for said in (
        "sum(ds_requests_waiting)",
        'sum(up{job="x"})',
        "rate(x[5s])",
        "sum by (pod) (",
        "ALERTS{a}",
    ):
        assert promql.search(said)


ON_NO_PANEL = {
    "dashboards.queries.faults.fault_windows": "drawn over all panels",
    "dashboards.queries.replicas.cache_hit_ratio": "asked by a run, for `recovery.cache`",
}


def test_no_named_query_is_without_a_panel() -> None:
    asked = {
        query.expression.text
        for dashboard in dashboards(COMPLETE).values()
        for p in dashboard.panels
        for query in p.queries
    }
    text = "\n".join(asked)
    assert "ds_" in text
    assert {query for query in NAMED if NAMED[query] not in text} == set(ON_NO_PANEL)


def test_two_named_queries_never_say_the_same() -> None:
    assert len(set(NAMED.values())) == len(NAMED)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: promql.total_rate("waiting", ""),
        lambda: promql.total_rate("queue_seconds", ""),
        lambda: promql.total_rate(server.REQUESTS, "", part="_count"),
        lambda: promql.within("e2e_seconds", "", 2.4),
        lambda: promql.share_within("e2e_seconds", "", 2.4),
        lambda: promql.share_counted("request", "prefix_lookups", "", by=()),
        lambda: promql.quantile(0.5, "request", ""),
        lambda: promql.now("sum", "request", ""),
        lambda: promql.now("sum", "kv_usage", ""),
        lambda: latency_limit(slo.AVAILABILITY),
    ],
    ids=[
        *("rate of a gauge", "rate of a whole histogram", "part of a counter", "bound between edges"),
        *("share within no edge", "share of another thing"),
        *("quantile of a counter", "counter as gauge", "sum of ratios", "bound of an objective without one"),
    ],
)
def test_promql_that_could_only_be_wrong_is_a_value_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"ds_requests_total|waiting|seconds|request|kv_usage|availability"):
        wrong()


def test_bound_leaves_no_variable() -> None:
    for dashboard in dashboards().values():
        for panel in dashboard.panels:
            for query in panel.queries:
                left = re.findall(r"\$[^\d]\w*", bound(query.expression.text, "5s"))
                assert left == [], "$1 is a part of a label, anything else a variable"


def test_an_error_budget_is_a_round_number() -> None:
    assert budget(slo.TTFT) == 0.01


def test_a_factor_is_drawn_in_hundredths_up_to_1_at_least_so_that_none_shows_the_rounding_of_floats() -> None:
    factors = [
        panel["fieldConfig"]["defaults"]
        for page in PAGES.values()
        for panel in panels(page)
        if panel["fieldConfig"]["defaults"]["unit"] == "suffix:x"
    ]
    assert factors
    assert {(each["decimals"], each["custom"]["axisSoftMax"]) for each in factors} == {(2, 1)}


@pytest.mark.parametrize("name", PAGES)
def test_charts_of_one_width_begin_and_end_their_time_at_one_place(name: str) -> None:
    shapes: dict[tuple[int, str], set[tuple[int, str, int | None]]] = {}
    for panel in panels(PAGES[name]):
        if panel["type"] == "timeseries":
            legend = panel["options"]["legend"]
            shape = (
                panel["fieldConfig"]["defaults"]["custom"]["axisWidth"],
                legend["placement"],
                legend.get("width"),
            )
            shapes.setdefault((panel["gridPos"]["w"], panel["type"]), set()).add(shape)
    wide = {width: found for (width, _), found in shapes.items() if width >= 12}
    assert all(len(found) == 1 for found in wide.values()), wide


def test_the_outcome_of_a_run_is_on_its_dashboard_with_its_budgets_and_the_start_of_its_replacements() -> (
    None
):
    asked = {panel["title"]: panel["targets"][0] for panel in panels(PAGES["experiment"])}
    wanted = (
        "Verdict",
        "Recovery",
        "Error budget left",
        "Cold start: step by step",
        "Cold start: to the first token",
    )
    assert [title for title in asked if title in wanted] == list(wanted)
    assert all('experiment=~"$experiment"' in asked[title]["expr"] for title in wanted)
    assert asked["Cold start: step by step"]["legendFormat"] == "{{step}}"


def test_a_budget_of_the_time_shown_is_asked_once_and_over_all_of_it() -> None:
    [panel] = [each for each in panels(PAGES["serving"]) if each["title"] == "Error budget left"]
    for target in panel["targets"]:
        assert target["instant"]
        assert not target.get("range")
        assert "[$__range]" in target["expr"]
        assert "$__rate_interval" not in target["expr"]
