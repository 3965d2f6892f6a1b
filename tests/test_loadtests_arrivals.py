import hashlib
import math
import struct
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.arrivals import instants
from loadtests.spec import Process

processes: st.SearchStrategy[Process] = st.sampled_from(["poisson", "constant"])
rates = st.floats(0.5, 200)
durations = st.floats(0.1, 2)
seeds = st.integers(0, 2**32)


def sha256(offsets_s: tuple[float, ...]) -> str:
    """Of the instants, to the last bit."""
    return hashlib.sha256(struct.pack(f"<{len(offsets_s)}d", *offsets_s)).hexdigest()


@pytest.mark.parametrize(
    ("values", "arrivals", "first_s", "hashed"),
    [
        (
            ("poisson", 18.0, 70.0, 42),
            1234,
            (0.05667001595971116, 0.058077173684307766, 0.07594517724402808),
            "3f447d7d258860ccbfde00a2601fee5b4ff77a64457d8d408e7d7ad283cfe885",
        ),
        (
            ("poisson", 15.0, 75.0, 7),
            1156,
            (0.026087656282320282, 0.03698888674935216, 0.10715526128741396),
            "760d1f4a12e6b671ba852e421286eb445c7dad5817126e23ad1628dcca7ed1de",
        ),
        (
            ("constant", 40.0, 10.0, 1),
            400,
            (0.0, 0.025, 0.05),
            "949f3de1be74a4d237d7fe0fd72674327dd20b91ecddd322eb7a6902c3d1253c",
        ),
        (
            ("poisson", 100.0, 8.0, 42, 1.0),
            177,
            None,
            "d09f0332d49845f830251457bb151d9649f7add7624cb78d49d7d89325f0985e",
        ),
        (
            ("constant", 2000.0, 12.667836995, 6, 1.0),
            3332,
            (0.0, 0.783335210194575, 1.314084929693009),
            "3cc5acd5aa710738875f896b4f4eef8673bf65df462047975226401c7bf0e3f5",
        ),
    ],
    ids=["the demo", "poisson", "constant", "a random ramp", "the first ramp of a measurement"],
)
def test_instants_are_those_that_were_once_recorded_on_every_platform_and_version(
    values: Any, arrivals: int, first_s: tuple[float, ...] | None, hashed: str
) -> None:
    offsets_s = instants(*values)

    assert len(offsets_s) == arrivals
    assert first_s in (None, offsets_s[:3])
    assert sha256(offsets_s) == hashed


@settings(deadline=None)
@given(processes, rates, durations, seeds)
def test_instants_ascend_within_the_duration(
    process: Process, rate_per_s: float, duration_s: float, seed: int
) -> None:
    offsets_s = instants(process, rate_per_s, duration_s, seed)

    assert list(offsets_s) == sorted(offsets_s)
    assert all(0 <= offset_s < duration_s for offset_s in offsets_s)


@settings(deadline=None)
@given(rates, durations, seeds)
def test_constant_arrivals_are_exactly_one_gap_apart(rate_per_s: float, duration_s: float, seed: int) -> None:
    offsets_s = instants("constant", rate_per_s, duration_s, seed)

    gap = 1 / Fraction(rate_per_s)
    assert offsets_s == tuple(float(index * gap) for index in range(len(offsets_s)))
    assert float(len(offsets_s) * gap) >= duration_s


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_poisson_gaps_have_the_mean_and_the_spread_of_an_exponential(seed: int) -> None:
    offsets_s = instants("poisson", 1000.0, 4.0, seed)
    gaps_s = [later - earlier for earlier, later in pairwise((0.0, *offsets_s))]

    # 4,000 expected, standard deviation sqrt(4,000) = 63; seven of them leave one seed in 10^12 outside.
    assert abs(len(gaps_s) - 4000) < 7 * 63.3
    longer_than_the_mean = sum(gap_s > 0.001 for gap_s in gaps_s) / len(gaps_s)
    assert abs(longer_than_the_mean - math.exp(-1)) < 7 * 0.0077


@settings(deadline=None)
@given(rates, st.floats(1.01, 500), durations, seeds)
def test_an_even_ramp_has_as_many_arrivals_by_each_instant_as_its_rate_adds_up_to(
    from_per_s: float, times: float, duration_s: float, seed: int
) -> None:
    to_per_s = min(from_per_s * times, 2000.0) + 0.1
    offsets_s = instants("constant", to_per_s, duration_s, seed, from_per_s)

    growth = math.log(to_per_s / from_per_s) / duration_s
    assert offsets_s[0] == 0.0
    for index, offset_s in enumerate(offsets_s):
        assert from_per_s * math.expm1(growth * offset_s) / growth == pytest.approx(index, rel=1e-6, abs=1e-6)
    assert (to_per_s - from_per_s) / growth <= len(offsets_s) + 1e-6, "the last ones too"


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_the_rate_of_a_ramp_doubles_in_equal_times(seed: int) -> None:
    offsets_s = instants("poisson", 1600.0, 4.0, seed, 100.0)
    by_second = [sum(second <= at_s < second + 1 for at_s in offsets_s) for second in range(4)]

    assert list(offsets_s) == sorted(offsets_s)
    # 144, 289, 577 and 1,154 expected; six standard deviations of a Poisson count.
    for count, expected in zip(by_second, (144.3, 288.5, 577.1, 1154.2), strict=True):
        assert abs(count - expected) < 6 * math.sqrt(expected)


@pytest.mark.parametrize("from_per_s", [-1.0, 10.0, 11.0, math.nan, math.inf])
def test_a_ramp_that_does_not_rise_is_refused(from_per_s: float) -> None:
    with pytest.raises(ValueError, match="from_per_s must be positive and below rate_per_s, not"):
        instants("constant", 10.0, 1.0, 1, from_per_s)


@pytest.mark.parametrize(
    ("rate_per_s", "duration_s", "complaint"),
    [
        (0.0, 1.0, "rate_per_s must be positive and finite, not 0.0"),
        (-1.0, 1.0, "rate_per_s must be positive and finite, not -1.0"),
        (math.nan, 1.0, "rate_per_s must be positive and finite, not nan"),
        (1.0, math.inf, "duration_s must be positive and finite, not inf"),
    ],
    ids=["zero rate", "negative rate", "no rate", "endless"],
)
def test_arrivals_that_make_no_sense_are_refused(
    rate_per_s: float, duration_s: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        instants("poisson", rate_per_s, duration_s, 1)
