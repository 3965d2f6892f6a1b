"""EngineChaos memory-cap: replicas get no more memory than they have, and some headroom."""

from typing import Literal

from chaos.faults.engine import Bytes, EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.effects import approximate
from chaos.targets.engine_effects import MemoryCap


class MemoryCapSpec(FaultSpec):
    """The cap."""

    action: Literal["memory-cap"]
    """what is done to each victim"""
    headroom: Bytes
    """so much more than they have, such as 64Mi"""


class MemoryCapChaos(EngineChaos):
    """An EngineChaos whose action is memory-cap."""

    spec: MemoryCapSpec
    """the fault"""


def _effects(spec: MemoryCapSpec) -> tuple[MemoryCap, ...]:
    return (MemoryCap(spec.headroom),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="memory-cap",
    manifest=MemoryCapChaos,
    effects=_effects,
    plane="process",
    done="had their memory capped",
    fidelities={
        "local": approximate(
            "a limit on address space: the next allocation beyond it fails, as on a full device; no GPU is touched"
        )
    },
)
