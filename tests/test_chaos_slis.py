import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.events import Event
from chaos.measuring.columns import columns
from chaos.measuring.evidence import decisions, evidence, observed_until_s
from chaos.measuring.objectives import Objectives, is_good
from chaos.measuring.quantiles import (
    interval_ranks,
    needed_for_claim,
    needed_for_interval,
    quantile,
    quantile_interval,
    wilson_interval,
)
from chaos.measuring.slis import METRICS, on_time, per_second, samples
from chaos.measuring.timeline import Timeline
from loadtests.rows import CENSORED, OUTCOMES, Row

SLO = Objectives(ttft_s=0.5, e2e_s=2.0, itl_s=0.25)


def answered(index: int, intended_s: float, *tokens_s: float, ended_s: float | None = None) -> Row:
    """Stamps of tokens and end are told from the intended start."""
    return Row(
        index=index,
        intended_s=intended_s,
        outcome="ok",
        dispatched_s=intended_s + 0.001,
        token_s=tuple(intended_s + token_s for token_s in tokens_s),
        ended_s=intended_s + (max(tokens_s, default=0.0) if ended_s is None else ended_s),
    )


def failed(index: int, intended_s: float, outcome: str, ended_s: float | None = None) -> Row:
    return Row(index, intended_s, outcome, dispatched_s=intended_s, ended_s=ended_s)


def timeline(rows: Sequence[Row], *events: Event, plan_end_s: float = 10.0) -> Timeline:
    return Timeline(columns(rows), events, len(rows), 0.0, plan_end_s, wanted_replicas=1)


@pytest.mark.parametrize(
    ("percent", "n", "rank"),
    [
        pytest.param(99, 100, 99, id="p99 of 100 is the 99th"),
        pytest.param(99, 101, 100, id="rounded up"),
        pytest.param(7, 100, 7, id="not the 8th, which 0.07 * 100 in floats would give"),
        pytest.param(50, 1, 1, id="one sample"),
        pytest.param(1, 10, 1, id="never below the first"),
        pytest.param(99.9, 1000, 999, id="three nines"),
        pytest.param(99.99, 10_000, 9_999, id="four nines"),
        pytest.param(95, 20, 19, id="p95 of 20 is the 19th"),
    ],
)
def test_quantile_is_the_sample_of_rank_ceil_q_n(percent: float, n: int, rank: int) -> None:
    assert quantile(range(1, n + 1), percent) == rank


def test_failures_reach_a_quantile_as_infinity_once_they_exceed_its_tail() -> None:
    assert quantile([0.1] * 99 + [math.inf], 99) == 0.1
    assert quantile([0.1] * 98 + [math.inf] * 2, 99) == math.inf


def test_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="P99 of no samples"):
        quantile([], 99)


@given(
    values=st.lists(st.floats(0, 100) | st.just(math.inf), min_size=1, max_size=200),
    percent=st.integers(1, 99),
)
def test_at_least_q_of_the_samples_lie_at_or_below_the_quantile_and_no_smaller_sample_does(
    values: list[float], percent: int
) -> None:
    found = quantile(sorted(values), percent)
    assert found in values
    assert 100 * sum(value <= found for value in values) >= percent * len(values)
    assert 100 * sum(value < found for value in values) < percent * len(values)


@pytest.mark.parametrize(
    ("percent", "claim", "interval"),
    [(50, 5, 6), (90, 29, 36), (95, 59, 72), (99, 299, 368), (99.9, 2995, 3688)],
)
def test_samples_needed_for_a_claim_and_for_an_interval(percent: float, claim: int, interval: int) -> None:
    q = percent / 100
    assert needed_for_claim(percent) == claim
    assert 1 - q**claim >= 0.95 > 1 - q ** (claim - 1)
    assert needed_for_interval(percent) == interval


@pytest.mark.parametrize(
    ("n", "ranks"),
    [
        (500, (490, 500)),
        (1_000, (983, 997)),
        (2_000, (1971, 1989)),
        (5_000, (4936, 4964)),
        (10_000, (9880, 9920)),
    ],
)
def test_p99_interval_ranks_are_those_of_the_binomial(n: int, ranks: tuple[int, int]) -> None:
    assert interval_ranks(n, 99) == ranks


@given(n=st.integers(72, 600), percent=st.sampled_from([50, 75, 90, 95]))
def test_interval_ranks_cover_the_quantile_with_95_percent(n: int, percent: int) -> None:
    lower, upper = interval_ranks(n, percent)
    # Exact in integers: P(lower <= B < upper) for B ~ binomial(n, percent / 100).
    mass = sum(math.comb(n, k) * percent**k * (100 - percent) ** (n - k) for k in range(lower, upper))
    assert 1 <= lower < upper <= n
    assert mass * 100 >= 95 * 100**n


def test_interval_below_its_sample_size_is_refused() -> None:
    assert quantile_interval(range(367), 99) is None
    with pytest.raises(ValueError, match="needs 368 samples, not 367"):
        interval_ranks(367, 99)
    assert quantile_interval(range(1, 1001), 99) == (983, 997)


@pytest.mark.parametrize(
    ("successes", "n", "interval"),
    [
        pytest.param(0, 10, (0.0, 0.2775), id="none of ten"),
        pytest.param(10, 10, (0.7225, 1.0), id="all of ten"),
        pytest.param(95, 100, (0.8882, 0.9785), id="95 of 100"),
        pytest.param(1, 2, (0.0945, 0.9055), id="one of two"),
    ],
)
def test_wilson_interval_of_a_ratio(successes: int, n: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(successes, n) == pytest.approx(interval, abs=6e-5)
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize(
    ("row", "good"),
    [
        pytest.param(answered(0, 0.0, 0.5, 0.75, ended_s=2.0), True, id="every bound met exactly"),
        pytest.param(answered(0, 0.0, 0.501), False, id="first token late"),
        pytest.param(answered(0, 0.0, 0.1, 0.3, ended_s=2.001), False, id="end late"),
        pytest.param(answered(0, 0.0, 0.1, 0.36), False, id="gap too long"),
        pytest.param(answered(0, 0.0, ended_s=0.1), False, id="complete without a token"),
        pytest.param(failed(0, 0.0, "truncated", 0.2), False, id="not complete"),
    ],
)
def test_good_is_complete_and_within_every_bound(row: Row, good: bool) -> None:
    assert is_good(row, SLO) is good


@pytest.mark.parametrize(
    ("stamps_s", "output_tokens", "good"),
    [
        pytest.param((0.1, 0.2, 0.7), 3, True, id="0.3 s a token, exactly the bound"),
        pytest.param((0.1, 0.11, 0.702), 3, False, id="0.301 s a token, though one gap was short"),
        pytest.param((0.1, 0.11, 0.702), 5, True, id="by the server's count of tokens, not by events"),
        pytest.param((0.1,), 1, True, id="one token has no pace"),
    ],
)
def test_the_pace_of_an_answer_is_bounded_on_average(
    stamps_s: tuple[float, ...], output_tokens: int, good: bool
) -> None:
    row = replace(answered(0, 0.0, *stamps_s), output_tokens=output_tokens)
    objectives = Objectives(0.5, 2.0, tpot_s=0.3)
    assert is_good(row, objectives) is good
    assert decisions(columns([row]), objectives)[0].tolist() == [good]


def test_without_a_gap_objective_gaps_do_not_matter() -> None:
    assert is_good(answered(0, 0.0, 0.1, 1.9), Objectives(0.5, 2.0))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("ttft", [0.1, 0.2, math.inf, math.inf]),
        ("e2e", [0.2, 0.4, math.inf, math.inf]),
        ("tpot", [0.1, math.inf, math.inf]),
        ("itl", [0.1, 0.1, 0.3, math.inf, math.inf]),
        ("lag", [0.0, 0.001, 0.001, math.inf]),
    ],
)
def test_samples_of_each_metric_are_ascending_with_failures_as_infinity(
    metric: str, expected: list[float]
) -> None:
    rows = [
        answered(0, 0.0, 0.2, 0.3, 0.4),
        answered(1, 0.0, 0.1, ended_s=0.2),
        Row(2, 0.0, "reset_mid_stream", dispatched_s=0.0, token_s=(0.1, 0.4), ended_s=0.5),
        Row(3, 0.0, "client_dropped"),
    ]
    assert metric in METRICS
    assert np.sort(samples(columns(rows), metric)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("censored_s", "until_s"),
    [
        pytest.param(10.5, 9.0, id="cut off before its bound: nothing is known from there on"),
        pytest.param(11.5, 10.0, id="cut off after its bound: known to be bad"),
        pytest.param(None, 9.0, id="no stamp: cut off when the plan ended"),
    ],
)
def test_observation_ends_with_the_first_arrival_whose_outcome_is_open(
    censored_s: float | None, until_s: float
) -> None:
    rows = [answered(0, 1.0, 0.1), failed(1, 9.0, CENSORED, censored_s)]
    assert observed_until_s(timeline(rows), SLO) == until_s


def test_seconds_of_a_run_worked_out_by_hand() -> None:
    run = timeline(
        [
            answered(0, 0.2, 0.1, ended_s=0.3),
            answered(1, 0.9, 0.2, ended_s=0.4),
            answered(2, 1.5, 0.9),
            failed(3, 1.8, "http_503", ended_s=2.1),
            Row(4, 1.9, "client_dropped", ended_s=1.9),
        ],
        Event(-1.0, "replica_ready", "a"),
        Event(1.5, "replica_killed", "a"),
        plan_end_s=2.0,
    )
    first, second, third = per_second(run, evidence(run, SLO))
    table = {
        "planned": (2, 3, 0),
        "good": (2, 0, 0),
        "failed": (0, 1, 1),
        "completed": (1, 1, 1),
        "in_flight": (1, 2, 0),
        "ready": (1, 0, 0),
    }
    for name, values in table.items():
        assert tuple(getattr(each, name) for each in (first, second, third)) == values, name
    assert third.ttft is None
    assert first.ttft is not None
    assert second.ttft is not None
    assert (first.ttft.n, second.ttft.n, second.ttft.p50) == (2, 3, math.inf)
    assert first.ttft.p50 == pytest.approx(0.1)
    assert first.ttft.p95 == first.ttft.p99 == first.ttft.most == pytest.approx(0.2)


@given(
    st.lists(
        st.tuples(st.floats(0, 9.99), st.floats(0, 20), st.sampled_from(OUTCOMES)), min_size=1, max_size=60
    )
)
def test_seconds_count_every_arrival_failure_and_completion_once(
    drawn: list[tuple[float, float, str]],
) -> None:
    rows = [
        Row(index, at_s, outcome, dispatched_s=at_s, token_s=(at_s,), ended_s=at_s + took_s)
        for index, (at_s, took_s, outcome) in enumerate(drawn)
    ]
    seconds = per_second(timeline(rows), evidence(timeline(rows), SLO))
    assert [second.start_s for second in seconds] == list(range(len(seconds)))
    assert sum(second.planned for second in seconds) == len(rows)
    assert sum(second.good for second in seconds) == sum(is_good(row, SLO) for row in rows)
    assert sum(second.failed for second in seconds) == sum(not row.ok for row in rows)
    assert sum(second.completed for second in seconds) == sum(row.ok for row in rows)
    assert all(second.in_flight >= 0 for second in seconds)


@pytest.mark.parametrize(
    ("tokens_s", "itl_s", "smooth"),
    [
        pytest.param((0.1, 0.2, 0.3), 0.25, True, id="early throughout"),
        pytest.param((0.5, 0.75, 1.0), 0.25, True, id="each just in time"),
        pytest.param((0.1, 0.2, 1.01), 0.25, False, id="the last one after its own deadline"),
        pytest.param((0.51, 0.6, 0.7), 0.25, False, id="the first one"),
        pytest.param(
            (0.1, 0.9, 0.9), 0.25, False, id="held back and sent at once: within the end-to-end bound"
        ),
        pytest.param(
            (0.1, 0.9, 0.9), None, True, id="without a bound for gaps evenly up to the end-to-end bound"
        ),
    ],
)
def test_every_token_has_a_deadline_of_its_own(
    tokens_s: tuple[float, ...], itl_s: float | None, smooth: bool
) -> None:
    rows = columns([answered(0, 1.0, *tokens_s), failed(1, 2.0, "http_503")])
    found = on_time(rows, np.array([0, 1]), Objectives(ttft_s=0.5, e2e_s=2.0, itl_s=itl_s))
    assert found.tolist() == [smooth, False]


def test_a_token_is_due_at_the_bound_of_the_mean_pace_where_there_is_one() -> None:
    rows, either = columns([answered(0, 1.0, 0.1, 0.9, 0.95)]), Objectives(0.5, 2.0, itl_s=0.6)
    assert on_time(rows, np.array([0]), either).tolist() == [True]
    assert on_time(rows, np.array([0]), replace(either, tpot_s=0.3)).tolist() == [False]


def test_a_failed_request_lacks_as_many_gaps_as_the_median_answer_has_more() -> None:
    tokens_s = tuple(0.1 + 0.02 * index for index in range(32))
    rows = [answered(index, float(index), *tokens_s) for index in range(8)]
    rows += [
        failed(8, 8.0, "http_503"),
        Row(9, 9.0, "reset_mid_stream", 9.0, token_s=(9.1, 9.2, 9.3), ended_s=9.4),
    ]
    gaps_s = samples(columns(rows), "itl")
    assert np.sum(np.isfinite(gaps_s)) == 8 * 31 + 2
    assert np.sum(np.isinf(gaps_s)) == 31 + 29
