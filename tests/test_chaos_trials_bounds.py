"""What n trials allow to claim: exact bounds, held to published values, to identities and to simulation."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.trials import bounds


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    [
        (0, 20, 0.0, 0.1684),
        (3, 20, 0.0321, 0.3789),
        (10, 20, 0.2720, 0.7280),
        (20, 20, 0.8316, 1.0),
        (1, 1, 0.025, 1.0),
    ],
)
def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson(
    events: int, trials: int, low: float, high: float
) -> None:
    assert bounds.rate_interval(events, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("trials", [1, 5, 20, 59, 299])
def test_without_an_event_the_rate_is_below_one_minus_the_nth_root_of_5_percent(trials: int) -> None:
    assert bounds.rate_below(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials))
    assert bounds.share_below_maximum(trials) == pytest.approx(1 - bounds.rate_below(0, trials))


@pytest.mark.parametrize(("rate", "trials"), [(0.5, 5), (0.2, 14), (0.1, 29), (0.05, 59), (0.01, 299)])
def test_a_claim_says_how_many_trials_it_needs(rate: float, trials: int) -> None:
    assert bounds.trials_needed(rate) == trials
    assert bounds.rate_below(0, trials) <= rate < bounds.rate_below(0, trials - 1)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_bound_of_a_rate_is_exactly_where_what_was_seen_becomes_a_5_percent_surprise(
    seen: tuple[int, int],
) -> None:
    events, trials = seen
    high, low = bounds.rate_below(events, trials), bounds.rate_above(events, trials)
    assert 0 <= low <= events / trials <= high <= 1
    if events < trials:
        surprise = sum(math.comb(trials, k) * high**k * (1 - high) ** (trials - k) for k in range(events + 1))
        assert surprise == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize(("events", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_no_trials_bound_nothing(events: int, trials: int) -> None:
    with pytest.raises(ValueError, match="bound no rate"):
        bounds.rate_interval(events, trials)


def test_the_bound_of_a_quantile_lies_above_it_in_95_of_100_series() -> None:
    random, held, series = Random(5), 0, 3000
    for _ in range(series):
        ordered = sorted(random.random() for _ in range(20))
        at_most = bounds.quantile_at_most(ordered, 80)
        assert at_most is not None
        held += at_most >= 0.8
    assert held / series >= 0.945


def test_the_largest_bounds_a_quantile_from_as_many_trials_as_its_claim_needs() -> None:
    assert bounds.quantile_at_most([*map(float, range(59))], 95) == 58
    assert bounds.quantile_at_most([*map(float, range(58))], 95) is None
    assert bounds.quantile_at_most([], 50) is None
    assert bounds.quantile_at_most([1.0, 2.0, 3.0, 4.0, math.inf], 50) == math.inf


def test_the_curve_is_that_of_the_example_of_kaplan_and_meier() -> None:
    """JASA 53 (1958), 2: eight observations, 4 of them losses."""
    deaths, losses = (0.8, 3.1, 5.4, 9.2), (1.0, 2.7, 7.0, 12.1)
    values = [*((at, True) for at in deaths), *((at, False) for at in losses)]
    survival = [1 - share for _, share in bounds.kaplan_meier(values)]
    assert survival == pytest.approx([7 / 8, 7 / 10, 21 / 40, 21 / 80])


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_without_censored_trials_the_curve_is_the_share_that_had_recovered(values: list[float]) -> None:
    curve = bounds.kaplan_meier((value, True) for value in values)
    for at, share in curve:
        assert share == pytest.approx(sum(value <= at for value in values) / len(values))
    assert curve[-1][1] == pytest.approx(1)


def test_trials_that_never_recovered_keep_the_curve_from_reaching_the_top() -> None:
    [(at, share)] = bounds.kaplan_meier([(1.0, True), (25.0, False), (25.0, False)])
    assert (at, round(share, 9)) == (1.0, round(1 / 3, 9))
    assert bounds.kaplan_meier([(25.0, False)]) == ()
