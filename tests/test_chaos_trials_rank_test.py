"""Two small samples: exact against brute force, right as often as it says, and never fooled by what is censored."""

import math
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.trials import rank_test

SAMPLES = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.5, math.inf]), min_size=1, max_size=6)


def by_hand(first: list[float], second: list[float]) -> float:
    """The same p by going through every assignment of the values to the samples."""
    pooled = [*first, *second]
    ranks = [sum(v < each for v in pooled) + (sum(v == each for v in pooled) + 1) / 2 for each in pooled]
    observed = sum(ranks[: len(first)])
    sums = [sum(chosen) for chosen in combinations(ranks, len(first))]
    below, above = (sum(s <= observed for s in sums), sum(s >= observed for s in sums))
    return min(1.0, 2 * min(below, above) / len(sums))


@given(SAMPLES, SAMPLES)
def test_p_is_that_of_all_assignments_ties_and_censored_values_included(
    first: list[float], second: list[float]
) -> None:
    assert rank_test.p_value(first, second) == pytest.approx(by_hand(first, second))


def test_p_of_large_samples_is_close_to_that_of_all_assignments(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(3)
    first = [random.gauss(0, 1) for _ in range(30)]
    second = [random.gauss(0.6, 1) for _ in range(30)]
    exact = rank_test.p_value(first, second)
    monkeypatch.setattr(rank_test, "_EXACT_UP_TO", 10)
    assert rank_test.p_value(first, second) == pytest.approx(exact, rel=0.3)
    assert rank_test.p_value([0.0] * 30, [1.0] * 30) == pytest.approx(2 / 20_001)  # never nothing


@pytest.mark.parametrize(
    ("numbers", "differences_outside"), [((20, 20), 127), ((5, 5), 2), ((4, 4), 0), ((10, 8), 17)]
)
def test_the_interval_leaves_out_as_many_differences_as_the_tables_of_mann_and_whitney(
    numbers: tuple[int, int], differences_outside: int
) -> None:
    assert rank_test._critical(*numbers) == differences_outside + 1


def test_three_against_three_can_never_show_a_difference() -> None:
    assert rank_test.least_p_value(3, 3) == pytest.approx(0.1)
    assert rank_test.least_p_value(4, 4) == pytest.approx(2 / 70)
    assert rank_test.shift([1, 2, 3], [7, 8, 9]) == rank_test.Shift(6, -math.inf, math.inf)
    assert rank_test.detectable([1, 2, 3], [7, 8, 9]) is None


def recoveries(rng: np.random.Generator, median_s: float, spread: float, n: int = 20) -> list[float]:
    """Recovery times as they are met: skewed to the right, their standard deviation a share of the median."""
    return [*map(float, median_s * np.exp(rng.normal(0, spread, n)))]


@pytest.mark.parametrize(("spread", "seed"), [(0.05, 11), (0.15, 12), (0.6, 13)])
def test_equal_builds_are_told_apart_in_at_most_5_of_100_comparisons(spread: float, seed: int) -> None:
    rng, comparisons = np.random.default_rng(seed), 2000
    told = [
        rank_test.p_value(recoveries(rng, 4, spread), recoveries(rng, 4, spread)) <= rank_test.LEVEL
        for _ in range(comparisons)
    ]
    assert sum(told) / comparisons <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / comparisons)


@pytest.mark.parametrize(("spread", "found_in"), [(0.05, 0.99), (0.15, 0.9), (0.2, 0.7)])
def test_builds_20_percent_apart_are_told_apart_with_20_trials_where_the_spread_allows(
    spread: float, found_in: float
) -> None:
    rng, comparisons = np.random.default_rng(7), 300
    told = [
        rank_test.p_value(recoveries(rng, 4, spread), recoveries(rng, 4.8, spread)) <= rank_test.LEVEL
        for _ in range(comparisons)
    ]
    assert sum(told) / comparisons >= found_in


def test_the_interval_of_the_shift_holds_it_in_95_of_100_comparisons() -> None:
    rng, comparisons, held = np.random.default_rng(2), 600, 0
    for _ in range(comparisons):
        first = rng.exponential(1, 20).tolist()
        second = (0.7 + rng.exponential(1, 15)).tolist()
        found = rank_test.shift(first, second)
        held += found.low <= 0.7 <= found.high
    assert 0.93 <= held / comparisons <= 0.98


def test_the_ratio_holds_the_true_one_and_needs_positive_values() -> None:
    rng = np.random.default_rng(4)
    found = rank_test.ratio(recoveries(rng, 4, 0.1), recoveries(rng, 4.8, 0.1))
    assert found is not None
    assert found.low < 1.2 < found.high
    assert found.estimate == pytest.approx(1.2, abs=0.08)
    assert rank_test.ratio([0.0, 1.0], [1.0, 2.0]) is None


def test_a_shift_that_would_have_been_found_is_found_in_4_of_5_comparisons() -> None:
    rng = np.random.default_rng(9)
    smallest = rank_test.detectable(recoveries(rng, 4, 0.15), recoveries(rng, 4, 0.15))
    assert smallest is not None
    told = []
    for _ in range(300):
        second = [value + smallest for value in recoveries(rng, 4, 0.15)]
        told.append(rank_test.p_value(recoveries(rng, 4, 0.15), second) <= rank_test.LEVEL)
    assert 0.6 <= sum(told) / len(told) <= 0.95


def test_trials_that_never_recovered_are_ranked_last_and_bound_the_shift_from_below_alone() -> None:
    first, second = [*map(float, range(1, 11))], [9.0, 10.0, 11.0, *[math.inf] * 7]
    assert rank_test.p_value(first, second) < 0.001
    assert rank_test.second_is_larger(first, second)
    found = rank_test.shift(first, second)
    assert found.estimate is None
    assert 0 < found.low < math.inf
    assert found.high == math.inf


@given(SAMPLES, SAMPLES)
def test_a_shift_turned_round_is_its_negative(first: list[float], second: list[float]) -> None:
    one, other = rank_test.shift(first, second), rank_test.shift(second, first)
    assert (one.low, one.high) == (-other.high, -other.low)
    assert one.estimate == (None if other.estimate is None else -other.estimate)
