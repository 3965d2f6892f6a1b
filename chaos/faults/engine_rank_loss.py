"""EngineChaos rank-loss: one rank of each sharded replica is killed."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.effects import exact
from chaos.targets.engine_effects import RankLoss


class RankLossSpec(FaultSpec):
    """The loss."""

    action: Literal["rank-loss"]
    """what is done to each victim"""
    rank: Annotated[int, Field(ge=0, le=4095)] = 0
    """which, in the order of their start"""


class RankLossChaos(EngineChaos):
    """An EngineChaos whose action is rank-loss."""

    spec: RankLossSpec
    """the fault"""


def _effects(spec: RankLossSpec) -> tuple[RankLoss, ...]:
    return (RankLoss(spec.rank),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="rank-loss",
    manifest=RankLossChaos,
    effects=_effects,
    plane="process",
    lasts=False,
    done="lost a rank",
    fidelities={"local": exact("SIGKILL of the rank's process")},
)
