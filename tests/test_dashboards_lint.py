"""The rules: our dashboards break none, and what others got wrong breaks the right one."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dashboards.build import texts
from dashboards.lint import KNOWN, dashboard_problems
from dashboards.promql_lint import metric_names, problems, series_of
from exporters.families import Family, Kind

PAGES = {path: json.loads(text) for path, text in texts().items() if path.endswith(".json")}


def family(name: str, kind: Kind = "gauge", unit: str = "") -> Family:
    # Other engines' counters need not end in _total: what they are is known from their exposition, not their name.
    made = Family(f"{name}_total" if kind == "counter" else name, kind, "", unit, buckets=_edges(kind))
    object.__setattr__(made, "name", name)
    return made


def _edges(kind: Kind) -> tuple[float, ...]:
    return (1.0,) if kind == "histogram" else ()


ENGINES = series_of(
    {
        each.name: each
        for each in (
            family("vllm:num_preemptions_total", "counter"),
            family("vllm:prefix_cache_hits_total", "counter"),
            family("vllm:prefix_cache_queries_total", "counter"),
            family("vllm:e2e_request_latency_seconds", "histogram"),
            family("vllm:request_queue_time_seconds", "histogram"),
            family("vllm:time_to_first_token_seconds", "histogram"),
            family("vllm:num_requests_waiting"),
            family("vllm:num_requests_running"),
            family("sglang:request_time_per_output_token_seconds", "histogram"),
            family("sglang:time_to_first_token_seconds", "histogram"),
            family("sglang:num_queue_reqs"),
            family("sglang:cache_hit_rate", unit="ratio"),
            family("nv_inference_exec_count", "counter"),
            family("nv_inference_request_duration_us", "counter"),
            family("lmcache:retrieve_hit_rate", unit="ratio"),
        )
    }
)

WRONG = [
    ("rate(vllm:num_preemptions[5m])", "declared nowhere", "llm-d: a counter without its _total"),
    ("sum(nv_inference_exec_count)", "cumulative", "llm-d: a cumulative counter read as requests running"),
    ("sglang:cache_config_info", "declared nowhere", "GAIE: a series that the engine does not have"),
    (
        "histogram_quantile(0.99, sum by (le) (rate(sglang:time_per_output_token_seconds_bucket[5m])))",
        "declared nowhere",
        "inference-perf: a series that was renamed",
    ),
    ("sum(sglang:num_waiting_reqs)", "declared nowhere", "AIBrix: a name that never was"),
    ("rate(sglang:num_queue_reqs[5m])", "is a gauge", "AIBrix: a gauge declared a counter"),
    (
        "avg(vllm:e2e_request_latency_seconds_sum) / (avg(vllm:e2e_request_latency_seconds_count) > 0)",
        "cumulative",
        "production-stack: average latency since the start",
    ),
    (
        "vllm:gpu_prefix_cache_hits_total / (vllm:gpu_prefix_cache_queries_total > 0)",
        "declared nowhere",
        "production-stack: a hit rate of removed series",
    ),
    (
        "vllm:prefix_cache_hits_total / (vllm:prefix_cache_queries_total > 0)",
        "cumulative",
        "production-stack: a hit rate of raw counters",
    ),
    (
        (
            'sum(rate(vllm:prefix_cache_hits_total{model_name="$model"}[5m]))'
            " / (sum(rate(vllm:prefix_cache_queries_total[5m])) > 0)"
        ),
        "the same variables",
        "production-stack: a matcher on one side only",
    ),
    (
        "sum(rate(vllm:request_queue_time_seconds_sum[5m]))",
        "seconds per second",
        "production-stack: seconds queued per second, labelled queue time",
    ),
    (
        "sglang:time_to_first_token_seconds_sum / (sglang:time_to_first_token_seconds_count > 0)",
        "cumulative",
        "LMCache: a lifetime mean as average time to first token",
    ),
    (
        (
            "avg(rate(sglang:time_to_first_token_seconds_sum[5m])"
            " / (rate(sglang:time_to_first_token_seconds_count[5m]) > 0))"
        ),
        "avg over replicas",
        "SGLang: a mean of means",
    ),
    (
        "histogram_quantile(0.99, rate(vllm:time_to_first_token_seconds_bucket[5m]))",
        "sum the buckets",
        "a quantile per replica",
    ),
    ("rate(sum(vllm:num_preemptions_total)[5m:1s])", "rate after aggregation", "sum before rate"),
    ("rate(vllm:num_preemptions_total[3s])", "fewer than 4 scrapes", "three scrapes"),
    (
        "rate(vllm:num_preemptions_total[$__interval])",
        "fewer than 4 scrapes",
        "a window as short as the step",
    ),
    (
        "sum(rate(vllm:prefix_cache_hits_total[5m])) / sum(rate(vllm:prefix_cache_queries_total[5m]))",
        "0 / 0",
        "no guard of the divisor",
    ),
    ("sum(lmcache:retrieve_hit_rate)", "sum of ratios", "a ratio gauge summed"),
    ("avg(sglang:cache_hit_rate)", "avg over replicas", "a ratio gauge averaged"),
]


@pytest.mark.parametrize("path", PAGES)
def test_a_dashboard_of_ours_breaks_no_rule(path: str) -> None:
    assert dashboard_problems(PAGES[path]) == []


@pytest.mark.parametrize(("query", "expected"), [case[:2] for case in WRONG], ids=[case[2] for case in WRONG])
def test_a_wrong_query_found_in_the_field_is_refused(query: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(query, ENGINES)), problems(query, ENGINES)


@pytest.mark.parametrize(
    "query",
    [
        "sum by (pod) (rate(vllm:num_preemptions_total[$__rate_interval]))",
        "max(vllm:num_requests_waiting) > 0",
        "histogram_quantile(0.99, sum by (le, pod) (rate(vllm:time_to_first_token_seconds_bucket[5m]))) >= 0",
        (
            "sum(rate(vllm:request_queue_time_seconds_sum[5m]))"
            " / (sum(rate(vllm:request_queue_time_seconds_count[5m])) > 0)"
        ),
        "sum(vllm:num_requests_running) / 8",
    ],
)
def test_a_right_query_breaks_no_rule(query: str) -> None:
    assert problems(query, ENGINES) == []


def test_metric_names_are_told_from_functions_labels_keywords_and_strings() -> None:
    query = (
        'sum by (a, b) (rate(x_total{job=~"$job",c="up"}[5m] offset 1h)) and on (d) max_over_time(y[1m]) > 0'
    )
    assert metric_names(query) == {"x_total", "y"}


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
        "declared nowhere",
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


def test_every_name_that_a_panel_may_query_is_declared_awaited_or_prometheus_own() -> None:
    undeclared = {name for name in KNOWN if not name.startswith("ds_")}
    assert undeclared == {"up", "scrape_duration_seconds"}
