"""EngineChaos wrong-weights: replicas restart, and serve another model under the same name."""

from typing import Literal

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.reading.strict import Text
from chaos.targets.effects import exact
from chaos.targets.engine_effects import OtherWeights


class WrongWeightsSpec(FaultSpec):
    """The other model."""

    action: Literal["wrong-weights"]
    """what is done to each victim"""
    model_path: Text | None = None
    """the folder of the other model; without it, other random weights where replicas have random ones"""


class WrongWeightsChaos(EngineChaos):
    """An EngineChaos whose action is wrong-weights."""

    spec: WrongWeightsSpec
    """the fault"""


def _effects(spec: WrongWeightsSpec) -> tuple[OtherWeights, ...]:
    return (OtherWeights(spec.model_path),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="wrong-weights",
    manifest=WrongWeightsChaos,
    effects=_effects,
    plane="application",
    done="restarted with wrong weights",
    fidelities={"local": exact("the process really loads other weights")},
)
