"""The run's own series: the load as its rows tell it, faults in force, and what is scraped of what should be."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric

from chaos.load.process import LoadConfig
from chaos.publishing.budgets import Budgets
from chaos.publishing.load_series import LoadCollector
from chaos.publishing.run_series import RunSeries
from chaos.record import journal as journals
from chaos.record.cold_start import ColdStart
from exporters.series.groups import GROUPS
from exporters.slo import OBJECTIVES, Objective
from loadtests.plan import Arrival, Plan
from loadtests.rows import OUTCOMES, Row, to_line
from tests.conftest import Eventually
from tests.support.local_cluster import samples

HOUR_S = 3600.0


def config(folder: Path, rate: float = 10.0, duration_s: float = 2.0) -> LoadConfig:
    return LoadConfig(
        url="http://127.0.0.1:1",
        rate_per_s=rate,
        duration_s=duration_s,
        seed=3,
        arrivals="constant",
        plan_path=folder / "plan.jsonl",
        rows_path=folder / "requests.jsonl",
        summary_path=folder / "load.json",
        log_path=folder / "locust.log",
    )


def following(settings: LoadConfig, start_s: float) -> LoadCollector:
    Plan.of(settings).write(settings.plan_path)
    collector = LoadCollector(settings, Budgets("x", OBJECTIVES))
    collector.begin(start_s)
    return collector


def values(collector: LoadCollector) -> dict[str, float]:
    families: list[Metric] = list(collector.collect())
    return {
        sample.name + "".join(f":{value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def append(path: Path, *rows: Row, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("".join(to_line(row) + end for row in rows))


def test_what_is_due_and_has_no_row_is_in_flight(tmp_path: Path) -> None:
    collector = following(config(tmp_path), time.monotonic() - HOUR_S)
    assert values(collector)["ds_load_in_flight"] == 20
    append(tmp_path / "requests.jsonl", Row(0, 0.0, "ok", dispatched_s=0.003, ended_s=0.2))
    append(tmp_path / "requests.jsonl", Row(1, 0.1, "client_dropped"))
    told = values(collector)
    assert (told["ds_load_planned_total"], told["ds_load_in_flight"]) == (20, 18)
    assert (told["ds_load_requests_total:ok"], told["ds_load_requests_total:client_dropped"]) == (1, 1)
    assert told["ds_load_lag_seconds_count"] == 1
    assert told["ds_load_lag_seconds_sum"] == pytest.approx(0.003)


def test_a_turn_is_due_once_the_one_before_has_ended_and_not_when_it_could_have_been_at_the_earliest(
    tmp_path: Path,
) -> None:
    settings = config(tmp_path, duration_s=10.0)
    turns = (
        Arrival(0, 0.0, 8, 4, 1, session=0, turn=0),
        Arrival(1, 1.0, 20, 4, 1, session=0, turn=1, think_s=1.0),
        Arrival(2, 2.0, 32, 4, 1, session=0, turn=2, think_s=1.0),
    )
    Plan(turns).write(settings.plan_path)
    collector = LoadCollector(settings, Budgets("x", OBJECTIVES))
    collector.begin(time.monotonic() - HOUR_S)
    assert values(collector)["ds_load_in_flight"] == 1, "the first turn alone"
    append(settings.rows_path, Row(0, 0.0, "ok", dispatched_s=0.0, ended_s=6.0))
    told = values(collector)
    assert (told["ds_load_planned_total"], told["ds_load_in_flight"]) == (2, 1)
    append(settings.rows_path, Row(1, 7.0, "ok", dispatched_s=7.0, ended_s=9.5), Row(2, 10.0, "censored"))
    told = values(collector)
    assert (told["ds_load_planned_total"], told["ds_load_in_flight"]) == (3, 0)


def test_before_the_plan_begins_nothing_is_due(tmp_path: Path) -> None:
    told = values(following(config(tmp_path), time.monotonic() + HOUR_S))
    assert (told["ds_load_planned_total"], told["ds_load_in_flight"]) == (0, 0)


def test_every_outcome_is_there_from_the_start_so_that_rates_miss_no_first_failure(tmp_path: Path) -> None:
    told = values(following(config(tmp_path), time.monotonic()))
    assert {key.partition(":")[2] for key in told if key.startswith("ds_load_requests")} == set(OUTCOMES)


def test_arrivals_are_due_at_the_instants_of_the_plan_that_the_generator_follows(
    tmp_path: Path, eventually: Eventually
) -> None:
    settings = config(tmp_path, rate=20, duration_s=1.0)
    start_s = time.monotonic()
    collector = following(settings, start_s)
    plan = Plan.of(settings)

    def agrees() -> bool:
        earliest_s = time.monotonic() - start_s
        due = values(collector)["ds_load_planned_total"]
        latest_s = time.monotonic() - start_s
        assert sum(at_s <= earliest_s for at_s in plan.offsets_s) <= due
        assert due <= sum(at_s <= latest_s for at_s in plan.offsets_s)
        return due == 20

    eventually(agrees, within_s=30)


@given(
    st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=20),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_each_row_counts_once_however_scrapes_fall_between_them(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[str], scrapes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    collector = following(config(folder), time.monotonic() - HOUR_S)
    for index, outcome in enumerate(outcomes):
        for _ in range(scrapes.count(index)):
            values(collector)
        append(folder / "requests.jsonl", Row(index, index / 10, outcome))
    told = values(collector)
    assert {outcome: told[f"ds_load_requests_total:{outcome}"] for outcome in OUTCOMES} == {
        outcome: outcomes.count(outcome) for outcome in OUTCOMES
    }
    assert told["ds_load_in_flight"] == 20 - len(outcomes)


def test_a_row_that_is_being_written_waits_for_its_newline(tmp_path: Path) -> None:
    collector = following(config(tmp_path), time.monotonic() - HOUR_S)
    append(tmp_path / "requests.jsonl", Row(0, 0.0, "ok"), end="")
    assert values(collector)["ds_load_requests_total:ok"] == 0
    with (tmp_path / "requests.jsonl").open("a") as rows:
        rows.write("\n")
    assert values(collector)["ds_load_requests_total:ok"] == 1


def test_a_fault_is_1_on_each_target_while_it_lasts_and_0_afterwards() -> None:
    with RunSeries("small") as series:
        port = int(series.address.rpartition(":")[2])
        series.fault_began("kill-two#1", "kill-two", "PodChaos/pod-kill", ["a", "b"])
        series.fault_began("kill-two#2", "kill-two", "PodChaos/pod-kill", ["b"])
        name = 'ds_chaos_active{experiment="small",fault="kill-two",kind="PodChaos/pod-kill",target="%s"}'
        told = samples(port)
        assert (told[name % "a"], told[name % "b"]) == (1, 1)
        series.fault_ended("kill-two#1")
        told = samples(port)
        assert (told[name % "a"], told[name % "b"]) == (0, 1), "another occurrence is still in force on b"
        series.fault_ended("kill-two#2")
        assert samples(port)[name % "b"] == 0


def test_without_an_answer_of_prometheus_only_what_is_expected_is_said(
    free_port: int, eventually: Eventually
) -> None:
    with RunSeries("small") as series:
        port = int(series.address.rpartition(":")[2])
        series.watch_telemetry(f"http://127.0.0.1:{free_port}", {"deepseek-metrics": 3})
        told = samples(port)
        assert told['ds_telemetry_targets_expected{job_name="deepseek-metrics"}'] == 3
        assert not any(key.startswith("ds_telemetry_targets_reporting") for key in told)
        assert told['ds_collector_success{collector="telemetry"}'] == 0


def test_every_declared_series_of_a_run_is_exported(tmp_path: Path) -> None:
    collector = following(config(tmp_path), time.monotonic())
    exported = {sample.name for family in collector.collect() for sample in family.samples}
    for family in GROUPS["Load"]:
        assert any(name.startswith(family.name) for name in exported)


def test_a_budget_is_as_large_as_the_plan_lets_go_and_failures_and_late_answers_use_it(
    tmp_path: Path,
) -> None:
    settings = config(tmp_path)
    Plan.of(settings).write(settings.plan_path)
    objectives = (
        Objective("ttft", "first token", share=0.9, bound_s=0.5),
        Objective("e2e", "whole answer", share=0.9, bound_s=1.0),
        Objective("availability", "answered", share=0.9),
        Objective("goodput", "good", share=0.8),
    )
    collector = LoadCollector(settings, Budgets("x", objectives))
    left = "ds_run_error_budget_left_ratio:x:"
    assert {name: values(collector)[left + name] for name in ("ttft", "goodput")} == {
        "ttft": 1.0,
        "goodput": 1.0,
    }
    append(tmp_path / "requests.jsonl", Row(0, 0.0, "ok", dispatched_s=0.0, token_s=(0.4,), ended_s=0.9))
    append(tmp_path / "requests.jsonl", Row(1, 0.1, "ok", dispatched_s=0.1, token_s=(0.7,), ended_s=1.0))
    append(tmp_path / "requests.jsonl", Row(2, 0.2, "http_5xx", dispatched_s=0.2, ended_s=0.3))
    told = {name: values(collector)[left + name] for name in ("ttft", "e2e", "availability", "goodput")}
    # Of 20 planned arrivals 2 may miss each of the first three, and 4 the last.
    assert told == pytest.approx({"ttft": 0.0, "e2e": 0.5, "availability": 0.5, "goodput": 0.5})


def test_what_a_run_came_to_is_told_as_its_journal_has_it() -> None:
    journal = journals.read(Path(__file__).parent.parent / "docs/data/gpu-faults-h200/journal.json")
    starts = (
        ColdStart(
            replica="new",
            created_s=30.0,
            scheduled_s=0.5,
            pulled_s=None,
            pulled_s_reason="nobody told",
            running_s=2.0,
            ready_s=7.0,
            first_token_s=7.25,
        ),
    )
    recovery = journal.recovery.model_copy(
        update={"service_s": 3.5, "capacity_s": math.inf, "cold_starts": starts}
    )
    with RunSeries("x") as series:
        port = int(series.address.rpartition(":")[2])
        before = samples(port)
        assert not any(name.startswith(("ds_run_verdict", "ds_run_recovery")) for name in before)
        series.judged(journal.model_copy(update={"recovery": recovery}))
        told = samples(port)
    assert told['ds_run_verdict{experiment="x",verdict="passed"}'] == 1
    assert told['ds_run_recovery_seconds{experiment="x",of="service"}'] == 3.5
    assert told['ds_run_recovery_seconds{experiment="x",of="capacity"}'] == math.inf
    steps = {name.split('step="')[1][:-2]: value for name, value in told.items() if "cold_start" in name}
    # A step that nobody told is in the next one, so that the whole stays the whole.
    assert steps == {"1 scheduled": 0.5, "3 started": 1.5, "4 loaded and ready": 5.0, "5 first token": 0.25}
