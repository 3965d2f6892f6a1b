"""How the rate changes while a load lasts: a factor of `load.rate` over time, made of straight pieces.

The process of arrivals is another matter (`loadtests.traffic.processes`): it makes instants of a clock on which one
arrival is expected per unit. A profile says how fast that clock runs, and its inverse moves each instant to where as
many arrivals are expected by then. That is exact for every process and every profile, because the integral of straight
pieces is made of parabolas, whose inverse is a square root.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from loadtests.declared import Declared, Seconds, SecondsOrZero
from loadtests.traffic.streams import Purpose, stream

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Factor = Annotated[float, Field(ge=0)]
_PIECES_OF_A_PERIOD = 256
_PIECES_OF_A_CORRELATION = 10


class OnOff(Declared):
    """Bursts and silences in turn, beginning with a burst."""

    on_s: Seconds
    """how long a burst lasts"""
    off_s: Seconds
    """how long what lies between two of them lasts"""
    factor: Factor = 1.0
    """of `rate`, in a burst"""
    off_factor: Factor = 0.0
    """of `rate`, between two"""
    random: bool = False
    """the lengths are means of exponential ones, scaled in each plan to the share of bursts that they say"""


class Step(Declared):
    """From an instant on, another rate."""

    at_s: SecondsOrZero
    """on the run clock, which begins with the warm-up"""
    factor: Factor
    """of `rate`, from then on"""


class Ramp(Declared):
    """A rate that changes evenly from one to another, and stays there."""

    from_factor: Factor
    """of `rate`, up to the start"""
    to_factor: Factor
    """of `rate`, from the end on"""
    start_s: SecondsOrZero = 0.0
    """on the run clock, which begins with the warm-up"""
    end_s: Seconds | None = None
    """on the run clock; absent: the end of the plan"""


class Spike(Declared):
    """A rate that is another one for a while."""

    at_s: SecondsOrZero
    """on the run clock, which begins with the warm-up"""
    lasts_s: Seconds
    """how long"""
    factor: Factor
    """of `rate`, meanwhile"""


class Diurnal(Declared):
    """A sine, as of day and night: in a test of minutes, a day of minutes."""

    period_s: Seconds
    """from peak to peak"""
    amplitude: Annotated[float, Field(gt=0, le=1)]
    """of the sine, as a share of `rate`: 0.5 swings between half and one and a half times of it"""
    peak_at_s: SecondsOrZero = 0.0
    """when it is highest, on the run clock"""


class Drift(Declared):
    """A rate that wanders at random, as that of many independent users does; its mean over the plan is `rate`."""

    spread: Annotated[float, Field(gt=0)]
    """standard deviation of the rate, as a share of it"""
    over_s: Seconds
    """how long the rate remembers: its autocorrelation falls to 1/e in this time"""


class RateProfile(Declared):
    """How the rate changes: exactly one of these."""

    on_off: OnOff | None = None
    """bursts and silences"""
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1)] | None = None
    """one rate after another"""
    ramp: Ramp | None = None
    """evenly from one rate to another"""
    spike: Spike | None = None
    """another rate for a while"""
    diurnal: Diurnal | None = None
    """a sine"""
    drift: Drift | None = None
    """at random"""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [value for value in self.__dict__.values() if value is not None]
        if len(given) != 1:
            raise PydanticCustomError("rate_profile", "exactly one of " + ", ".join(type(self).model_fields))
        if self.ramp and self.ramp.end_s is not None and self.ramp.end_s <= self.ramp.start_s:
            raise PydanticCustomError("rate_profile", "a ramp whose end is after its start")
        if self.steps and [each.at_s for each in self.steps] != sorted({each.at_s for each in self.steps}):
            raise PydanticCustomError("rate_profile", "steps each at a later time than the one before")
        return self


@dataclass(frozen=True, slots=True)
class Course:
    """A factor over time, straight between its knots; two knots at one instant are a jump."""

    at_s: Array
    """Ascending, from 0 to the end of the plan."""
    factor: Array

    @property
    def expected_s(self) -> Array:
        """The integral of the factor up to each knot: how long the plain rate would take for as many arrivals."""
        pieces = np.diff(self.at_s) * (self.factor[1:] + self.factor[:-1]) / 2
        return np.concatenate(([0.0], np.cumsum(pieces)))

    def instants(self, expected_s: Array) -> Array:
        """When so much is expected, for values below the whole: the inverse of the integral, in whole nanoseconds.

        Where nothing is expected for a while the instant is the end of that while.
        """
        total_s = self.expected_s
        piece = np.searchsorted(total_s, expected_s, side="right") - 1
        piece = np.clip(piece, 0, len(total_s) - 2)
        left = expected_s - total_s[piece]
        begin = self.factor[piece]
        lasts_s = self.at_s[piece + 1] - self.at_s[piece]
        slope = np.divide(self.factor[piece + 1] - begin, lasts_s, out=np.zeros_like(left), where=lasts_s > 0)
        root = begin + np.sqrt(np.maximum(begin * begin + 2 * slope * left, 0.0))
        into_s = np.divide(2 * left, root, out=np.zeros_like(left), where=root > 0)
        found_s: Array = np.round(self.at_s[piece] + np.minimum(into_s, lasts_s), 9)
        return found_s

    def earlier(self, lead_s: float) -> "Course":
        """The same after `lead_s` seconds at its first factor; its clock begins with them."""
        at_s = np.concatenate(([0.0], self.at_s + lead_s))
        return Course(at_s, np.concatenate((self.factor[:1], self.factor)))


def course(profile: RateProfile | None, duration_s: float, seed: int) -> Course:
    """The factor of a plan of this length; 1 throughout without a profile."""
    if profile is None:
        return Course(np.array([0.0, duration_s]), np.array([1.0, 1.0]))
    random = stream(seed, Purpose.RATE_PROFILE)
    if profile.on_off is not None:
        return _of_bursts(profile.on_off, duration_s, random)
    if profile.drift is not None:
        return _of_drift(profile.drift, duration_s, random)
    if profile.diurnal is not None:
        return _of_sine(profile.diurnal, duration_s)
    return _cut(_knots(profile, duration_s), duration_s)


def _knots(profile: RateProfile, duration_s: float) -> list[tuple[float, float]]:
    """Of a ramp, a spike or steps; the last is not before the end of the plan."""
    if profile.ramp is not None:
        ramp = profile.ramp
        ends_s = duration_s if ramp.end_s is None else ramp.end_s
        knots = [(0.0, ramp.from_factor), (ramp.start_s, ramp.from_factor), (ends_s, ramp.to_factor)]
        return [*knots, (max(ends_s, duration_s), ramp.to_factor)]
    steps = profile.steps or ()
    if profile.spike is not None:
        spike = profile.spike
        after = Step(at_s=spike.at_s + spike.lasts_s, factor=1.0)
        steps = (Step(at_s=spike.at_s, factor=spike.factor), after)
    knots, factor = [(0.0, 1.0)], 1.0
    for step in steps:
        knots += [(step.at_s, factor), (step.at_s, step.factor)]
        factor = step.factor
    return [*knots, (max(knots[-1][0], duration_s), factor)]


def _cut(knots: list[tuple[float, float]], duration_s: float) -> Course:
    """What lies within the plan."""
    at_s = np.array([at for at, _ in knots])
    factor = np.array([value for _, value in knots])
    inside = at_s < duration_s
    last = float(np.interp(duration_s, at_s, factor))
    return Course(np.append(at_s[inside], duration_s), np.append(factor[inside], last))


def _of_sine(sine: Diurnal, duration_s: float) -> Course:
    pieces = max(2, int(np.ceil(duration_s / sine.period_s * _PIECES_OF_A_PERIOD)))
    at_s = np.linspace(0.0, duration_s, pieces + 1)
    turns = (at_s - sine.peak_at_s) / sine.period_s
    return Course(at_s, 1 + sine.amplitude * np.cos(2 * np.pi * turns))


def _of_bursts(bursts: OnOff, duration_s: float, random: np.random.Generator) -> Course:
    """Edges of bursts and silences; random ones are drawn for the whole plan, scaled, and turned round at random."""
    cycle_s = bursts.on_s + bursts.off_s
    if bursts.random:
        number = max(1, round(duration_s / cycle_s))
        on_s, off_s = random.standard_exponential((2, number))
        on_s *= duration_s * bursts.on_s / cycle_s / on_s.sum()
        off_s *= duration_s * bursts.off_s / cycle_s / off_s.sum()
        begins_s = random.random() * duration_s
    else:
        number = int(np.ceil(duration_s / cycle_s))
        on_s, off_s = np.full(number, bursts.on_s), np.full(number, bursts.off_s)
        begins_s = 0.0
    edges_s = np.concatenate(([0.0], np.cumsum(np.column_stack((on_s, off_s)).ravel())))
    edges_s = np.concatenate((edges_s[:-1], edges_s + edges_s[-1])) - begins_s
    factors = np.tile([bursts.factor, bursts.off_factor], 2 * number)
    starts_s, ends_s = np.maximum(edges_s[:-1], 0.0), np.minimum(edges_s[1:], duration_s)
    inside = starts_s < ends_s
    at_s = np.column_stack((starts_s[inside], ends_s[inside])).ravel()
    return Course(at_s, np.repeat(factors[inside], 2))


def _of_drift(drift: Drift, duration_s: float, random: np.random.Generator) -> Course:
    """The exponential of a first-order autoregression, divided by its mean over the plan."""
    pieces = max(1, int(np.ceil(duration_s / drift.over_s * _PIECES_OF_A_CORRELATION)))
    memory = np.exp(-1 / _PIECES_OF_A_CORRELATION)
    wandering = random.standard_normal(pieces + 1)
    for index in range(1, pieces + 1):
        wandering[index] = memory * wandering[index - 1] + np.sqrt(1 - memory**2) * wandering[index]
    factor = np.exp(np.sqrt(np.log1p(drift.spread**2)) * wandering)
    at_s = np.linspace(0.0, duration_s, pieces + 1)
    drawn = Course(at_s, factor)
    return Course(at_s, factor * duration_s / drawn.expected_s[-1])
