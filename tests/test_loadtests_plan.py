import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.plan import PROCESSES, Plan

processes = st.sampled_from(PROCESSES)
rates = st.floats(0.5, 200)
durations = st.floats(0.1, 2)
seeds = st.integers(0, 2**32)
plans = st.builds(Plan, processes, rates, durations, seeds)


def test_a_plan_is_the_same_on_every_platform_and_version() -> None:
    plan = Plan("poisson", 18.0, 70.0, 42)

    assert len(plan.offsets_s) == 1234
    assert plan.offsets_s[:3] == (0.05667001595971116, 0.058077173684307766, 0.07594517724402808)
    assert plan.sha256 == "3f447d7d258860ccbfde00a2601fee5b4ff77a64457d8d408e7d7ad283cfe885"


@settings(deadline=None)
@given(plans)
def test_offsets_ascend_within_the_duration(plan: Plan) -> None:
    assert list(plan.offsets_s) == sorted(plan.offsets_s)
    assert all(0 <= offset_s < plan.duration_s for offset_s in plan.offsets_s)


@settings(deadline=None)
@given(rates, durations, seeds)
def test_constant_arrivals_are_exactly_one_gap_apart(rate_per_s: float, duration_s: float, seed: int) -> None:
    plan = Plan("constant", rate_per_s, duration_s, seed)

    gap = 1 / Fraction(rate_per_s)
    assert plan.offsets_s == tuple(float(index * gap) for index in range(len(plan.offsets_s)))
    assert float(len(plan.offsets_s) * gap) >= duration_s


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_poisson_gaps_have_the_mean_and_the_spread_of_an_exponential(seed: int) -> None:
    plan = Plan("poisson", 1000.0, 4.0, seed)
    gaps_s = [later - earlier for earlier, later in pairwise((0.0, *plan.offsets_s))]

    # 4,000 expected, standard deviation sqrt(4,000) = 63; seven of them leave one seed in 10^12 outside.
    assert abs(len(gaps_s) - 4000) < 7 * 63.3
    longer_than_the_mean = sum(gap_s > 0.001 for gap_s in gaps_s) / len(gaps_s)
    assert abs(longer_than_the_mean - math.exp(-1)) < 7 * 0.0077


def test_a_ramp_is_the_same_on_every_platform_and_version() -> None:
    ramp = Plan("poisson", 100.0, 8.0, 42, 1.0)

    assert len(ramp.offsets_s) == 177
    assert ramp.sha256 == "d09f0332d49845f830251457bb151d9649f7add7624cb78d49d7d89325f0985e"


@settings(deadline=None)
@given(rates, st.floats(1.01, 500), durations, seeds)
def test_an_even_ramp_has_as_many_arrivals_by_each_instant_as_its_rate_adds_up_to(
    from_per_s: float, times: float, duration_s: float, seed: int
) -> None:
    ramp = Plan("constant", min(from_per_s * times, 2000.0) + 0.1, duration_s, seed, from_per_s)

    growth = math.log(ramp.rate_per_s / from_per_s) / duration_s
    assert ramp.offsets_s[0] == 0.0
    for index, offset_s in enumerate(ramp.offsets_s):
        assert from_per_s * math.expm1(growth * offset_s) / growth == pytest.approx(index, rel=1e-6, abs=1e-6)
    assert (ramp.rate_per_s - from_per_s) / growth <= len(ramp.offsets_s) + 1e-6, "the last ones too"


@settings(deadline=None)
@given(seeds)
def test_the_rate_of_a_ramp_doubles_in_equal_times(seed: int) -> None:
    ramp = Plan("poisson", 1600.0, 4.0, seed, 100.0)
    by_second = [sum(second <= at_s < second + 1 for at_s in ramp.offsets_s) for second in range(4)]

    assert list(ramp.offsets_s) == sorted(ramp.offsets_s)
    # 144, 289, 577 and 1,154 expected; six standard deviations of a Poisson count.
    for count, expected in zip(by_second, (144.3, 288.5, 577.1, 1154.2), strict=True):
        assert abs(count - expected) < 6 * math.sqrt(expected)


@pytest.mark.parametrize("from_per_s", [0.0, -1.0, 10.0, 11.0, math.nan, math.inf])
def test_a_ramp_that_does_not_rise_is_refused(from_per_s: float) -> None:
    with pytest.raises(ValueError, match="from_per_s must be positive and below rate_per_s, not"):
        Plan("constant", 10.0, 1.0, 1, from_per_s)


@settings(deadline=None)
@given(plans, st.integers(1, 9))
def test_slices_of_all_workers_are_the_plan_cut_by_index(plan: Plan, workers: int) -> None:
    slices = [plan.slice(worker, workers) for worker in range(workers)]

    assert sorted(arrival for part in slices for arrival in part) == list(enumerate(plan.offsets_s))
    assert all(index % workers == worker for worker, part in enumerate(slices) for index, _ in part)


@settings(deadline=None)
@given(plans)
def test_equal_values_give_equal_plans_and_another_seed_another_plan(plan: Plan) -> None:
    twin = Plan(plan.process, plan.rate_per_s, plan.duration_s, plan.seed)
    assert twin.offsets_s == plan.offsets_s
    assert twin.sha256 == plan.sha256
    other = Plan("poisson", 100.0, 1.0, plan.seed + 1)
    assert other.sha256 != Plan("poisson", 100.0, 1.0, plan.seed).sha256


@pytest.mark.parametrize(
    ("process", "rate_per_s", "duration_s", "complaint"),
    [
        ("gamma", 1.0, 1.0, "arrivals must be one of poisson, constant, not 'gamma'"),
        ("poisson", 0.0, 1.0, "rate_per_s must be positive and finite, not 0.0"),
        ("poisson", -1.0, 1.0, "rate_per_s must be positive and finite, not -1.0"),
        ("poisson", math.nan, 1.0, "rate_per_s must be positive and finite, not nan"),
        ("constant", 1.0, math.inf, "duration_s must be positive and finite, not inf"),
    ],
    ids=["process", "zero rate", "negative rate", "no rate", "endless"],
)
def test_a_plan_that_makes_no_sense_is_refused(
    process: str, rate_per_s: float, duration_s: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Plan(process, rate_per_s, duration_s, 1)  # type: ignore[arg-type]  # what the test is about
