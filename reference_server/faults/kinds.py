"""Every fault that the server can have: the one list of them, and how an order is read."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from reference_server.faults.clock_shift import ClockShift
from reference_server.faults.device_error import DeviceError
from reference_server.faults.gray_failure import GrayFailure
from reference_server.faults.kv_reservation import KvReservation
from reference_server.faults.slow_steps import SlowSteps
from reference_server.faults.stuck_stream import StuckStream

AnyOrder = Annotated[
    GrayFailure | SlowSteps | KvReservation | StuckStream | DeviceError | ClockShift,
    Field(discriminator="fault"),
]
ORDER: TypeAdapter[AnyOrder] = TypeAdapter(AnyOrder)
"""Reads an order as JSON has it; its `fault` says which."""
