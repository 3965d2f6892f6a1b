"""Queries that Prometheus accepts and that are wrong: each was found in a published dashboard, mapping or guide."""

import re
import subprocess
from pathlib import Path
from typing import cast

import pytest
import yaml

from dashboards.checks.promql import known_series, meanings, metric_names, problems, problems_of_rules
from dashboards.checks.syntax import Selector, name_of, nodes, operator_of, parse
from dashboards.engines import REFERENCE, Engine, engines
from dashboards.rules import files as rules
from dashboards.rules.groups import Group, Recording, Timing
from exporters.series.family import Kind
from tests.support.complete_profile import COMPLETE, COMPLETE_ALERTS, COMPLETE_GROUPS

RUNBOOKS = Path(__file__).parents[1] / "docs/runbooks"
FAMILIES = {
    "vllm:num_preemptions_total": "counter",
    "vllm:num_requests_waiting": "gauge",
    "vllm:e2e_request_latency_seconds": "histogram",
    "vllm:request_queue_time_seconds": "histogram",
    "vllm:prefix_cache_hits_total": "counter",
    "vllm:prefix_cache_queries_total": "counter",
    "nv_inference_exec_count": "counter",
    "sglang:num_queue_reqs": "gauge",
    "sglang:request_time_per_output_token_seconds": "histogram",
    "sglang:time_to_first_token_seconds": "histogram",
    "lmcache:time_to_retrieve": "histogram",
}
ENGINES = {
    **{
        name: one
        for family, kind in FAMILIES.items()
        for name, one in meanings(family, cast("Kind", kind)).items()
    },
    **meanings("vllm:time_to_first_token_seconds", "histogram", edges=(0.1, 0.25, 0.5, 0.75, 1.0, 2.5)),
    **meanings("lmcache:retrieve_hit_rate", "gauge", "ratio"),
    **meanings("sglang:cache_hit_rate", "gauge", "ratio"),
}
WRONG = {
    "counter without _total": (
        "rate(vllm:num_preemptions[5m])",
        "vllm:num_preemptions is exported by nobody",
    ),
    "delta of a counter": ("sum(delta(vllm:prefix_cache_hits_total[5m]))", "negative after a restart"),
    "counter as a gauge": ("sum(nv_inference_exec_count)", "read as if it were a gauge"),
    "info that is not emitted": (
        "sglang:cache_config_info",
        "sglang:cache_config_info is exported by nobody",
    ),
    "name of an older release": (
        "histogram_quantile(0.9, sum by (le) (rate(sglang:time_per_output_token_seconds_bucket[5m])))",
        "sglang:time_per_output_token_seconds_bucket is exported by nobody",
    ),
    "name of no release": ("sglang:num_waiting_reqs", "sglang:num_waiting_reqs is exported by nobody"),
    "gauge taken for a counter": ("rate(sglang:num_queue_reqs[5m])", "rate() takes each fall for a restart"),
    "average since start": (
        "avg(vllm:e2e_request_latency_seconds_sum) / avg(vllm:e2e_request_latency_seconds_count)",
        "it tells the time since start",
    ),
    "hit ratio since start": (
        "vllm:prefix_cache_hits_total / vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_hits_total is a counter",
    ),
    "hit ratio from removed names": (
        "sum(rate(vllm:gpu_prefix_cache_hits_total[5m])) / sum(rate(vllm:gpu_prefix_cache_queries_total[5m]))",
        "vllm:gpu_prefix_cache_hits_total is exported by nobody",
    ),
    "matcher on one side": (
        'sum(rate(vllm:prefix_cache_hits_total{model_name="m"}[5m])) / sum(rate(vllm:prefix_cache_queries_total[5m]))',
        "only one side of a division is narrowed by model_name",
    ),
    "seconds queued per second": (
        "sum(rate(vllm:request_queue_time_seconds_sum[5m]))",
        "vllm:request_queue_time_seconds_sum without its _count",
    ),
    "lifetime mean": (
        "lmcache:time_to_retrieve_sum / lmcache:time_to_retrieve_count",
        "lmcache:time_to_retrieve_sum is a counter",
    ),
    "mean of means": (
        "avg(rate(vllm:e2e_request_latency_seconds_sum[5m]) / rate(vllm:e2e_request_latency_seconds_count[5m]))",
        "avg() of ratios or quantiles",
    ),
    "mean of quantiles": (
        "avg(histogram_quantile(0.9, sum by (le, instance) (rate(vllm:e2e_request_latency_seconds_bucket[5m]))))",
        "avg() of ratios or quantiles",
    ),
    "quantile without le": (
        "histogram_quantile(0.9, sum by (instance) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))",
        "summed without le",
    ),
    "objective between edges": (
        'sum(rate(vllm:time_to_first_token_seconds_bucket{le="0.3"}[5m]))',
        "le=0.3 is no bucket edge",
    ),
    "one spelling of le": (
        'sum(rate(vllm:time_to_first_token_seconds_bucket{le="1"}[5m]))',
        "le=1 is spelled otherwise",
    ),
    "quantile per replica": (
        "histogram_quantile(0.99, rate(vllm:time_to_first_token_seconds_bucket[5m]))",
        "sum the buckets by le first",
    ),
    "one side chosen by a variable": (
        'rate(vllm:prefix_cache_hits_total{model_name="$m"}[5m]) / (rate(vllm:prefix_cache_queries_total[5m]) > 0)',
        "only one side of a division is narrowed by model_name",
    ),
    "sum before rate": ("rate(sum(vllm:num_preemptions_total)[5m:1s])", "after aggregation"),
    "no guard of the divisor": (
        "sum(rate(vllm:prefix_cache_hits_total[5m])) / sum(rate(vllm:prefix_cache_queries_total[5m]))",
        "0 / 0",
    ),
    "ratios summed": ("sum(lmcache:retrieve_hit_rate)", "sum() of lmcache:retrieve_hit_rate, a ratio"),
    "ratios averaged": ("avg(sglang:cache_hit_rate)", "avg() of sglang:cache_hit_rate, a ratio"),
    "window of one step": (
        "rate(vllm:num_preemptions_total[$__interval])",
        "may span fewer than four scrapes",
    ),
    "window of two scrapes": ("rate(vllm:num_preemptions_total[30s])", "fewer than four scrapes of 15 s"),
}
RIGHT = (
    "rate(vllm:num_preemptions_total[1m])",
    "max by (model_name) (vllm:num_requests_waiting)",
    'sum(rate(vllm:time_to_first_token_seconds_bucket{le=~"1|1\\\\.0"}[5m]))',
    'sum(rate(vllm:time_to_first_token_seconds_bucket{le="0.5"}[5m]))',
    "sum(rate(vllm:request_queue_time_seconds_sum[5m])) / (sum(rate(vllm:request_queue_time_seconds_count[5m])) > 0)",
    "sum by (pod) (rate(vllm:num_preemptions_total[$__rate_interval]))",
    "sum(vllm:num_requests_waiting) / 8",
    'rate(vllm:prefix_cache_hits_total{pod="a"}[5m]) / (rate(vllm:prefix_cache_queries_total{pod="a"}[5m]) > 0)',
    "histogram_quantile(0.9, sum(rate(vllm:e2e_request_latency_seconds_bucket[5m])) by (le))",
    "absent(vllm:num_preemptions_total) or on () vector(-1)",
    "avg(vllm:num_requests_waiting offset 5m)",
)


@pytest.mark.parametrize(("query", "complaint"), WRONG.values(), ids=WRONG)
def test_a_query_that_is_valid_and_wrong_is_refused(query: str, complaint: str) -> None:
    assert any(complaint in problem for problem in problems(query, ENGINES, scrape_s=15.0)), problems(
        query, ENGINES, 15.0
    )


@pytest.mark.parametrize("query", RIGHT)
def test_a_right_query_passes(query: str) -> None:
    assert problems(query, ENGINES, scrape_s=15.0) == []


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (
            Recording(
                "x:p99",
                "histogram_quantile(0.99, sum by (le) (rate(vllm:request_queue_time_seconds_bucket[5m])))",
            ),
            "x:p99: a recorded quantile cannot be aggregated any further",
        ),
        (
            Recording("x:hits", "count(vllm:prefix_cache_hits_total)"),
            "x:hits: vllm:prefix_cache_hits_total recorded raw",
        ),
    ],
    ids=lambda value: value.record if isinstance(value, Recording) else "",
)
def test_a_recording_that_ruins_its_series_is_refused(rule: Recording, complaint: str) -> None:
    found = problems_of_rules([Group("x", [rule])], ENGINES, Timing())
    assert any(problem.startswith(complaint) for problem in found), found


@pytest.mark.parametrize("timing", [rules.PRODUCTION, rules.LIVE], ids=["production", "live"])
@pytest.mark.parametrize("engine", [COMPLETE, *engines()], ids=lambda engine: engine.runtime)
def test_nothing_is_wrong_with_our_own_rules(engine: Engine, timing: Timing) -> None:
    groups = rules.all_groups(engine, timing)
    assert problems_of_rules(groups, known_series(groups), timing) == []


def test_the_production_rules_would_be_refused_for_slower_scrapes() -> None:
    groups = rules.all_groups(REFERENCE)
    found = problems_of_rules(groups, known_series(groups), Timing(scrape_s=30.0))
    assert any("spans fewer than four scrapes" in problem for problem in found)


@pytest.mark.parametrize("name", sorted({alert.name for alert in COMPLETE_ALERTS}))
def test_every_alert_has_a_runbook_page_that_says_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert "```promql" in page.split("## Diagnosis")[1].split("## Mitigation")[0]
    for link in re.findall(r"\]\((\w+\.md)\)", page):
        assert (RUNBOOKS / link).is_file()


def test_every_runbook_page_has_its_alert_and_is_in_the_index() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")}
    assert pages == {alert.name for alert in COMPLETE_ALERTS}
    index = (RUNBOOKS.parent / "alerting.md").read_text()
    assert {name for name in pages if f"[{name}](runbooks/{name}.md)" in index} == pages


def test_every_query_of_the_runbooks_is_accepted_by_promtool_and_right(tmp_path: Path) -> None:
    queries = [
        query.strip()
        for page in sorted(RUNBOOKS.glob("*.md"))
        for query in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    known = known_series(COMPLETE_GROUPS)
    assert [(query, problem) for query in queries for problem in problems(query, known, 15.0)] == []
    assert len(queries) > 40
    written = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": written}]}))
    command = ["promtool", "check", "rules", str(tmp_path / "queries.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_selectors_are_read_with_their_labels_and_windows_and_the_calls_around_them() -> None:
    query = parse(
        'sum by (a, b) (rate(x{c="d", e=~"f\\\\.g"}[1h30m] offset 5m)) > bool on (a) group_left y - -1.5e3'
    )
    found = [(selector, [name_of(call) for call in around]) for selector, around in query.selectors()]
    assert found == [
        (Selector("x", (("c", "=", "d"), ("e", "=~", "f\\.g")), 5400.0), ["sum", "rate"]),
        (Selector("y"), []),
    ]
    assert list(filter(None, map(operator_of, nodes(query.tree)))) == [">", "-"]


def test_metric_names_are_told_from_functions_labels_keywords_and_strings() -> None:
    query = 'sum by (a) (rate(x_total{job=~"$job",c="up"}[5m] offset 1h)) and on (d) max_over_time(y[1m]) > 0'
    assert metric_names(query) == {"x_total", "y"}
    assert metric_names('rate({__name__=~"(?:vllm[:_]x)_sum", le="1"}[$__rate_interval])') == {
        "(?:vllm[:_]x)_sum"
    }


@pytest.mark.parametrize("text", ["sum(", "a b", "a £ b", "x{", "a +"])
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)
