"""The statistic that judges the device's noise: how often it cries wolf, and what it sees."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.goodness_of_fit import LEAST_EXPECTED, chi_squared_tail, fit_p, merged

DRAWS, OUTCOMES, TEMPERATURE = 100_000, 50, 0.7
ALARM = 0.001
Shares = NDArray[np.float64]
Counts = NDArray[np.int64]


def shares_of(logits: Shares, temperature: float = TEMPERATURE) -> Shares:
    weights = np.exp((logits - logits.max()) / temperature)
    return np.asarray(weights / weights.sum())


def p_of(counts: Counts, shares: Shares) -> float:
    return fit_p(counts.tolist(), shares.tolist())


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    [(3.8415, 1, 0.05), (5.9915, 2, 0.05), (16.266, 3, 0.001), (23.209, 10, 0.01), (85.351, 49, 0.001)],
)
def test_the_tail_of_chi_squared_is_that_of_the_tables(statistic: float, degrees: int, tail: float) -> None:
    assert chi_squared_tail(statistic, degrees) == pytest.approx(tail, rel=1e-3)
    assert chi_squared_tail(0.0, degrees) == 1


@given(
    st.lists(st.integers(1, 10**6), min_size=2, max_size=60).flatmap(
        lambda weights: st.tuples(
            st.just(weights), st.lists(st.integers(0, 500), min_size=len(weights), max_size=len(weights))
        )
    )
)
def test_merging_keeps_every_draw_and_leaves_no_cell_that_expects_too_little(
    outcomes: tuple[list[int], list[int]],
) -> None:
    weights, counts = outcomes
    cells = merged(counts, [weight / sum(weights) for weight in weights])
    assert all(expected >= LEAST_EXPECTED for _, expected in cells)
    if cells:
        assert sum(count for count, _ in cells) == sum(counts)
        assert sum(expected for _, expected in cells) == pytest.approx(sum(counts))
    else:
        assert sum(counts) < LEAST_EXPECTED


def test_too_few_draws_to_tell_anything_are_refused_and_an_impossible_draw_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="draw more"):
        fit_p([3, 3], [0.5, 0.5])
    assert fit_p([9_999, 10_000, 1], [0.5, 0.5, 0.0]) == 0


@pytest.mark.parametrize(
    "spread", [1.0, 3.0], ids=["as in the test on a GPU", "most outcomes hardly ever drawn"]
)
def test_an_honest_sampler_is_suspected_as_seldom_as_the_bound_says(spread: float) -> None:
    source = np.random.default_rng(1)
    found = []
    for _ in range(2_000):
        shares = shares_of(spread * source.standard_normal(OUTCOMES))
        found.append(p_of(source.multinomial(DRAWS, shares), shares))
    # Of 2,000 with 0.1 % and 5 %: more than 8 once in 4,000, outside the others once in 25,000.
    assert sum(p < ALARM for p in found) <= 8
    assert 62 <= sum(p < 0.05 for p in found) <= 142


def hotter(logits: Shares, source: np.random.Generator) -> Counts:
    return source.multinomial(DRAWS, shares_of(logits, TEMPERATURE * 1.05))


def never_the_median(logits: Shares, source: np.random.Generator) -> Counts:
    shares = shares_of(logits)
    shares[np.argsort(shares)[OUTCOMES // 2]] = 0
    return source.multinomial(DRAWS, shares / shares.sum())


def two_changed_places(logits: Shares, source: np.random.Generator) -> Counts:
    shares = shares_of(logits)
    first, second = np.argsort(shares)[[OUTCOMES // 3, 2 * OUTCOMES // 3]]
    shares[[first, second]] = shares[[second, first]]
    return source.multinomial(DRAWS, shares)


def repeated(logits: Shares, source: np.random.Generator) -> Counts:
    """As if the noise depended on less than seed and position: every draw stands there four times."""
    return 4 * source.multinomial(DRAWS // 4, shares_of(logits))


def gumbel(logits: Shares, source: np.random.Generator, bits: int) -> Counts:
    """As the device draws, with so many random bits in a number."""
    uniform = (source.integers(0, 1 << bits, (DRAWS, OUTCOMES), np.uint32) + 0.5) / (1 << bits)
    drawn = (logits / TEMPERATURE - np.log(-np.log(uniform))).argmax(axis=1)
    return np.bincount(drawn, minlength=OUTCOMES)


def of_7_bits(logits: Shares, source: np.random.Generator) -> Counts:
    return gumbel(logits, source, 7)


@pytest.mark.parametrize("biased", [hotter, never_the_median, two_changed_places, repeated, of_7_bits])
def test_a_biased_sampler_is_found_out_every_time(
    biased: Callable[[Shares, np.random.Generator], Counts],
) -> None:
    source = np.random.default_rng(2)
    for _ in range(8):
        logits = source.standard_normal(OUTCOMES)
        assert p_of(biased(logits, source), shares_of(logits)) < ALARM


def test_the_way_the_device_draws_is_not_suspected() -> None:
    source = np.random.default_rng(3)
    for _ in range(4):
        logits = source.standard_normal(OUTCOMES)
        assert p_of(gumbel(logits, source, 23), shares_of(logits)) > ALARM
