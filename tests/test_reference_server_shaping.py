"""Shaped draws: each field changes the frequencies as its definition says, and what is told is the model's own word."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from reference_server.sampler import Sampling, Shaping, sample
from reference_server.shaping import History, draw_shaped, shaped_logits

PROBABILITIES = [0.5, 0.25, 0.15, 0.1]
LOGITS = np.log(np.array(PROBABILITIES, dtype=np.float32))
ALL = np.arange(4)
NOTHING = History((), 0)


def shares(
    shaping: Shaping, history: History = NOTHING, *, draws: int = 3000, **sampling: Any
) -> list[float]:
    """Share of each of the four tokens over many positions."""
    asked = Sampling(3, shaping=shaping, **sampling)
    counts = Counter(draw_shaped(LOGITS, ALL, asked, history, position)[0] for position in range(draws))
    return [counts[token] / draws for token in range(4)]


def normalised(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(("seed", "temperature", "top_p"), [(1, 0.0, 1.0), (2, 0.7, 1.0), (3, 1.3, 0.6)])
def test_a_shaping_that_asks_for_nothing_draws_what_is_drawn_without(
    seed: int, temperature: float, top_p: float
) -> None:
    plain, shaped = Sampling(seed, temperature, top_p), Sampling(seed, temperature, top_p, Shaping())
    for position in range(300):
        assert draw_shaped(LOGITS, ALL, shaped, NOTHING, position) == (sample(LOGITS, plain, position), None)


def test_a_bias_is_added_to_the_logit() -> None:
    found = shares(Shaping(bias=((2, math.log(4)), (0, -100.0))))
    assert found == pytest.approx(normalised([0, 0.25, 0.6, 0.1]), abs=0.03)
    assert found[0] == 0


def test_presence_counts_a_token_of_the_answer_once_and_frequency_each_time() -> None:
    history = History([3, 3, 0, 1, 1, 1], prompt=2)  # of the prompt, nothing is counted
    once = shares(Shaping(presence=math.log(2)), history)
    assert once == pytest.approx(normalised([0.25, 0.125, 0.15, 0.1]), abs=0.03)
    each = shares(Shaping(frequency=math.log(2)), history)
    assert each == pytest.approx(normalised([0.25, 0.25 / 8, 0.15, 0.1]), abs=0.03)


def test_repetition_counts_prompt_and_answer_and_makes_any_logit_less() -> None:
    logits = np.array([2.0, -2.0, 1.0, -1.0], dtype=np.float32)
    shaped = shaped_logits(logits, Shaping(repetition=2.0), History([0, 1], prompt=1))
    assert shaped.tolist() == [1.0, -4.0, 1.0, -1.0]


def test_top_k_keeps_the_likeliest_and_of_equals_the_earlier() -> None:
    assert shares(Shaping(top_k=2)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)
    flat = np.zeros(4, dtype=np.float32)
    drawn = {draw_shaped(flat, ALL, Sampling(1, shaping=Shaping(top_k=3)), NOTHING, i)[0] for i in range(200)}
    assert drawn == {0, 1, 2}


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest() -> None:
    assert shares(Shaping(min_p=0.29)) == pytest.approx(normalised([0.5, 0.25, 0.15, 0]), abs=0.03)
    assert shares(Shaping(min_p=0.31)) == pytest.approx(normalised([0.5, 0.25, 0, 0]), abs=0.03)
    # After the temperature: a flat distribution keeps all.
    assert min(shares(Shaping(min_p=0.4), temperature=2.0)) > 0


def test_a_nucleus_is_of_what_top_k_left() -> None:
    assert shares(Shaping(top_k=2), top_p=0.6) == [1.0, 0, 0, 0]
    assert shares(Shaping(top_k=2), top_p=0.7)[1] > 0.2


def test_nothing_barred_is_drawn_before_its_time() -> None:
    shaping = Shaping(min_tokens=2, barred=frozenset({0, 1}))
    assert shares(shaping, History([3, 3, 3], prompt=2))[:2] == [0, 0]
    assert shares(shaping, History([3, 3, 3, 3], prompt=2))[0] == pytest.approx(0.5, abs=0.03)


def test_temperature_zero_takes_the_likeliest_of_the_shaped() -> None:
    assert shares(Shaping(bias=((3, 5.0),), top_k=1), temperature=0.0, draws=20) == [0, 0, 0, 1.0]


def test_what_is_told_is_the_models_own_word_of_what_may_be_drawn() -> None:
    shaping = Shaping(bias=((1, 100.0),), logprobs=3)
    choices = np.array([0, 1, 3])
    token, told = draw_shaped(LOGITS, choices, Sampling(1, temperature=0.3, shaping=shaping), NOTHING, 5)
    assert token == 1
    assert told is not None
    assert told.logprob == pytest.approx(math.log(0.25 / 0.85), abs=1e-5)
    assert [each[0] for each in told.top] == [0, 1, 3]
    assert sum(math.exp(logprob) for _, logprob in told.top) == pytest.approx(1)


def test_none_of_the_likeliest_can_be_asked_for() -> None:
    told = draw_shaped(LOGITS, ALL, Sampling(1, shaping=Shaping(logprobs=0)), NOTHING, 5)[1]
    assert told is not None
    assert told.top == ()
