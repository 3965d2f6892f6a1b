import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.measuring.beta import beta_point, beta_share
from chaos.measuring.dependence import dependence
from chaos.measuring.intervals import Interval, exactly, quantile_interval, quantile_meets, share_interval
from chaos.measuring.quantiles import binomial_point, interval_ranks
from chaos.measuring.student import student_point
from tests.support.dependent_requests import Floats, independent_ttft_s, queue_ttft_s

STRETCHES = 120


def stretches(of_s: Floats, n: int) -> list[Floats]:
    starts = np.random.default_rng(n).integers(0, len(of_s) - n, STRETCHES)
    return [of_s[start : start + n] for start in starts.tolist()]


def held(intervals: list[Interval], true: float) -> float:
    stated = [each for each in intervals if each.reason is None]
    assert len(stated) > STRETCHES / 4
    return sum(each.low <= true <= each.high for each in stated) / len(stated)


WORLDS: list[tuple[str, Callable[[], Floats], int]] = [
    ("independent", lambda: independent_ttft_s(200_000), 100),
    ("independent", lambda: independent_ttft_s(200_000), 1000),
    ("queue at 0.5", lambda: queue_ttft_s(0.5), 400),
    ("queue at 0.7", lambda: queue_ttft_s(0.7), 1000),
    ("queue at 0.85", lambda: queue_ttft_s(0.85), 3000),
]


@pytest.mark.parametrize(("ttft_s", "n"), [pytest.param(*world, id=name) for name, *world in WORLDS])
def test_an_interval_holds_the_long_run_share_and_quantile_of_a_queue_too(
    ttft_s: Callable[[], Floats], n: int
) -> None:
    of_s = ttft_s()
    cut = stretches(of_s, n)
    for share in (0.05, 0.3):
        bound_s = float(np.quantile(of_s, 1 - share))
        assert held([share_interval(each > bound_s, each) for each in cut], share) >= 0.9
    assert held([quantile_interval(each, 95) for each in cut], float(np.quantile(of_s, 0.95))) >= 0.9


def test_independent_requests_are_hardly_worth_less_than_they_are() -> None:
    worths = [dependence(each > 0.06, each).worth for each in stretches(independent_ttft_s(200_000), 400)]
    assert float(np.median(worths)) == 400


def test_a_stretch_that_waits_as_a_whole_says_nothing_and_says_why() -> None:
    waiting = np.repeat([0.1, 5.0], 150)
    interval = share_interval(waiting > 1, waiting)
    assert interval.reason is not None
    assert interval.reason.startswith("the requests depend on each other: 300 of them are worth about")
    assert interval.meets("<=", 1.0) is None


def test_what_a_stretch_itself_was_needs_no_steady_state() -> None:
    outage = np.array([math.inf] * 48 + [0.1] * 29)
    assert quantile_meets(outage, 99, "<=", 1.0) is None
    assert quantile_meets(outage, 99, "<=", 1.0, steady=False) is False


CLAIMS = [
    ([0.1] * 368, 99.0, "<=", 0.5, True),
    ([0.1] * 367, 99.0, "<=", 0.5, None),
    ([1.0] * 59, 99.0, "<=", 0.5, False),
    ([0.1] * 6, 50.0, "<=", 0.5, True),
    ([0.5] * 368, 99.0, "<", 0.5, False),
    ([0.5] * 368, 99.0, "<=", 0.5, True),
    ([1.0] * 368, 99.0, ">=", 1.0, True),
    ([1.0] * 368, 99.0, ">", 1.0, False),
    ([1.0] * 368, 99.0, "==", 2.0, False),
    ([1.0] * 368, 99.0, "==", 1.0, True),
    ([], 99.0, "<=", 0.5, None),
]


@pytest.mark.parametrize(("values", "percent", "operator", "bound", "met"), CLAIMS)
def test_a_claim_about_a_quantile_is_met_refuted_or_open(
    values: list[float], percent: float, operator: str, bound: float, *, met: bool | None
) -> None:
    assert quantile_meets(values, percent, operator, bound) is met


def test_a_false_claim_seldom_passes_and_a_true_one_seldom_deviates() -> None:
    values = independent_ttft_s(400_000, seed=4)
    cut = [values[start : start + 400] for start in range(0, 400_000, 400)]
    one_and_a_half, half = (float(np.quantile(values, 1 - share)) for share in (0.015, 0.005))
    assert sum(quantile_meets(each, 99, "<=", one_and_a_half) is True for each in cut) <= 0.05 * len(cut)
    assert sum(quantile_meets(each, 99, "<=", half) is False for each in cut) <= 0.05 * len(cut)


def test_twelve_good_requests_do_not_prove_a_goodput_and_one_bad_count_is_certain() -> None:
    assert share_interval([True] * 12, steady=False).meets(">=", 0.999) is None
    assert exactly(1, 12).meets("==", 0) is False
    assert exactly(0, 12).meets("==", 0) is True
    assert exactly(math.inf, 12).meets("<=", 0.5) is False


@given(st.integers(368, 5000), st.sampled_from([50.0, 90.0, 95.0, 99.0]))
def test_where_nothing_depends_the_ranks_are_those_of_the_binomial(n: int, percent: float) -> None:
    ranks = np.random.default_rng(n).permutation(np.arange(1, n + 1))
    interval = quantile_interval(ranks, percent, steady=False)
    assert (interval.low, interval.high) == interval_ranks(n, percent)


@given(st.integers(1, 400), st.floats(0.01, 0.99))
def test_the_exact_interval_agrees_with_sums_of_the_binomial(n: int, level: float) -> None:
    # P(Binomial(n, x) <= k) = 1 - P(Beta(k + 1, n - k) <= x)
    x = 0.3
    k = binomial_point(n, x, level)
    if k < n:
        assert 1 - beta_share(x, k + 1, n - k) >= level - 1e-9
    if k > 0:
        assert 1 - beta_share(x, k, n - k + 1) < level + 1e-9


def test_quantiles_of_the_beta_and_student_distributions_are_those_of_the_tables() -> None:
    assert beta_point(0.975, 1, 100) == pytest.approx(1 - 0.025 ** (1 / 100), abs=1e-9)
    assert beta_point(0.5, 7.5, 7.5) == pytest.approx(0.5, abs=1e-9)
    for freedom, point in ((3, 3.1824), (5, 2.5706), (15, 2.1314), (math.inf, 1.96)):
        assert student_point(0.975, freedom) == pytest.approx(point, rel=0.01)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["<=", "<", ">=", ">", "==", "!="]))
def test_a_claim_is_met_when_every_value_of_the_interval_meets_it(
    one: float, other: float, bound: float, operator: str
) -> None:
    low, high = min(one, other), max(one, other)
    compare = {"<=": "__le__", "<": "__lt__", ">=": "__ge__", ">": "__gt__", "==": "__eq__", "!=": "__ne__"}
    inside = {low, high, *([bound] if low <= bound <= high else [])}
    answers = {getattr(value, compare[operator])(bound) for value in inside}
    expected = answers.pop() if len(answers) == 1 else None
    assert Interval(low, high, 100, 100.0).meets(operator, bound) is expected


@pytest.mark.parametrize(("flag", "n"), [(True, 1), (True, 5), (False, 1), (False, 5)])
def test_few_requests_state_something_wide_and_none_at_all_nothing(n: int, *, flag: bool) -> None:
    interval = share_interval([flag] * n)
    assert interval.reason is None
    assert interval.high - interval.low > 0.5
    assert share_interval([]).reason == "there are only 0 requests"
