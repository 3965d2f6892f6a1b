"""EngineChaos gpu-memory: somebody else holds a GPU's memory."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import Bytes, EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.effects import exact
from chaos.targets.engine_effects import DeviceMemory


class GpuMemorySpec(FaultSpec):
    """The memory."""

    action: Literal["gpu-memory"]
    """what is done to each victim"""
    free: Bytes
    """so much is left free, such as 512Mi"""
    gpu: Annotated[int, Field(ge=0, le=4095)] = 0
    """which GPU of the victims' machine"""


class GpuMemoryChaos(EngineChaos):
    """An EngineChaos whose action is gpu-memory."""

    spec: GpuMemorySpec
    """the fault"""


def _effects(spec: GpuMemorySpec) -> tuple[DeviceMemory, ...]:
    return (DeviceMemory(spec.free, spec.gpu),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="gpu-memory",
    manifest=GpuMemoryChaos,
    effects=_effects,
    plane="host",
    done="shared a full GPU",
    fidelities={"local": exact("a real allocation by a process of ours, on the GPU that the replicas use")},
)
