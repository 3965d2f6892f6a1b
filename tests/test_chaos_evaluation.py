import math
from dataclasses import replace

import pytest

from chaos.assertions.grammar import parse
from chaos.assertions.terms import TERMS
from chaos.judging.evaluation import evaluate
from chaos.measuring.columns import columns
from chaos.measuring.measurements import Measurements, measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.quantiles import needed_for_interval
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import Timeline
from chaos.record.cluster import Alert
from chaos.record.observed import AskedSeries
from chaos.record.verdict import Verdict
from tests.support.killed_run import FAULT, LIFE, measured, row, rows_of_a_kill


@pytest.fixture(scope="module")
def kill() -> Measurements:
    return measured(rows_of_a_kill(), *LIFE)


EVALUATED = [
    ("recovery.service <= 15s", Verdict.PASSED, 2.0, None),
    ("recovery.service <= 1799ms", Verdict.DEVIATED, 2.0, None),
    ("recovery.service <= 2s", Verdict.INCONCLUSIVE, 2.0, None),
    ("recovery.service <= 0s", Verdict.DEVIATED, 2.0, None),
    ("recovery.first_touch <= 2s", Verdict.PASSED, 2.0, None),
    ("recovery.capacity <= 15s", Verdict.PASSED, 4.26, None),
    ("recovery.service_after_end <= 15s", Verdict.INCONCLUSIVE, None, None),
    ("lost_requests == 0", Verdict.DEVIATED, 20, 550),
    ("lost_requests <= 20", Verdict.PASSED, 20, 550),
    ("p95(ttft, baseline) <= 250ms", Verdict.PASSED, 0.1, 349),
    ("p99(ttft, baseline) <= 50ms", Verdict.DEVIATED, 0.1, 349),
    ("p99(ttft, baseline) <= 250ms", Verdict.INCONCLUSIVE, 0.1, 349),
    ("p99.9(ttft, baseline) <= 250ms", Verdict.INCONCLUSIVE, 0.3, 349),
    ("max(ttft, baseline) <= 250ms", Verdict.DEVIATED, 0.3, 349),
    ("p25(ttft, fault) <= 1s", Verdict.PASSED, 0.1, 44),
    ("p50(ttft, fault) <= 1s", Verdict.INCONCLUSIVE, 0.1, 44),
    ("p90(ttft, fault) <= 1s", Verdict.DEVIATED, math.inf, 44),
    ("p95(ttft, fault) <= 1s", Verdict.DEVIATED, math.inf, 44),
    ("p95(itl, baseline) <= 50ms", Verdict.PASSED, 0.04, 349),
    ("p95(tpot, baseline) <= 30ms", Verdict.PASSED, 0.03, 349),
    ("p99(lag, all) <= 5ms", Verdict.PASSED, 0.002, 550),
    ("p99(e2e, all) < 1s", Verdict.DEVIATED, math.inf, 550),
    ("goodput(baseline) == 100%", Verdict.INCONCLUSIVE, 1.0, 349),
    ("goodput(baseline) >= 98%", Verdict.PASSED, 1.0, 349),
    ("goodput(all) >= 97%", Verdict.INCONCLUSIVE, 530 / 550, 550),
    ("goodput(all) >= 98%", Verdict.DEVIATED, 530 / 550, 550),
    ("goodput_rate(recovery) >= 9.5/s", Verdict.PASSED, 157 / 15.74, 157),
    ("error_ratio(fault) <= 65%", Verdict.PASSED, 20 / 44, 44),
    ("error_ratio(fault) <= 50%", Verdict.INCONCLUSIVE, 20 / 44, 44),
    ("error_ratio(all) < 1%", Verdict.DEVIATED, 20 / 550, 550),
    ("requests(all) == 550", Verdict.PASSED, 550, 550),
    ("outcome(http_503, fault) == 20", Verdict.PASSED, 20, 44),
    ("outcome(http_503, baseline) != 0", Verdict.DEVIATED, 0, 349),
    ("lost_tokens(all) == 0", Verdict.PASSED, 0, 530),
    ("doubled_tokens(fault) <= 0", Verdict.PASSED, 0, 24),
    ("wrong_answers(all) == 0", Verdict.INCONCLUSIVE, None, None),
    ("disturbances <= 1", Verdict.PASSED, 1, None),
    ("disturbances == 0", Verdict.DEVIATED, 1, None),
    ("ready(min, fault) >= 1", Verdict.PASSED, 1, None),
    ("ready(min, recovery) > 2", Verdict.DEVIATED, 2, None),
    ("recovery.cold_start <= 4s", Verdict.PASSED, 3.8, None),
    ("recovery.detection <= 1s", Verdict.DEVIATED, math.inf, None),
    ("recovery.cold_start < 3s", Verdict.DEVIATED, 3.8, None),
    ("requests(after(10s)) == 101", Verdict.PASSED, 101, 101),
    ("outcome(http_503, after(0.5s, 1.5s)) == 10", Verdict.PASSED, 10, 10),
    ("goodput(after(2s, 20s)) >= 97%", Verdict.PASSED, 1.0, 180),
    ("goodput(after(2s, 20s)) >= 95% of baseline", Verdict.PASSED, 1.0, 180),
    ("goodput(after(2s)) >= 95% of baseline", Verdict.DEVIATED, 1 / 21, 21),
    ("p90(ttft, after(2s, 20s)) <= 110% of baseline", Verdict.PASSED, 0.1, 180),
    ("p90(ttft, after(2s, 20s)) <= 90% of baseline", Verdict.DEVIATED, 0.1, 180),
    ("goodput(after_end(5s)) >= 95%", Verdict.INCONCLUSIVE, None, None),
    ("smooth_goodput(recovery) >= 97%", Verdict.PASSED, 1.0, 157),
]


@pytest.mark.parametrize(("text", "verdict", "observed", "n"), EVALUATED)
def test_each_term_is_evaluated_on_a_run_worked_out_by_hand(
    kill: Measurements, text: str, verdict: Verdict, observed: float | None, n: int | None
) -> None:
    result = evaluate(parse(text), kill)
    assert result.expression == text
    assert parse(text).of_baseline or result.bound == parse(text).bound
    assert result.verdict is verdict
    assert result.observed == (observed if observed is None else pytest.approx(observed))
    assert result.n == n
    assert (result.reason is None) is (verdict is not Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("fired_s", "verdict", "observed"),
    [
        pytest.param((), Verdict.PASSED, 0, id="none"),
        pytest.param((-3.0,), Verdict.PASSED, 0, id="one that fired before the load"),
        pytest.param((-3.0, 41.0, 44.0), Verdict.DEVIATED, 2, id="two since"),
        pytest.param(None, Verdict.INCONCLUSIVE, None, id="nobody was asked"),
    ],
)
def test_alerts_that_fired_are_counted(
    kill: Measurements, fired_s: tuple[float, ...] | None, verdict: Verdict, observed: int | None
) -> None:
    alerts = None
    if fired_s is not None:
        alerts = [
            Alert.of(
                {"name": "Slow", "severity": "page", "fired_s": at_s, "resolved_s": at_s + 1.0},
                {},
            )
            for at_s in fired_s
        ]
    result = evaluate(parse("alerts <= 1"), kill, alerts)
    assert (result.verdict, result.observed) == (verdict, observed)


def test_few_samples_are_told_with_how_many_are_needed(kill: Measurements) -> None:
    result = evaluate(parse("p99(ttft, baseline) <= 1s"), kill)
    assert result.reason == "p99 needs 368 requests to be bounded from above, there are 349"


def test_the_table_has_every_term() -> None:
    of_records = {name for name, kind in TERMS.items() if not kind.of_prometheus}
    assert {parse(text).term.name for text, *_ in EVALUATED} >= of_records - {"alerts"}


@pytest.mark.parametrize("text", [text for text, *_ in EVALUATED])
def test_without_any_data_every_assertion_is_inconclusive_or_counts_what_was_there(text: str) -> None:
    result = evaluate(parse(text), measured([], faults=()))
    if text.startswith("requests(all)"):
        assert (result.verdict, result.observed) == (Verdict.DEVIATED, 0)
    else:
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.reason


def never_recovers() -> Measurements:
    return measured(
        [row(index, index / 10, "ok" if index < 400 else "http_503") for index in range(600)], *LIFE
    )


@pytest.mark.parametrize(
    ("text", "verdict", "observed"),
    [
        pytest.param("recovery.service <= 12s", Verdict.DEVIATED, math.inf, id="all that was observed"),
        pytest.param("recovery.service > 12s", Verdict.PASSED, math.inf, id="the other way round"),
        pytest.param(
            "recovery.service <= 13s", Verdict.INCONCLUSIVE, math.inf, id="beyond what was observed"
        ),
        pytest.param("recovery.first_touch <= 12s", Verdict.DEVIATED, math.inf, id="never touched"),
    ],
)
def test_not_recovered_deviates_from_bounds_that_the_observation_covers(
    text: str, verdict: Verdict, observed: float
) -> None:
    result = evaluate(parse(text), never_recovers())
    assert (result.verdict, result.observed) == (verdict, observed)


def test_a_hold_cut_short_rules_out_the_bounds_before_it() -> None:
    rows = [row(index, index / 10, "http_503" if 400 <= index < 500 else "ok") for index in range(540)]
    run = Timeline(columns(rows), LIFE, len(rows), 5.0, 54.0, wanted_replicas=2, faults=(FAULT,))
    measurements = measure(run, Objectives(0.5, 1.0), Criteria(window_s=2.0, hold_s=5.0, within_s=12.0))
    assert evaluate(parse("recovery.service <= 9s"), measurements).verdict is Verdict.DEVIATED
    beyond = evaluate(parse("recovery.service <= 11s"), measurements)
    assert (beyond.verdict, beyond.observed) == (Verdict.INCONCLUSIVE, None)
    assert "the plan ended before a hold" in (beyond.reason or "")


def test_lost_requests_arrived_after_the_warm_up_and_failed_once_the_fault_had_started() -> None:
    rows = [row(index, index / 10) for index in range(600)]
    for index, failed_s in ((10, 45.0), (100, 10.1), (398, 40.0), (399, 45.0), (500, 50.1)):
        rows[index] = replace(row(index, index / 10, "reset_mid_stream"), ended_s=failed_s)
    assert evaluate(parse("lost_requests == 3"), measured(rows, *LIFE)).observed == 3


@pytest.mark.parametrize(("bound", "verdict"), [("0s", Verdict.INCONCLUSIVE), ("10s", Verdict.PASSED)])
def test_no_impact_is_zero_and_passes_where_enough_requests_say_so(bound: str, verdict: Verdict) -> None:
    run = measured([row(i, i / 10) for i in range(600)], *LIFE)
    result = evaluate(parse(f"recovery.service <= {bound}"), run)
    assert (result.verdict, result.observed) == (verdict, 0.0)
    assert result.interval is not None
    assert result.interval[0] == 0.0


def test_a_p99_that_every_request_refutes_deviates_however_few_there_are() -> None:
    slow = [row(i, i / 10, "ok") for i in range(600)]
    slow = [
        replace(each, token_s=tuple(at_s + 3 for at_s in each.token_s), ended_s=(each.ended_s or 0) + 3)
        for each in slow
    ]
    result = evaluate(parse("p99(ttft, fault) <= 1s"), measured(slow, *LIFE))
    assert result.n is not None
    assert (result.verdict, result.n < needed_for_interval(99)) == (Verdict.DEVIATED, True)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("goodput(fault) >= 99.9%", Verdict.INCONCLUSIVE),
        ("error_ratio(fault) <= 0.1%", Verdict.INCONCLUSIVE),
        ("goodput(fault) >= 90%", Verdict.PASSED),
    ],
)
def test_a_share_of_few_requests_passes_no_bound_that_they_cannot_prove(text: str, verdict: Verdict) -> None:
    clean = measured([row(i, i / 10) for i in range(600)], *LIFE)
    result = evaluate(parse(text), clean)
    assert result.n is not None
    assert result.n < 60
    assert result.verdict is verdict


def test_p99_of_gaps_counts_a_failed_request_as_all_the_gaps_that_it_owes() -> None:
    run = measured(rows_of_a_kill(), *LIFE)
    assert evaluate(parse("p99(itl, fault) <= 50ms"), run).observed == math.inf


def asked(*points: tuple[float, float | None]) -> dict[str, tuple[AskedSeries, ...]]:
    """One expression of two series, one of which has no number at all."""
    return {"depth": (AskedSeries(points=points), AskedSeries(points=((50.0, None),)))}


KNOWN = [(float(at_s), 40.0 if at_s == 43 else float(at_s % 7)) for at_s in range(61)]


@pytest.mark.parametrize(
    ("text", "verdict", "observed"),
    [
        ("promql_max('depth', all) <= 40", Verdict.PASSED, 40.0),
        ("promql_max('depth', fault) < 40", Verdict.DEVIATED, 40.0),
        ("promql_max('depth', baseline) <= 6", Verdict.PASSED, 6.0),
        ("promql_min('depth', recovery) >= 0.5", Verdict.DEVIATED, 0.0),
        ("promql_max('depth', fault) <= 700% of baseline", Verdict.PASSED, 40.0),
        ("promql_max('depth', fault) <= 600% of baseline", Verdict.DEVIATED, 40.0),
        ("promql_max('depth', after(0s, 2s)) <= 39", Verdict.PASSED, 6.0),
    ],
)
def test_an_expression_is_held_to_its_values_in_the_phase(
    kill: Measurements, text: str, verdict: Verdict, observed: float
) -> None:
    result = evaluate(parse(text), kill, promql=asked(*KNOWN))
    assert (result.verdict, result.observed) == (verdict, observed)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([], "Prometheus had no value of it in the all phase"),
        (
            [one for one in KNOWN if not 40 <= one[0] < 46],
            "Prometheus had no value of it from 39.0 to 46.0 s",
        ),
        ([one for one in KNOWN if one[0] < 50], "Prometheus had no value of it from 49.0 to 60.0 s"),
    ],
    ids=["never", "for a while", "at the end"],
)
def test_what_prometheus_did_not_know_for_some_scrapes_decides_nothing(
    kill: Measurements, points: list[tuple[float, float | None]], why: str
) -> None:
    result = evaluate(parse("promql_max('depth', all) <= 1000"), kill, promql=asked(*points))
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, why)
    assert evaluate(parse("promql_max('depth', all) <= 1000"), kill).reason == "Prometheus was not asked"
