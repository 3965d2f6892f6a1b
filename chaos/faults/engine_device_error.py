"""EngineChaos device-error: a GPU reports an XID, and what is computed on it fails; emulated where it is felt."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.reading.quantities import DurationOrZero
from chaos.targets.effects import approximate
from chaos.targets.engine_effects import DeviceError


class DeviceErrorSpec(FaultSpec):
    """The error."""

    action: Literal["device-error"]
    """what is done to each victim"""
    xid: Annotated[int, Field(ge=1, le=999)] = 79
    """NVIDIA's number of it: 79 is a GPU that has fallen off the bus"""
    after: Annotated[DurationOrZero, Field(le=60)] = 3.0
    """from the report to the first computation that fails"""


class DeviceErrorChaos(EngineChaos):
    """An EngineChaos whose action is device-error."""

    spec: DeviceErrorSpec
    """the fault"""


def _effects(spec: DeviceErrorSpec) -> tuple[DeviceError, ...]:
    return (DeviceError(spec.xid, spec.after),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="device-error",
    manifest=DeviceErrorChaos,
    effects=_effects,
    plane="application",
    done="had a device that failed",
    fidelities={
        "local": approximate(
            "emulated on the application plane (the engine fails) and on the telemetry plane (the exporter counts the "
            "XID); no device, driver or kernel log is touched"
        )
    },
)
