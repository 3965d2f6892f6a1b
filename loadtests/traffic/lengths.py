"""How long prompts and answers are: one number, a log-normal distribution, or a table of quantiles.

Each length is the inverse of the distribution at one uniform number, so the i-th arrival's length depends on seed and
i alone: a longer plan begins with the shorter one's lengths.
"""

import math
from collections.abc import Mapping
from functools import partial
from statistics import NormalDist
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from loadtests.declared import Count, Declared

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
_ENDS = ("p0", "p100")


class Lengths(Declared):
    """Either `median` and `sigma`, or `quantiles`; truncated to what lies from `at_least` to `at_most`."""

    median: Annotated[float, Field(gt=0)] | None = None
    """of a log-normal distribution, in tokens"""
    sigma: Annotated[float, Field(ge=0)] | None = None
    """standard deviation of its logarithm: 1 makes P99 ten times the median"""
    quantiles: Mapping[str, Count] | None = None
    """a table from `p0` to `p100`, as `p99.9: 1000`; what lies between two of them is interpolated geometrically"""
    at_least: Count = 1
    """shorter ones do not occur: the distribution is cut there, not piled up"""
    at_most: Count | None = None
    """longer ones do not occur"""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        normal = self.median is not None and self.sigma is not None
        if normal == (self.quantiles is not None) or (self.median is None) != (self.sigma is None):
            raise PydanticCustomError("lengths", "either median and sigma, or quantiles")
        if self.at_most is not None and self.at_most < self.at_least:
            raise PydanticCustomError("lengths", "at_most from at_least up")
        if self.quantiles is not None:
            _require_table(self.quantiles)
        low, high = self._probabilities()
        if not low <= high:
            raise PydanticCustomError("lengths", "a distribution that reaches from at_least to at_most")
        return self

    @property
    def mean(self) -> float:
        """Of a length, by 10,000 equally likely ones."""
        return float(self.at(np.arange(0.5, 10_000) / 10_000).mean())

    def at(self, uniforms: Array) -> Array:
        """Lengths, in fractions of a token, at uniform numbers from 0 to 1: the inverse of the distribution."""
        low, high = self._probabilities()
        points = low + uniforms * (high - low)
        if self.quantiles is not None:
            percents, logs = _table(self.quantiles)
            found = np.exp(np.interp(points * 100, percents, logs))
        else:
            assert self.median is not None
            assert self.sigma is not None
            found = self.median * np.exp(self.sigma * _standard_normal(points))
        return np.clip(found, self.at_least, self.at_most)

    def _probabilities(self) -> tuple[float, float]:
        """How much of the distribution as declared lies below `at_least`, and how much up to `at_most`."""
        return self._share_below(self.at_least), 1.0 if self.at_most is None else self._share_below(
            self.at_most
        )

    def _share_below(self, tokens: int) -> float:
        if self.quantiles is not None:
            percents, logs = _table(self.quantiles)
            rising = logs + 1e-12 * np.arange(len(logs))
            return float(np.interp(math.log(tokens), rising, percents)) / 100
        assert self.median is not None
        if not self.sigma:
            return float(tokens > self.median)
        return NormalDist().cdf(math.log(tokens / self.median) / self.sigma)


def _kind(value: object) -> str:
    return "[distribution]" if isinstance(value, Mapping | Lengths) else "[number]"


TokenCount = Annotated[
    Annotated[Count, Tag("[number]")] | Annotated[Lengths, Tag("[distribution]")], Discriminator(_kind)
]
"""A length in tokens: a number, or a distribution of them. Tags in brackets are no part of a key path."""


def draw(length: int | Lengths, number: int, random: np.random.Generator, scale: float = 1.0) -> Array:
    """So many lengths in whole tokens, at least 1 each, `scale` times what is declared."""
    if isinstance(length, int):
        return np.full(number, max(1, round(length * scale)))
    scaled = np.rint(length.at(random.random(number)) * scale)
    return np.maximum(scaled, 1).astype(np.int64)


def mean_of(length: int | Lengths) -> float:
    """The mean of what is declared."""
    return float(length) if isinstance(length, int) else length.mean


def _require_table(quantiles: Mapping[str, int]) -> None:
    fail = partial(PydanticCustomError, "quantiles")
    try:
        percents = [float(key.removeprefix("p")) for key in quantiles]
    except ValueError:
        percents = [math.nan]
    named = all(key.startswith("p") for key in quantiles) and all(0 <= each <= 100 for each in percents)
    if not named or not set(_ENDS) <= set(quantiles):
        raise fail("quantiles named p0 to p100, with both ends, such as p50 or p99.9")
    ordered = [value for _, value in sorted(zip(percents, quantiles.values(), strict=True))]
    if ordered != sorted(ordered):
        raise fail("quantiles that do not fall from p0 to p100")


def _table(quantiles: Mapping[str, int]) -> tuple[Array, Array]:
    """Percents, and the logarithms of their lengths, both ascending."""
    pairs = sorted((float(key.removeprefix("p")), value) for key, value in quantiles.items())
    return np.array([percent for percent, _ in pairs]), np.log([value for _, value in pairs])


def _standard_normal(probabilities: Array) -> Array:
    """The inverse of the standard normal distribution (Wichura's AS 241, as the standard library has it)."""
    inverse, tiny = NormalDist().inv_cdf, 1e-16
    return np.array([inverse(min(max(each, tiny), 1 - tiny)) for each in probabilities.tolist()])
