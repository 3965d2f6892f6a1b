"""EngineChaos slow-replica: each step of an engine takes several times as long."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import IN_THE_ENGINE, EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.engine_effects import SlowSteps


class SlowReplicaSpec(FaultSpec):
    """The slowness."""

    action: Literal["slow-replica"]
    """what is done to each victim"""
    factor: Annotated[float, Field(ge=1.5, le=1000)]
    """so many times as long as without the fault"""


class SlowReplicaChaos(EngineChaos):
    """An EngineChaos whose action is slow-replica."""

    spec: SlowReplicaSpec
    """the fault"""


def _effects(spec: SlowReplicaSpec) -> tuple[SlowSteps, ...]:
    return (SlowSteps(spec.factor),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="slow-replica",
    manifest=SlowReplicaChaos,
    effects=_effects,
    plane="application",
    done="computed slowly",
    fidelities={"local": IN_THE_ENGINE},
)
