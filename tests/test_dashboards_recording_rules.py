"""One engine's series under engine-independent names: spellings, units and labels; what cannot be right is refused."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.engines import REFERENCE, Engine, engine_of, engines
from dashboards.rules import files as rules
from dashboards.rules.groups import Alert, Group, Timing, duration
from dashboards.rules.recording import recorded, recording_rules
from dashboards.rules.slo import fit, slo_rules
from dashboards.sources import le_matcher
from exporters import slo
from exporters.profiles.coverage import coverage
from exporters.profiles.library import profile, profiles
from exporters.profiles.profile import Series
from exporters.profiles.scraped import ScrapedFamily, scraped_families
from exporters.profiles.signals import SIGNALS
from exporters.slo import Objective
from tests.data.make_expositions import EXPOSITIONS
from tests.support.complete_profile import made

SLOW = (Objective("ttft", "first token", share=0.99, bound_s=1.0),)
VLLM = replace(engine_of(profile("vllm")), objectives=SLOW)
TRITON = made(
    "triton",
    ttft_seconds=Series(
        name="nv_inference_first_response_histogram_ms",
        type="histogram",
        unit_factor=0.001,
        edges=(100, 500, 2000),
    ),
)
PUBLISHED = sorted(EXPOSITIONS.glob("*.txt"))


def rule_names(groups: Sequence[Group]) -> list[str]:
    return [rule.name if isinstance(rule, Alert) else rule.record for group in groups for rule in group.rules]


def check(
    folder: Path, engine: Engine, series: dict[str, str], expected: dict[str, list[tuple[str, float]]]
) -> None:
    """Evaluate the engine's rules over series with a sample every 15 s, and compare queries at 10 m."""
    groups = rules.all_groups(engine)
    (folder / "rules.yaml").write_text(rules.rule_file(engine))
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
        },
        {
            "inf:preemptions:rate": [
                ('inf:preemptions:rate{job="vllm", instance="a", model="m", runtime="vllm"}', 3.0)
            ],
            "inf:kv_usage:ratio": [
                ('inf:kv_usage:ratio{job="vllm", instance="a", model="m", runtime="vllm"}', 0.75)
            ],
        },
    )


def test_parts_of_a_gauge_add_up_before_the_greatest_counts(tmp_path: Path) -> None:
    labels = 'job="dcgm", instance="g", gpu="0", UUID="GPU-1"'
    check(
        tmp_path,
        engine_of(profile("dcgm")),
        {f"DCGM_FI_DEV_FB_{part}{{{labels}}}": f"{mib}x60" for part, mib in (("USED", 3), ("FREE", 5))},
        {
            f"inf:gpu_memory_{name}:bytes": [
                (
                    f'inf:gpu_memory_{name}:bytes{{job="dcgm", instance="g", gpu="0", uuid="GPU-1", runtime="dcgm"}}',
                    mib * 1048576.0,
                )
            ]
            for name, mib in (("used", 3), ("total", 8))
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
    folded = Series(
        name="x_total",
        type="counter",
        labels={"outcome": "outcome"},
        values={"outcome": {"a": "b", "b": "c"}},
    )
    check(
        tmp_path,
        made("x", objectives=(), request=folded),
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


def test_what_rules_cannot_use_is_left_out_with_the_reason() -> None:
    engine = made(
        "x",
        ttft_seconds=Series(name="x_ms", type="histogram", unit_factor=0.001),
        e2e_seconds=Series(name="x_us", type="counter", limit="means only"),
    )
    assert (engine.of("ttft_seconds"), engine.of("e2e_seconds")) == ((), ())
    reasons = engine.untold()
    assert "PromQL cannot multiply `le`" in reasons["ttft_seconds"]
    assert "x_us is a counter, the signal a histogram (means only)" in reasons["e2e_seconds"]
    assert reasons["running"] == "not of this engine"
    assert "# No ttft_seconds: " in rules.rule_file(engine)


@pytest.mark.parametrize(
    ("bound_s", "judged_s"), [(0.5, 0.5), (0.3, 0.2), (0.29, 0.2), (0.35, 0.4), (9.0, 0.8)]
)
def test_an_objective_is_judged_at_the_nearest_edge_and_at_the_stricter_of_two(
    bound_s: float, judged_s: float
) -> None:
    engine = made("x", ttft_seconds=Series(name="x", type="histogram", edges=(0.2, 0.4, 0.5, 0.8)))
    asked = Objective("ttft", "first token", share=0.99, bound_s=bound_s)
    judged, said = fit(engine, asked)
    assert judged == replace(asked, bound_s=judged_s)
    expected = (
        f"ttft is judged at {judged_s:g} s: {bound_s:g} s is no bucket edge of" if bound_s != judged_s else ""
    )
    assert said.startswith(expected)
    assert bool(said) == bool(expected)
    assert said in rules.rule_file(replace(engine, objectives=(asked,)))


def test_an_objective_without_published_edges_or_signal_is_left_out_with_the_reason() -> None:
    engine = made("x", ttft_seconds=Series(name="x", type="histogram"))
    assert fit(engine, slo.TTFT) == (None, "ttft is not judged: the bucket edges of (?:)x are not published.")
    assert fit(engine, slo.ITL) == (None, "itl is not judged: this engine does not tell it.")
    assert [group.name for group in slo_rules(engine, rules.PRODUCTION)] == []


def test_an_objective_whose_budget_is_too_large_to_burn_is_refused() -> None:
    lax = Objective("ttft", "first token", share=0.9, bound_s=1.0)
    with pytest.raises(ValueError, match="no error ratio burns a budget of that size"):
        fit(VLLM, lax)


def test_a_latency_objective_needs_a_bound() -> None:
    with pytest.raises(ValueError, match="ttft: a latency objective needs a bound"):
        fit(VLLM, Objective("ttft", "first token", share=0.99))


def test_an_engine_is_given_only_alerts_on_what_it_tells() -> None:
    engine = replace(made("x", request=Series(name="x_total", type="counter")), objectives=slo.OBJECTIVES)
    alerts = rules.rule_groups(engine)["alerts"]
    assert set(rule_names(alerts)) == {
        *("AvailabilityBudgetBurn", "ErrorRatioHigh", "ReplicaDown", "ReplicasMissing", "SignalAbsent"),
        *("GatewayDown", "GatewayNoReadyReplicas", "GatewayRetryStorm", "GrayReplica", "TelemetryBlind"),
    }
    absent = {
        rule.labels["signal"]
        for group in alerts
        for rule in group.rules
        if isinstance(rule, Alert) and rule.name == "SignalAbsent"
    }
    assert absent == {
        "request",
        "up",
        "gateway_request",
        "gateway_retries",
        "replicas_ready",
        "probe_success",
    }
    assert 'up{job="x"} == 0' in rules.rule_file(engine)


def test_no_rule_but_a_recording_one_reads_another_engines_series() -> None:
    for engine in engines():
        grouped = rules.rule_groups(engine)
        for rule in (rule for name in ("slo", "alerts") for group in grouped[name] for rule in group.rules):
            for labels in re.findall(r"inf:[\w:]+(\{[^}]*\})?", rule.expr):
                assert f'runtime="{engine.runtime}"' in labels, rule.expr


def as_promtool_has_it(family: ScrapedFamily, text: str, job: str) -> dict[str, str]:
    """Each sample of the family as a series: counters rise, gauges stay."""
    rising = family.type in ("counter", "histogram", "summary")
    pattern = rf"^({re.escape(family.name)}(?:_bucket|_sum|_count)?)(?:\{{(.*)\}})? "
    return {
        f'{name}{{{labels and labels + ", "}job="{job}", instance="a"}}': "0+15x60" if rising else "1x60"
        for name, labels in re.findall(pattern, text, re.MULTILINE)
    }


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_release_gives_the_signals_that_coverage_says_it_tells_and_no_other(
    path: Path, tmp_path: Path
) -> None:
    engine = engine_of(profile(path.stem.split("-")[0]))
    text = path.read_text()
    families = scraped_families(text)
    told = {
        one.signal
        for one in coverage(families, profiles(), engine=engine.runtime).signals
        if one.answer in ("yes", "limited")
        and any(source.kind == SIGNALS[one.signal].kind for source in engine.of(one.signal))
    }
    assert told
    names = {signal: recorded(engine.of(signal)[0]) for signal in SIGNALS if engine.of(signal)}
    check(
        tmp_path,
        engine,
        {
            name: values
            for family in families
            for name, values in as_promtool_has_it(family, text, engine.job).items()
        },
        {
            f'(count({name}{{runtime="{engine.runtime}"}}) or vector(0)) > bool 0': [
                ("{}", float(signal in told))
            ]
            for signal, name in names.items()
        },
    )


def test_the_rules_record_no_name_twice() -> None:
    for engine in engines():
        names = rule_names([recording_rules(engine, rules.PRODUCTION)])
        assert len(names) == len(set(names))
    assert REFERENCE.of("tokens")[0].name == "ds_tokens_total"


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
