import math

import numpy as np
import pytest

from chaos.measuring.drift import Drift, drift
from tests.support.dependent_requests import queue_ttft_s

BASELINE_S, PLAN_END_S, BOUND_S, TOLERATED = 28.0, 73.0, 0.5, 0.05


def drifting(slope: float, rate: float, seed: int) -> Drift | None:
    """A median TTFT of 100 ms + slope per second, 28 s long from 5 s on."""
    rng = np.random.default_rng(seed)
    at_s = 5 + np.cumsum(rng.exponential(1 / rate, int(rate * BASELINE_S)))
    ttft_s = (0.1 + slope * at_s) * np.exp(0.25 * rng.standard_normal(len(at_s)))
    return drift(at_s, ttft_s, BOUND_S, PLAN_END_S, TOLERATED)


def share_unsound(slope: float, rate: float, runs: int = 60) -> float:
    found = [drifting(slope, rate, seed) for seed in range(runs)]
    return sum(each is not None and each.reason is not None for each in found) / runs


@pytest.mark.parametrize("rate", [5, 16, 50, 200])
@pytest.mark.parametrize(("slope", "low", "high"), [(0.0, 0, 0.02), (0.001, 0, 0.02), (0.0035, 0.9, 1)])
def test_a_trend_that_meets_the_bound_within_the_plan_is_found_and_a_steady_baseline_is_none(
    slope: float, rate: float, low: float, high: float
) -> None:
    assert low <= share_unsound(slope, rate) <= high


@pytest.mark.parametrize("load", [0.5, 0.85, 0.95])
def test_the_waits_of_a_queue_wander_and_are_no_trend(load: float) -> None:
    ttft_s, n = queue_ttft_s(load) / 2, 450
    at_s = 5 + np.arange(n) / 16
    starts = np.random.default_rng(1).integers(0, len(ttft_s) - n, 200).tolist()
    found = [drift(at_s, ttft_s[start : start + n], BOUND_S, PLAN_END_S, TOLERATED) for start in starts]
    assert sum(each is not None and each.reason is not None for each in found) <= 2


def test_the_reason_says_where_the_trend_leads() -> None:
    found = drifting(0.004, 50, seed=1)
    assert found is not None
    assert found.slope == pytest.approx(0.004, rel=0.15)
    assert found.slope_interval[0] < 0.004 < found.slope_interval[1]
    assert found.slow_interval_at_end[0] <= found.slow_share_at_end <= found.slow_interval_at_end[1]
    assert found.reason is not None
    assert found.reason.startswith("the baseline drifts: its median TTFT grows by ")


def test_failures_and_a_shrinking_ttft_are_no_trend_and_few_answers_tell_none() -> None:
    at_s = np.linspace(5, 33, 400)
    falling = drift(at_s, 1.0 - 0.02 * at_s, BOUND_S, PLAN_END_S, TOLERATED)
    assert falling is not None
    assert falling.slope == pytest.approx(-0.02)
    assert falling.reason is None
    failing = np.where(np.arange(400) % 10 == 0, math.inf, 0.1)
    steady = drift(at_s, failing, BOUND_S, PLAN_END_S, TOLERATED)
    assert steady is not None
    assert (steady.reason, steady.slow_share) == (None, 0.0)
    assert drift(at_s[:39], failing[:39], BOUND_S, PLAN_END_S, TOLERATED) is None
    assert drift(np.zeros(100), np.full(100, 0.1), BOUND_S, PLAN_END_S, TOLERATED) is None
