"""The built-in traffic has the figures that are published of the traces that it is fitted to."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from loadtests.plan import Plan
from loadtests.spec import LoadSpec
from loadtests.traffic.figures import Figures, figures, quantile, shared_share
from loadtests.traffic.profiles import PROFILES

SEEDS = range(12)
LASTS_S = 3600.0
"""As the traces."""
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "chat": {"rate": 5.53, "cv": 1.09, "dispersion 1": 1.4, "dispersion 10": 3.7, "dispersion 60": 15.7},
    "code": {"rate": 2.57, "cv": 13.2, "dispersion 1": 13, "dispersion 10": 71, "dispersion 60": 164},
    "agent": {"rate": 3.91, "cv": 1.01, "dispersion 1": 1.1, "dispersion 10": 1.2, "dispersion 60": 1.3},
    "batch": {"rate": 3.40, "cv": 3.03, "dispersion 1": 7.9, "dispersion 10": 2.1, "dispersion 60": 2.9},
}
LENGTHS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "chat": {"prompt": (1020, 2734, 4142, 14050), "output": (129, 424, 601, 1000)},
    "code": {"prompt": (1469, 5188, 7436, 7437), "output": (13, 55, 251, 1899)},
    "agent": {"prompt": (11587, 38611, 66456, 191378), "output": (69, 389, 768, 893)},
    "batch": {"prompt": (6909, 27367, 85400, 126195), "output": (350, 597, 1119, 2000)},
}
MEANS = {"chat": (1155, 211), "code": (2048, 28), "agent": (15325, 149), "batch": (12035, 343)}


@cache
def plans(name: str) -> list[Plan]:
    return [
        Plan.of(LoadSpec(**{"url": "", "duration_s": LASTS_S, "seed": seed, **PROFILES[name]}))
        for seed in SEEDS
    ]


@cache
def found(name: str) -> list[Figures]:
    return [figures(plan, LASTS_S) for plan in plans(name)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_profile_has_the_published_rate_burstiness_and_dispersion(name: str) -> None:
    seen = {
        "rate": [each.rate_per_s for each in found(name)],
        "cv": [each.cv for each in found(name)],
        **{
            f"dispersion {window_s}": [each.dispersion(window_s) for each in found(name)]
            for window_s in (1, 10, 60)
        },
    }
    medians = {key: float(np.median(values)) for key, values in seen.items()}
    for key, published in PUBLISHED[name].items():
        # A trace is one sample: an hour has sixty windows of a minute, and its own dispersion says no more than this.
        allowed = {"rate": 0.02, "cv": 0.06, "dispersion 1": 0.15}.get(key, 0.25)
        assert medians[key] == pytest.approx(published, rel=allowed), (key, medians)
    rates = seen["rate"]
    assert max(rates) - min(rates) < 0.09 * PUBLISHED[name]["rate"], "in each plan, not only in the mean"


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("what", ["prompt", "output"])
def test_a_profile_has_the_published_quantiles_of_lengths(name: str, what: str) -> None:
    tokens = np.concatenate([getattr(each, f"{what}_tokens") for each in found(name)])
    for percent, published in zip((50, 90, 99), LENGTHS[name][what], strict=False):
        assert quantile(tokens, percent) == pytest.approx(published, rel=0.03, abs=1)
    assert tokens.max() <= LENGTHS[name][what][-1] + (2000 if name == "agent" else 0)
    mean = MEANS[name][what == "output"]
    assert tokens.mean() == pytest.approx(mean, rel=0.16), "between its points a table is a guess"


@pytest.mark.parametrize(("name", "published"), [("agent", 0.640), ("batch", 0.366)])
def test_a_profile_repeats_as_much_of_its_prompts_as_is_published(name: str, published: float) -> None:
    plan = plans(name)[0].arrivals
    prompts: list[tuple[Any, int, int]] = [
        (
            each.session if each.session is not None else -each.index - 1,
            each.prompt_tokens,
            each.shared_tokens or 0,
        )
        for each in plan
    ]
    assert shared_share(prompts) == pytest.approx(published, abs=0.03)


def test_equal_seeds_give_equal_plans_and_others_other_ones() -> None:
    for name in PROFILES:
        again = Plan.of(LoadSpec(**{"url": "", "duration_s": LASTS_S, "seed": 0, **PROFILES[name]}))
        assert again.sha256 == plans(name)[0].sha256 != plans(name)[1].sha256
