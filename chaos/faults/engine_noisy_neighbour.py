"""EngineChaos noisy-neighbour: somebody else takes the time of a GPU. Of the processors: StressChaos."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.effects import approximate
from chaos.targets.engine_effects import DeviceStress


class NoisyNeighbourSpec(FaultSpec):
    """The neighbour."""

    action: Literal["noisy-neighbour"]
    """what is done to each victim"""
    workers: Annotated[int, Field(ge=1, le=16)] = 1
    """processes that compute on it without a pause, in all"""
    gpu: Annotated[int, Field(ge=0, le=4095)] = 0
    """which GPU of the victims' machine"""


class NoisyNeighbourChaos(EngineChaos):
    """An EngineChaos whose action is noisy-neighbour."""

    spec: NoisyNeighbourSpec
    """the fault"""


def _effects(spec: NoisyNeighbourSpec) -> tuple[DeviceStress, ...]:
    return (DeviceStress(spec.workers, spec.gpu),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="noisy-neighbour",
    manifest=NoisyNeighbourChaos,
    effects=_effects,
    plane="host",
    done="had a noisy neighbour",
    fidelities={
        "local": approximate(
            "real contention, on the GPU that the replicas use; those who were not selected feel it too"
        )
    },
)
