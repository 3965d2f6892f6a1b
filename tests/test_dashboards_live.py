"""Every query of every panel, asked of a real Prometheus that watched a real run with a fault."""

import math
import re
from collections.abc import Iterator

import pytest

from dashboards.boards import variables
from dashboards.boards.catalogue import dashboards
from dashboards.boards.panels import Query
from dashboards.config import bound
from dashboards.engines import REFERENCE
from dashboards.queries import faults, gateway, replicas
from dashboards.queries.faults import fault_windows
from tests.support.observed_run import VARIABLES, WINDOW, ObservedRun, observed_run

NO_GPU = "this machine has no NVIDIA GPU, and torch's CUDA allocator reserves nothing"
WITHOUT_GPU = {"Replicas with a GPU", "GPU part of the scrape"}
"""Of the GPU dashboard, what says something on every machine. With a GPU nothing of it may be empty."""
NOT_REPORTED = {
    "KV cache: reserved and empty": "ds_kv_cache_fragmentation_ratio",
    "Memory bandwidth used": "ds_engine_bandwidth_utilisation_ratio",
}
"""Panels of a series that a server may leave out."""
QUERIES = [
    pytest.param(name, panel.title, query, id=f"{name}: {panel.title}: {query.legend}")
    for name, dashboard in dashboards().items()
    for panel in dashboard.panels
    for query in panel.queries
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedRun]:
    with observed_run(tmp_path_factory.mktemp("observed")) as watched:
        yield watched


@pytest.mark.parametrize(("dashboard", "panel", "query"), QUERIES)
def test_a_panels_query_finds_finite_values_with_the_labels_of_its_legend(
    run: ObservedRun, dashboard: str, panel: str, query: Query
) -> None:
    series = run.ask(query.expression.text)
    if not series and dashboard == "gpu" and panel not in WITHOUT_GPU:
        assert [point.value for point in run.ask('max(ds_gpu_up{job=~"$job"})')] == [0], NO_GPU
        return
    if not series and panel in NOT_REPORTED:
        assert run.ask(NOT_REPORTED[panel]) == []
        return
    assert series, f"nothing for {query.expression.text}"
    values = [value for each in series for _, value in each.points]
    assert values
    assert all(math.isfinite(value) for value in values)
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(each.labels.get(label) for each in series), f"no {label} in {series[0].labels}"


@pytest.mark.parametrize(
    "variable",
    [
        *(variables.NAMESPACE, variables.MODEL, variables.JOB, variables.POD, variables.GATEWAY_JOB),
        variables.EXPERIMENT,
    ],
    ids=lambda v: v.name,
)
def test_a_variable_finds_values_to_choose_from(run: ObservedRun, variable: variables.Variable) -> None:
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.query.over(REFERENCE).text)
    assert found
    series, label = found.groups()
    assert {each.labels.get(label) for each in run.ask(series)} == {
        "namespace": {"inference"},
        "model": {"tiny"},
        "experiment": {"small"},
        "job": {"deepseek-metrics"},
        "gateway": {"gateway"},
        "pod": set(run.replicas),
    }[variable.name]


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        *(("$namespace", "inference", True), ("$namespace", "other", False)),
        *(("$model", "tiny", True), ("$model", "other", False), ("$cluster", "other", False)),
    ],
)
def test_a_choice_narrows_what_is_asked(run: ObservedRun, variable: str, value: str, found: bool) -> None:
    asked = bound(replicas.requests_by_outcome().over(REFERENCE).text, WINDOW, {**VARIABLES, variable: value})
    assert bool(run.client.range(asked, run.start_s, run.end_s, 1.0)) is found


def test_a_fault_of_another_experiment_is_no_phase_of_the_chosen_one(run: ObservedRun) -> None:
    asked = faults.in_fault(gateway.good()).over(REFERENCE).text
    told = {
        name: bool(
            run.client.range(
                bound(asked, WINDOW, {**VARIABLES, "$experiment": name}), run.start_s, run.end_s, 1.0
            )
        )
        for name in ("small", "other")
    }
    assert told == {"small": True, "other": False}


def test_shares_lie_between_0_and_1(run: ObservedRun) -> None:
    values = [
        (value, panel.title, f"{name}: {query.legend}: {series.labels} at {at_s - run.start_s:.1f} s")
        for name, dashboard in dashboards().items()
        for panel in dashboard.panels
        for query in panel.queries
        if panel.unit == "percentunit"
        for series in run.ask(query.expression.text)
        for at_s, value in series.points
    ]
    assert values
    # More may be bad than a budget lets go: what is left of it is then below 0, and never above all of it.
    least = {"Error budget left": -math.inf}
    assert [one for one in values if not least.get(one[1], 0) <= one[0] <= 1 + 1e-9] == []


def test_panels_by_replica_show_the_victim_and_its_replacement(run: ObservedRun) -> None:
    by_replica = [
        query.expression.text
        for panel in dashboards()["fleet"].panels
        for query in panel.queries
        if query.legend == "{{pod}}"
    ]
    assert by_replica
    for expression in by_replica:
        assert {series.labels["pod"] for series in run.ask(expression)} == run.replicas, expression


def test_the_annotations_query_finds_the_fault_and_nothing_before_or_after(run: ObservedRun) -> None:
    (window,) = run.ask(fault_windows().over(REFERENCE).text)
    assert {"experiment", "fault", "kind", "target"} <= window.labels.keys()
    assert {value for _, value in window.points} == {1.0}
    assert run.start_s < window.points[0][0] <= window.points[-1][0] < run.end_s
    # One region: no step is missing between the first and the last point.
    assert len(window.points) == round(window.points[-1][0] - window.points[0][0]) + 1


def test_baseline_fault_and_recovery_share_an_axis_and_no_instant(run: ObservedRun) -> None:
    panel = next(panel for panel in dashboards()["experiment"].panels if panel.title == "Goodput")
    phases = [
        [at_s for s in run.ask(query.expression.text) for at_s, _ in s.points] for query in panel.queries
    ]
    baseline, fault, recovery = phases
    assert max(baseline) < min(fault) <= max(fault) < min(recovery)
    assert len({*baseline, *fault, *recovery}) == len(baseline) + len(fault) + len(recovery)
