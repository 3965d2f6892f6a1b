"""What every declared setting is made of: the strict base, how an option is spelled, the common types."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Process = Literal["poisson", "constant", "gamma"]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
SecondsOrZero = Annotated[float, Field(ge=0)]
PerSecond = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is given to `locust`."""

    flag: str
    by_hand: Any = None
    """What it is for a person who leaves it out, where that is not the setting's own default."""
    shown: bool = True
    """Whether the web form has it: what a person may want to change, and not what only programs set."""
    own: bool = True
    """False for an option that Locust itself declares."""


class Declared(BaseModel):
    """Base of everything declared here: nothing coerced, nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def but(self, **changes: Any) -> Self:
        """The same with some values changed.

        Raises:
            ValueError: naming each value that is not allowed, or no setting at all.
        """
        return type(self).model_validate({**dict(self), **changes})
