"""What a fault of the server is: an order with its own fields, and how it begins and ends inside of a replica."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

from exporters.gpu import DeviceSource
from reference_server.api.routes import Api, Streamer
from reference_server.engine import Engine
from reference_server.faults.layers import Layers

if TYPE_CHECKING:
    from reference_server.core import Core

Undo = Callable[[], None]
Step = Callable[["Core"], None]
Refusal = Callable[[], str | None]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Inside:
    """The parts of a replica that a fault can put itself around."""

    engine: Engine
    step: Layers[Step]
    """Of the engine's thread."""
    refusal: Layers[Refusal]
    """Why completions are refused; what the probes say is not among it."""
    stream: Layers[Streamer]
    """How streams are answered that begin from now on."""

    devices: Layers[DeviceSource]
    """What the exporter tells of devices."""
    clock: Layers[Clock]
    """What Python code of this process reads as the time of the wall: `time.time`."""

    @classmethod
    def of(cls, engine: Engine, api: Api, devices: Layers[DeviceSource]) -> Self:
        """The parts of this replica."""

        def install_step(step: Step) -> None:
            engine.take_step = step

        def install_refusal(refusal: Refusal) -> None:
            api.why_refused = refusal

        def install_stream(stream: Streamer) -> None:
            api.stream = stream

        def install_clock(clock: Clock) -> None:
            time.time = clock  # by its module's name, as all of the server's code reads it

        return cls(
            engine,
            Layers(engine.take_step, install_step),
            Layers(api.why_refused, install_refusal),
            Layers(api.stream, install_stream),
            devices,
            Layers(time.time, install_clock),
        )


class Order(BaseModel, ABC):
    """One fault, with what it needs to be told. Strict: nothing is coerced, nothing unknown."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    fault: str

    @abstractmethod
    def begin(self, inside: Inside) -> Undo:
        """Put it in force, on the event loop's thread; the answer ends it, there as well, and leaves nothing of it."""
