"""One engine's series under engine-independent names: spellings, units and labels; what cannot be right is refused."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import rules
from dashboards.recording_rules import DECLARED, REFERENCE, Profile, Source, le_matcher, recording_rules
from dashboards.rule_groups import Alert, Group, Timing, duration
from dashboards.slo_rules import indicators, slo_rules
from exporters.slo import Objective

VLLM = Profile(
    runtime="vllm",
    job="vllm",
    sources=(
        Source(
            "ttft_seconds",
            "(kserve_)?vllm[:_]time_to_first_token_seconds",
            "histogram",
            labels={"model": "model_name"},
            edges_s=(0.1, 0.25, 0.5, 1.0, 2.5),
        ),
        Source(
            "request",
            "vllm:request_success_total",
            "counter",
            labels={"model": "model_name", "outcome": "finished_reason"},
            values={"outcome": {"stop|length": "ok", "abort": "aborted", ".*": "error"}},
        ),
        Source(
            "request",
            "vllm:admission_rejections_total",
            "counter",
            labels={"model": "model_name"},
            fixed={"outcome": "rejected"},
        ),
        Source("preemptions", "vllm:num_preemptions_total", "counter", labels={"model": "model_name"}),
        Source("kv_usage", "vllm:kv_cache_usage_perc", "gauge", labels={"model": "model_name"}),
        Source(
            "gpu_memory_used",
            "DCGM_FI_DEV_FB_USED",
            "gauge",
            unit_factor=1048576.0,
            labels={"gpu": "gpu"},
            where={"hostname": "node-.*"},
        ),
    ),
    objectives=(Objective("ttft", "first token", share=0.99, bound_s=1.0),),
)
TRITON = Profile(
    runtime="triton",
    job="triton",
    sources=(
        Source(
            "ttft_seconds",
            "nv_inference_first_response_histogram_ms",
            "histogram",
            unit_factor=0.001,
            edges_s=(0.1, 0.5, 2.0),
        ),
    ),
)


def rule_names(groups: Sequence[Group]) -> list[str]:
    return [rule.name if isinstance(rule, Alert) else rule.record for group in groups for rule in group.rules]


def check(
    folder: Path, profile: Profile, series: dict[str, str], expected: dict[str, list[tuple[str, float]]]
) -> None:
    """Evaluate the profile's rules over series with a sample every 15 s, and compare queries at 10 m."""
    groups = [recording_rules(profile, rules.PRODUCTION), *slo_rules(profile, rules.PRODUCTION)]
    (folder / "rules.yaml").write_text(rules.rule_file(groups, rules.PRODUCTION))
    test: dict[str, Any] = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "10m",
                "exp_samples": [{"labels": labels, "value": v} for labels, v in samples],
            }
            for query, samples in expected.items()
        ],
    }
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "group_eval_order": [group.name for group in groups],
        "tests": [test],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("spelling", ["vllm:", "vllm_", "kserve_vllm:"])
@pytest.mark.parametrize("le", ["1", "1.0"])
def test_every_spelling_of_a_name_and_of_an_edge_ends_in_the_same_signal(
    tmp_path: Path, spelling: str, le: str
) -> None:
    family = f"{spelling}time_to_first_token_seconds"
    labels = 'job="vllm", instance="a", model_name="m", engine="0"'
    check(
        tmp_path,
        VLLM,
        {
            f'{{__name__="{family}_bucket", {labels}, le="{le}"}}': "0+135x60",
            f'{{__name__="{family}_bucket", {labels}, le="+Inf"}}': "0+150x60",
            f'{{__name__="{family}_count", {labels}}}': "0+150x60",
        },
        {
            "inf:ttft_seconds_count:rate": [
                ('inf:ttft_seconds_count:rate{job="vllm", model="m", runtime="vllm"}', 10.0)
            ],
            "round(sum by (sloth_slo, model) (slo:sli_error:ratio_rate5m), 0.001)": [
                ('{sloth_slo="ttft", model="m"}', 0.1)
            ],
        },
    )


def test_ranks_of_one_replica_are_one_and_units_are_base_units(tmp_path: Path) -> None:
    check(
        tmp_path,
        VLLM,
        {
            'vllm:num_preemptions_total{job="vllm", instance="a", model_name="m", engine="0"}': "0+15x60",
            'vllm:num_preemptions_total{job="vllm", instance="a", model_name="m", engine="1"}': "0+30x60",
            'vllm:kv_cache_usage_perc{job="vllm", instance="a", model_name="m", engine="0"}': "0.25x60",
            'vllm:kv_cache_usage_perc{job="vllm", instance="a", model_name="m", engine="1"}': "0.75x60",
            'DCGM_FI_DEV_FB_USED{job="dcgm", instance="g", gpu="0", hostname="node-a"}': "3x60",
            'DCGM_FI_DEV_FB_USED{job="dcgm", instance="g", gpu="0", hostname="desk"}': "5x60",
        },
        {
            "inf:preemptions:rate": [
                ('inf:preemptions:rate{job="vllm", instance="a", model="m", runtime="vllm"}', 3.0)
            ],
            "inf:kv_usage:ratio": [
                ('inf:kv_usage:ratio{job="vllm", instance="a", model="m", runtime="vllm"}', 0.75)
            ],
            "inf:gpu_memory_used:bytes": [
                ('inf:gpu_memory_used:bytes{job="dcgm", instance="g", gpu="0", runtime="vllm"}', 3145728.0)
            ],
        },
    )


def test_outcomes_are_folded_and_series_of_one_signal_add_up(tmp_path: Path) -> None:
    labels = 'job="vllm", instance="a", model_name="m"'
    ended = {"stop": 60, "length": 30, "abort": 15, "error": 15, "repetition": 30}
    folded = {"ok": 6.0, "aborted": 1.0, "error": 3.0, "rejected": 2.0}
    check(
        tmp_path,
        VLLM,
        {
            **{
                f'vllm:request_success_total{{{labels}, finished_reason="{reason}"}}': f"0+{per_scrape}x60"
                for reason, per_scrape in ended.items()
            },
            f'vllm:admission_rejections_total{{{labels}, reason="capacity"}}': "0+30x60",
        },
        {
            f'inf:request:rate{{outcome="{outcome}"}}': [
                (
                    f'inf:request:rate{{job="vllm", instance="a", model="m", outcome="{outcome}", runtime="vllm"}}',
                    per_second,
                )
            ]
            for outcome, per_second in folded.items()
        }
        | {"count(inf:request:rate)": [("{}", 4.0)]},
    )


def test_values_are_folded_under_a_label_that_keeps_its_name(tmp_path: Path) -> None:
    folded = Source(
        "request",
        "x_total",
        "counter",
        labels={"outcome": "outcome"},
        values={"outcome": {"a": "b", "b": "c"}},
    )
    check(
        tmp_path,
        Profile("x", "x", (folded,), objectives=()),
        {'x_total{job="x", outcome="a"}': "0+15x60", 'x_total{job="x", outcome="b"}': "0+30x60"},
        {
            "inf:request:rate": [
                ('inf:request:rate{job="x", outcome="b", runtime="x"}', 1.0),
                ('inf:request:rate{job="x", outcome="c", runtime="x"}', 2.0),
            ]
        },
    )


def test_milliseconds_become_seconds_in_bounds_and_sums(tmp_path: Path) -> None:
    family = "nv_inference_first_response_histogram_ms"
    check(
        tmp_path,
        TRITON,
        {
            f'{family}_bucket{{job="triton", le="500"}}': "0+120x60",
            f'{family}_bucket{{job="triton", le="2000.0"}}': "0+150x60",
            f'{family}_bucket{{job="triton", le="+Inf"}}': "0+150x60",
            f'{family}_count{{job="triton"}}': "0+150x60",
            f'{family}_sum{{job="triton"}}': "0+45000x60",
        },
        {
            "inf:ttft_seconds_bucket:rate": [
                ('inf:ttft_seconds_bucket:rate{job="triton", le="0.5", runtime="triton"}', 8.0),
                ('inf:ttft_seconds_bucket:rate{job="triton", le="2", runtime="triton"}', 10.0),
                ('inf:ttft_seconds_bucket:rate{job="triton", le="+Inf", runtime="triton"}', 10.0),
            ],
            "inf:ttft_seconds_sum:rate": [('inf:ttft_seconds_sum:rate{job="triton", runtime="triton"}', 3.0)],
            "round(sum by (sloth_slo) (slo:sli_error:ratio_rate5m), 0.001)": [('{sloth_slo="ttft"}', 0.2)],
        },
    )


def test_a_histogram_in_another_unit_needs_its_edges() -> None:
    with pytest.raises(ValueError, match="PromQL cannot multiply `le`: name the edges of x_ms"):
        Source("ttft_seconds", "x_ms", "histogram", unit_factor=0.001)


def test_a_bound_between_two_edges_is_refused_with_the_edges() -> None:
    between = Objective("ttft", "first token", share=0.99, bound_s=0.3)
    with pytest.raises(ValueError, match=r"ttft: 0.3 s is no bucket edge of .*0.1, 0.25, 0.5, 1, 2.5"):
        indicators(replace(VLLM, objectives=(between,)))


def test_an_objective_whose_budget_is_too_large_to_burn_is_refused() -> None:
    lax = Objective("ttft", "first token", share=0.9, bound_s=1.0)
    with pytest.raises(ValueError, match="no error ratio burns a budget of that size"):
        indicators(replace(VLLM, objectives=(lax,)))


def test_a_latency_objective_needs_a_bound() -> None:
    with pytest.raises(ValueError, match="ttft: a latency objective needs a bound"):
        indicators(replace(VLLM, objectives=(Objective("ttft", "first token", share=0.99),)))


def test_an_engine_is_given_only_alerts_on_what_it_tells() -> None:
    names = set(rule_names(rules.rule_groups(VLLM)["alerts"]))
    assert names == {
        *("TtftBudgetBurn", "ErrorRatioHigh", "PreemptionStorm"),
        *("ReplicaDown", "ReplicasMissing", "SignalAbsent"),
    }
    absent = {
        rule.labels["signal"]
        for group in rules.rule_groups(VLLM)["alerts"]
        for rule in group.rules
        if isinstance(rule, Alert) and rule.name == "SignalAbsent"
    }
    assert absent == {"ttft_seconds", "request", "preemptions", "up"}
    assert 'up{job="vllm"} == 0' in rules.prometheus_rule(VLLM)


def test_every_source_of_the_reference_profile_is_a_declared_family_with_its_labels() -> None:
    for source in REFERENCE.sources:
        family = DECLARED[source.family]
        assert (source.kind, set(source.labels)) == (family.kind, set(family.labels))
    recorded = rule_names([recording_rules(REFERENCE, rules.PRODUCTION)])
    assert len(recorded) == len(set(recorded))


@pytest.mark.parametrize(
    ("edge", "matcher"),
    [(0.5, 'le="0.5"'), (2.5, 'le="2.5"'), (1.0, r'le=~"1|1\\.0"'), (500.0, r'le=~"500|500\\.0"')],
)
def test_an_edge_is_matched_in_every_spelling_that_it_has(edge: float, matcher: str) -> None:
    assert le_matcher(edge) == matcher


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1.5, "1500ms"),
        (45, "45s"),
        (90, "90s"),
        (300, "5m"),
        (7200, "2h"),
        (2592000, "30d"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@pytest.mark.parametrize("seconds", [-1, 0.0001])
def test_a_duration_that_prometheus_cannot_write_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least a millisecond"):
        duration(seconds)


def test_scaled_windows_never_span_fewer_than_four_scrapes() -> None:
    live = Timing(scrape_s=1.0, factor=60.0)
    assert [live.window(s) for s in (60, 300, 3600)] == ["4s", "5s", "1m"]
    assert [live.hold(s) for s in (0, 60, 600)] == ["0s", "2s", "10s"]
    assert Timing().window(30) == "1m"


@pytest.mark.parametrize(("scrape_s", "factor"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.5)])
def test_an_impossible_timing_is_refused(scrape_s: float, factor: float) -> None:
    with pytest.raises(ValueError, match="scrape_s must be above 0"):
        Timing(scrape_s, factor)
