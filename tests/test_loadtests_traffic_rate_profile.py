"""Rate profiles and processes: each process with each profile, held to the rate that was declared."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loadtests.declared import Process
from loadtests.plan import Plan
from loadtests.spec import LoadSpec
from loadtests.traffic.figures import coefficient_of_variation, dispersion
from loadtests.traffic.processes import unit_instants
from loadtests.traffic.rate_profile import (
    Course,
    Diurnal,
    Drift,
    OnOff,
    Ramp,
    RateProfile,
    Spike,
    Step,
    course,
)

PROFILES = {
    "none": None,
    "on_off": RateProfile(on_off=OnOff(on_s=7.0, off_s=11.0, factor=2.0, off_factor=0.25)),
    "silences": RateProfile(on_off=OnOff(on_s=7.0, off_s=11.0)),
    "random": RateProfile(on_off=OnOff(on_s=7.0, off_s=11.0, random=True)),
    "steps": RateProfile(
        steps=(Step(at_s=20.0, factor=2.0), Step(at_s=30.0, factor=0.0), Step(at_s=40.0, factor=0.5))
    ),
    "ramp": RateProfile(ramp=Ramp(from_factor=0.0, to_factor=3.0, start_s=10.0, end_s=50.0)),
    "open ramp": RateProfile(ramp=Ramp(from_factor=2.0, to_factor=0.0)),
    "spike": RateProfile(spike=Spike(at_s=30.0, lasts_s=5.0, factor=8.0)),
    "spike at the end": RateProfile(spike=Spike(at_s=98.0, lasts_s=5.0, factor=8.0)),
    "step after the end": RateProfile(steps=(Step(at_s=200.0, factor=3.0),)),
    "diurnal": RateProfile(diurnal=Diurnal(period_s=40.0, amplitude=0.8, peak_at_s=10.0)),
    "drift": RateProfile(drift=Drift(spread=0.4, over_s=10.0)),
}
LASTS_S = 100.0
profiles = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def arrivals(profile: RateProfile | None, process: Process, seed: int = 1, rate_per_s: float = 50.0) -> Any:
    burstiness = 0.25 if process == "gamma" else 1.0
    spec = LoadSpec(
        url="",
        rate_per_s=rate_per_s,
        duration_s=LASTS_S,
        seed=seed,
        arrivals=process,
        burstiness=burstiness,
        rate_profile=profile,
    )
    return np.array(Plan.of(spec).offsets_s)


def expected_by(factor: Course, at_s: Any, rate_per_s: float = 50.0) -> Any:
    """The integral of the rate, summed in steps of a millisecond: another way than the one that is tested."""
    grid_s = np.arange(0, LASTS_S, 1e-3) + 5e-4
    values = np.interp(grid_s, factor.at_s, factor.factor)
    return np.interp(
        at_s, np.append(0.0, grid_s + 5e-4), np.append(0.0, np.cumsum(values) * 1e-3 * rate_per_s)
    )


@profiles
def test_even_arrivals_come_where_the_rate_adds_up_to_the_next_whole_number(
    profile: RateProfile | None,
) -> None:
    at_s = arrivals(profile, "constant")

    reached = expected_by(course(profile, LASTS_S, 1), at_s)
    assert np.all(np.diff(at_s) >= 0)
    assert np.all((at_s >= 0) & (at_s < LASTS_S))
    # A jump inside a millisecond of the sum above is worth up to eight times fifty arrivals a second.
    assert np.abs(reached - np.arange(len(at_s))).max() < 0.5
    assert len(at_s) == pytest.approx(expected_by(course(profile, LASTS_S, 1), LASTS_S), abs=1.0)


@pytest.mark.parametrize("process", ["constant", "poisson", "gamma"])
def test_nothing_arrives_in_a_silence_not_even_at_its_edge(process: Process) -> None:
    at_s = arrivals(PROFILES["silences"], process)
    assert len(at_s) > 1500
    assert (at_s % 18.0).max() < 7.0


@profiles
@pytest.mark.parametrize("process", ["poisson", "gamma"])
def test_random_arrivals_have_the_rate_of_their_profile_in_each_part_of_it(
    profile: RateProfile | None, process: Process
) -> None:
    seeds = range(40)
    edges_s = np.linspace(0, LASTS_S, 11)
    counts = np.array([np.histogram(arrivals(profile, process, seed), edges_s)[0] for seed in seeds])
    each = [np.diff(expected_by(course(profile, LASTS_S, seed), edges_s)) for seed in seeds]

    # Variance by mean is 1 for Poisson and at most 1 / burstiness for gamma; six standard deviations of the sum.
    variance = 1.0 if process == "poisson" else 4.0
    expected = np.sum(each, axis=0)
    assert np.all(np.abs(counts.sum(axis=0) - expected) < 6 * np.sqrt(variance * expected) + 3)


@profiles
def test_a_profile_is_the_declared_factor_and_random_ones_have_it_in_the_mean(
    profile: RateProfile | None,
) -> None:
    factor = course(profile, LASTS_S, 7)
    assert factor.at_s[0] == 0.0
    assert factor.at_s[-1] == LASTS_S
    assert np.all(np.diff(factor.at_s) >= 0)
    assert np.all(factor.factor >= 0)
    if profile is not None and profile.drift is not None:
        assert factor.expected_s[-1] == pytest.approx(LASTS_S)
    if profile is not None and profile.on_off is not None and profile.on_off.random:
        assert factor.expected_s[-1] == pytest.approx(LASTS_S * 7 / 18), (
            "exactly the share of bursts, in every plan"
        )


@settings(deadline=None)
@given(st.floats(0.05, 20), st.floats(1, 2000), st.integers(-(2**63), 2**63))
def test_gaps_have_the_mean_and_the_spread_that_the_burstiness_says(
    burstiness: float, expected: float, seed: int
) -> None:
    at = unit_instants("gamma", burstiness, expected, np.random.default_rng(abs(seed)))
    assert np.all(np.diff(at) >= 0)
    assert not len(at) or at[-1] < expected
    # A renewal process in equilibrium: mean `expected`, variance about expected / burstiness plus (1 + 1/b)^2 / 6.
    deviation = math.sqrt(expected / burstiness + (1 + 1 / burstiness) ** 2)
    assert abs(len(at) - expected) < 9 * deviation + 2


@pytest.mark.parametrize("burstiness", [0.1, 0.25, 0.5, 1.0, 4.0])
def test_the_coefficient_of_variation_of_gamma_gaps_is_one_by_the_root_of_the_burstiness(
    burstiness: float,
) -> None:
    spec = LoadSpec(
        url="", rate_per_s=100.0, duration_s=2000.0, seed=3, arrivals="gamma", burstiness=burstiness
    )
    at_s = np.array(Plan.of(spec).offsets_s)
    assert coefficient_of_variation(np.diff(at_s)) == pytest.approx(1 / math.sqrt(burstiness), rel=0.03)
    assert dispersion(at_s, 10.0, 2000.0) == pytest.approx(1 / burstiness, rel=0.35)
    assert len(at_s) == pytest.approx(200_000, rel=6 / math.sqrt(200_000 * burstiness))


def test_bursty_arrivals_are_as_many_in_their_first_second_as_in_any_other() -> None:
    counts = [0, 0]
    for seed in range(400):
        spec = LoadSpec(url="", rate_per_s=4.0, duration_s=20.0, seed=seed, arrivals="gamma", burstiness=0.1)
        at_s = np.array(Plan.of(spec).offsets_s)
        counts[0] += int((at_s < 1).sum())
        counts[1] += int((at_s >= 19).sum())
    # 1,600 expected each, variance by mean up to 10: a gap drawn anew at 0 would lose more than a third of them.
    assert all(abs(count - 1600) < 5 * math.sqrt(16_000) for count in counts), counts


def test_a_longer_plan_begins_with_the_shorter_one() -> None:
    specs = [
        LoadSpec(url="", rate_per_s=20.0, duration_s=duration_s, seed=5, arrivals="gamma", burstiness=0.5)
        for duration_s in (30.0, 90.0)
    ]
    short, long = (Plan.of(spec).offsets_s for spec in specs)
    assert long[: len(short)] == short


def test_batches_leave_together_at_multiples_of_their_time() -> None:
    spec = LoadSpec(url="", rate_per_s=7.0, duration_s=60.0, seed=5, batch_every_s=3.0)
    one_by_one = Plan.of(spec.but(batch_every_s=None)).offsets_s
    together = Plan.of(spec).offsets_s
    assert set(together) <= {3.0 * tick for tick in range(20)}
    assert together == tuple(at for at in (3.0 * math.ceil(each / 3.0) for each in one_by_one) if at < 60.0)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "exactly one of on_off, steps, ramp, spike, diurnal, drift"),
        (
            {"spike": {"at_s": 1.0, "lasts_s": 1.0, "factor": 2.0}, "drift": {"spread": 0.1, "over_s": 1.0}},
            "exactly one",
        ),
        (
            {"steps": [{"at_s": 2.0, "factor": 2.0}, {"at_s": 2.0, "factor": 3.0}]},
            "steps each at a later time",
        ),
        (
            {"ramp": {"from_factor": 1.0, "to_factor": 2.0, "start_s": 5.0, "end_s": 5.0}},
            "a ramp whose end is after",
        ),
        ({"diurnal": {"period_s": 5.0, "amplitude": 1.5}}, "less than or equal to 1"),
        ({"spike": {"at_s": -1.0, "lasts_s": 1.0, "factor": 2.0}}, "greater than or equal to 0"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RateProfile.model_validate(values)


def test_the_plan_of_each_new_kind_is_the_one_that_was_recorded() -> None:
    gamma = LoadSpec(url="", rate_per_s=10.0, duration_s=2.0, seed=42, arrivals="gamma", burstiness=0.5)
    assert Plan.of(gamma).offsets_s[:3] == RECORDED["gamma"]
    spiked = gamma.but(arrivals="poisson", burstiness=1.0, rate_profile=PROFILES["diurnal"])
    assert Plan.of(spiked).offsets_s[:3] == RECORDED["diurnal"]


RECORDED: dict[str, tuple[float, ...]] = {
    "gamma": (0.182480818, 0.184782414, 0.228180434),
    "diurnal": (0.019401256, 0.028169926, 0.076089834),
}
