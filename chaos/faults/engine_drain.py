"""EngineChaos drain: replicas are told to leave while they serve; every stream should end in order."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.effects import exact
from chaos.targets.engine_effects import Drain


class DrainSpec(FaultSpec):
    """The order to leave."""

    action: Literal["drain"]
    """what is done to each victim"""
    grace_period: Annotated[int, Field(ge=1, le=86_400)] = 30
    """seconds between the polite and the hard signal"""
    pace: Literal["together", "rolling"] = "together"
    """all victims at once, as a spot reclaim; or each when the one before is gone and all others are ready, as a \
rolling update"""


class DrainChaos(EngineChaos):
    """An EngineChaos whose action is drain."""

    spec: DrainSpec
    """the fault"""


def _effects(spec: DrainSpec) -> tuple[Drain, ...]:
    return (Drain(spec.grace_period, spec.pace),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="drain",
    manifest=DrainChaos,
    effects=_effects,
    plane="process",
    lasts=False,
    done="were told to leave",
    fidelities={"local": exact("the same signals that a container runtime sends")},
)
