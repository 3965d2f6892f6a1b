"""The sampler: noise from seed and position alone, nucleus by table, frequencies by temperature."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.sampler import Sampling, sample, sample_rows, uniform

seeds = st.integers(-(2**63), 2**63 - 1)
positions = st.integers(0, 2**40)
LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.1], dtype=np.float32))


def drawn(logits: np.ndarray, sampling: Sampling, draws: int = 4000) -> dict[int, float]:
    """Share of each token over many positions."""
    counts = Counter(sample(logits, sampling, position) for position in range(draws))
    return {token: count / draws for token, count in counts.items()}


@given(seed=seeds, position=positions, before=st.lists(st.tuples(seeds, positions), max_size=5))
def test_noise_depends_on_seed_and_position_and_on_nothing_drawn_before(
    seed: int, position: int, before: list[tuple[int, int]]
) -> None:
    alone = uniform(seed, position)
    for other_seed, other_position in before:
        uniform(other_seed, other_position)
    assert uniform(seed, position) == alone
    assert 0.0 <= alone < 1.0


def test_noise_is_uniform_over_positions_and_over_seeds() -> None:
    for numbers in ([uniform(1, i) for i in range(5000)], [uniform(i, 1) for i in range(5000)]):
        counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
        # Chi-square with 19 degrees of freedom: 43.8 is exceeded once in a thousand, and these numbers never change.
        assert float(((counts - 250) ** 2 / 250).sum()) < 43.8


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1.0, [0.5, 0.25, 0.15, 0.1]),
        (0.5, [0.725, 0.181, 0.065, 0.029]),
        (2.0, [0.370, 0.261, 0.203, 0.166]),
        (1e-6, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_temperature_sharpens_and_flattens_the_frequencies(temperature: float, expected: list[float]) -> None:
    shares = drawn(LOGITS, Sampling(3, temperature))
    assert [shares.get(token, 0.0) for token in range(4)] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (0.0, {0}),
        (0.3, {0}),
        (0.5, {0}),
        (0.51, {0, 1}),
        (0.75, {0, 1}),
        (0.8, {0, 1, 2}),
        (0.95, {0, 1, 2, 3}),
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, kept: set[int]) -> None:
    probabilities = np.array([0.5, 0.25, 0.125, 0.125])
    shares = drawn(np.log(probabilities).astype(np.float32), Sampling(5, top_p=top_p), draws=300)
    assert set(shares) == kept


def test_of_equals_top_p_keeps_the_earlier() -> None:
    shares = drawn(np.zeros(64, dtype=np.float32), Sampling(5, top_p=0.5))
    assert set(shares) == set(range(32))


def test_what_is_left_by_top_p_keeps_its_proportions() -> None:
    shares = drawn(LOGITS, Sampling(9, top_p=0.7))
    assert shares[0] == pytest.approx(2 / 3, abs=0.03)
    assert set(shares) == {0, 1}


@pytest.mark.parametrize("logits", [[1.0, 3.0, 2.0], [5.0, 5.0, 5.0], [-1e30, 0.0, -1e30]])
def test_temperature_zero_takes_the_likeliest_and_of_equals_the_first(logits: list[float]) -> None:
    row = np.array(logits, dtype=np.float32)
    for position in range(20):
        assert sample(row, Sampling(position, temperature=0.0), position) == int(np.argmax(row))


@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20),
    seed=seeds,
    position=positions,
    temperature=st.floats(1e-3, 2.0),
    top_p=st.floats(0.0, 1.0),
)
def test_a_token_is_always_drawn_and_never_an_impossible_one(
    logits: list[float], seed: int, position: int, temperature: float, top_p: float
) -> None:
    row = np.array(logits, dtype=np.float32)
    token = sample(row, Sampling(seed, temperature, top_p), position)
    assert 0 <= token < len(row)
    assert (float(row[token]) - float(row.max())) / temperature > -760, "exp of less is zero"


@given(
    data=st.data(),
    samplings=st.lists(
        st.builds(
            Sampling,
            seeds,
            temperature=st.sampled_from([0.0, 0.3, 1.0, 1.7]),
            top_p=st.sampled_from([0.5, 1.0, 1.0, 1.0]),
        ),
        min_size=1,
        max_size=9,
    ),
    choices=st.integers(1, 95),
)
def test_rows_drawn_together_are_drawn_as_each_alone(
    data: st.DataObject, samplings: list[Sampling], choices: int
) -> None:
    source = np.random.default_rng(data.draw(st.integers(0, 1000)))
    logits = source.standard_normal((len(samplings), choices), dtype=np.float32) * 4
    at = data.draw(st.lists(positions, min_size=len(samplings), max_size=len(samplings)))
    alone = [sample(*row) for row in zip(logits, samplings, at, strict=True)]
    assert sample_rows(logits, samplings, at) == alone
