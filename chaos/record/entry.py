"""What every part of a record has in common: a null has its reason beside it, a number is one or `inf`."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

_INFINITE = "inf"
_REASON = "_reason"


def _to_the_microsecond(value: float) -> float:
    if math.isnan(value):
        raise ValueError("not a number never reaches a file")
    return round(value, 6) if math.isfinite(value) else value


def _spelt(value: float) -> float | str:
    return _INFINITE if value == math.inf else value


Number = Annotated[
    float,
    AfterValidator(_to_the_microsecond),
    PlainSerializer(_spelt, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"const": _INFINITE}]}),
]
"""Six digits after the point; +inf is written as the string "inf"."""


class Entry(BaseModel):
    """A part of a record. Where a key is null, `<key>_reason` says why, if the type has one; else it is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def of(cls, values: Mapping[str, object], reasons: Mapping[str, str | None] | None = None) -> Self:
        """From its values, and for each that may be null the reason.

        Raises:
            ValidationError: a value is not what the type says, or a null has no reason.
        """
        known = reasons or {}
        nulls = (
            key for key, value in values.items() if value is None and f"{key}{_REASON}" in cls.model_fields
        )
        missing = {f"{key}{_REASON}": known.get(key) for key in nulls}
        return cls.model_validate({**values, **missing})

    @model_validator(mode="after")
    def _no_null_without_reason(self) -> Self:
        for name in type(self).model_fields:
            explained = name.removesuffix(_REASON)
            if explained not in self.model_fields_set:
                continue  # written before there was such a figure
            if explained != name and getattr(self, explained) is None and not getattr(self, name):
                raise ValueError(f"{explained} is null, and nothing says why")
        return self

    @model_serializer(mode="wrap")
    def _without_silent_nulls(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            key: value
            for key, value in serialize(self).items()
            if value is not None or (f"{key}{_REASON}" in fields and key in self.model_fields_set)
        }
