"""The traffic of a load as an experiment file has it: what `loadtests` declares in seconds, written as durations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotated_types import Ge
from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_core.core_schema import FieldSerializationInfo

from chaos.reading.quantities import Ratio, duration_text, not_negative_seconds, positive_seconds
from chaos.reading.strict import Listed, Strict
from loadtests import canaries
from loadtests.traffic import mix, rate_profile, sessions, traces


class InWords(Strict, alias_generator=lambda name: name.removesuffix("_s")):
    """Base of what is declared in seconds, as `at_s`, and written as durations, as `at: 90s`."""

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        if value is None or not name.endswith("_s"):
            return value
        or_zero = any(isinstance(each, Ge) for each in cls.model_fields[name].metadata)
        return not_negative_seconds(value) if or_zero else positive_seconds(value)

    @field_serializer("*", mode="wrap")
    def _written(self, value: Any, plain: SerializerFunctionWrapHandler, info: FieldSerializationInfo) -> Any:
        if isinstance(value, float) and info.field_name.endswith("_s"):
            return duration_text(value)
        return str(value) if isinstance(value, Path) else plain(value)


class OnOff(InWords, rate_profile.OnOff):
    """Bursts and silences in turn, beginning with a burst."""


class Step(InWords, rate_profile.Step):
    """From an instant on, another rate."""


class Ramp(InWords, rate_profile.Ramp):
    """A rate that changes evenly from one to another, and stays there."""


class Spike(InWords, rate_profile.Spike):
    """A rate that is another one for a while."""


class Diurnal(InWords, rate_profile.Diurnal):
    """A sine, as of day and night."""


class Drift(InWords, rate_profile.Drift):
    """A rate that wanders at random."""


class RateProfile(Strict, rate_profile.RateProfile):
    """How the rate changes: exactly one of these."""

    on_off: OnOff | None = None
    """bursts and silences"""
    steps: Listed[Step] | None = Field(default=None, min_length=1)
    """one rate after another, each with `at` and `factor`"""
    ramp: Ramp | None = None
    """evenly from one rate to another"""
    spike: Spike | None = None
    """another rate for a while"""
    diurnal: Diurnal | None = None
    """a sine"""
    drift: Drift | None = None
    """at random"""


class Sessions(InWords, sessions.Sessions):
    """Conversations in place of single requests."""


class Trace(InWords, traces.Trace):
    """A recorded trace to replay."""


class Canary(Strict, canaries.Canary):
    """One prompt whose right answer is known, or learnt."""


class Canaries(Strict, canaries.Canaries):
    """Prompts that are asked again and again."""

    prompts: Listed[Canary] = Field(min_length=1)
    """what is asked, in turn"""


class Part(Strict, mix.Part):
    """One part of a mix."""

    share: Ratio
    """of the rate"""


def in_words(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as `loadtests` declares them, in the words of an experiment file."""
    return {
        name.removesuffix("_per_s").removesuffix("_s"): _word(name, value)
        for name, value in values.items()
        if value is not None
    }


def _word(name: str, value: Any) -> Any:
    if isinstance(value, BaseModel):
        return in_words(dict(value))
    return duration_text(value) if name.endswith("_s") and not name.endswith("_per_s") else value
