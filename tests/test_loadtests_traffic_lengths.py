import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loadtests.plan import Plan
from loadtests.spec import LoadSpec
from loadtests.traffic.figures import quantile
from loadtests.traffic.lengths import Lengths, draw

TABLE = {"p0": 10, "p50": 100, "p90": 1000, "p99": 1000, "p100": 4000}


def drawn(length: int | Lengths, number: int = 40_000, scale: float = 1.0, seed: int = 1) -> Any:
    return draw(length, number, np.random.default_rng(seed), scale)


def assert_quantile(values: Any, percent: float, expected: float) -> None:
    """By ranks: the share at or below what is expected lies within five standard deviations of the percentage."""
    share = percent / 100
    slack = 5 * math.sqrt(share * (1 - share) / len(values))
    assert (values < expected - 0.5).mean() - slack <= share <= (values <= expected + 0.5).mean() + slack


@pytest.mark.parametrize("percent", [10, 50, 90, 99])
def test_log_normal_lengths_have_the_quantiles_of_a_log_normal(percent: float) -> None:
    values = drawn(Lengths(median=800.0, sigma=0.9))
    assert_quantile(values, percent, 800 * math.exp(0.9 * NormalDist().inv_cdf(percent / 100)))


@pytest.mark.parametrize("percent", [0.1, 25, 50, 75, 99.9])
def test_truncated_lengths_are_what_is_left_of_the_distribution_and_not_piled_up(percent: float) -> None:
    normal, low, high = NormalDist(math.log(100), 1.5), math.log(50), math.log(400)
    values = drawn(Lengths(median=100.0, sigma=1.5, at_least=50, at_most=400))
    share = normal.cdf(low) + percent / 100 * (normal.cdf(high) - normal.cdf(low))
    assert_quantile(values, percent, math.exp(normal.inv_cdf(share)))
    assert values.min() >= 50
    assert values.max() <= 400
    assert (values == 400).mean() < 0.003


@pytest.mark.parametrize(("name", "expected"), TABLE.items())
def test_a_table_of_quantiles_is_met_at_each_of_its_points(name: str, expected: int) -> None:
    values = drawn(Lengths(quantiles=TABLE))
    assert_quantile(values, float(name[1:]), expected)
    assert 10 <= values.min() <= values.max() <= 4000


def test_a_table_may_be_truncated_too() -> None:
    values = drawn(Lengths(quantiles=TABLE, at_most=100, at_least=20))
    assert (values.min(), values.max()) == (20, 100)
    assert quantile(values, 50) < 60


def test_lengths_are_scaled_and_never_below_one_token() -> None:
    assert drawn(64, 3, 0.5).tolist() == [32, 32, 32]
    assert drawn(64, 2, 0.001).tolist() == [1, 1]
    assert drawn(Lengths(quantiles=TABLE), scale=0.1).max() <= 400
    assert drawn(Lengths(quantiles=TABLE), scale=0.001).min() == 1


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63), st.integers(1, 50))
def test_the_length_of_an_arrival_is_the_same_in_a_longer_plan(seed: int, number: int) -> None:
    spec = LoadSpec(
        url="",
        rate_per_s=1.0,
        arrivals="constant",
        duration_s=float(number),
        seed=seed,
        prompt_tokens=Lengths(median=100.0, sigma=1.0),
        output_tokens=Lengths(quantiles=TABLE),
    )
    short, long = Plan.of(spec), Plan.of(spec.but(duration_s=number + 50.0))
    assert long.arrivals[:number] == short.arrivals


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "either median and sigma, or quantiles"),
        ({"median": 3.0}, "either median and sigma, or quantiles"),
        ({"median": 3.0, "sigma": 1.0, "quantiles": TABLE}, "either median and sigma, or quantiles"),
        ({"quantiles": {"p0": 1, "p50": 2}}, "quantiles named p0 to p100, with both ends"),
        ({"quantiles": {"p0": 1, "p100": 2, "p101": 3}}, "quantiles named p0 to p100, with both ends"),
        ({"quantiles": {"p0": 1, "p100": 2, "mean": 3}}, "quantiles named p0 to p100, with both ends"),
        ({"quantiles": {"p0": 1, "p100": 2, "p9": 3}}, "quantiles that do not fall"),
        ({"quantiles": {"p0": 0, "p100": 2}}, "greater than or equal to 1"),
        ({"median": 3.0, "sigma": 1.0, "at_least": 9, "at_most": 8}, "at_most from at_least up"),
        ({"median": -1.0, "sigma": 1.0}, "greater than 0"),
    ],
)
def test_a_distribution_that_makes_no_sense_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Lengths.model_validate(values)
