"""What every EngineChaos is: a fault of an engine that Chaos Mesh has no kind for. Each action is a file of its own."""

import re
from typing import Annotated, Literal

from pydantic import PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

from chaos.faults.manifest import FaultObject
from chaos.targets.effects import modelled

_QUANTITY = re.compile(r"([1-9][0-9]*)(Ki|Mi|Gi)", re.ASCII)
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def _bytes(value: object) -> int:
    if isinstance(value, str) and (quantity := _QUANTITY.fullmatch(value)):
        return int(quantity[1]) * _UNITS[quantity[2]]
    raise PydanticCustomError("bytes", "a whole number of Ki, Mi or Gi, such as 512Mi")


Bytes = Annotated[int, PlainValidator(_bytes), PlainSerializer(lambda value: f"{value >> 10}Ki")]
"""A size as Kubernetes writes it."""

IN_THE_ENGINE = modelled("the reference server falsifies itself, by order over a door of its own")


class EngineChaos(FaultObject):
    """A fault of an engine, of aftershock's own group."""

    kind: Literal["EngineChaos"]
    """EngineChaos"""
