"""EngineChaos gray-failure: health checks pass, and completions hang or are refused."""

from typing import Literal

from chaos.faults.engine import IN_THE_ENGINE, EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.engine_effects import GrayFailure


class GrayFailureSpec(FaultSpec):
    """The failure."""

    action: Literal["gray-failure"]
    """what is done to each victim"""
    answer: Literal["hang", "503"] = "hang"
    """what a completion meets while the probes pass: nothing for ever, or a 503 at once"""


class GrayFailureChaos(EngineChaos):
    """An EngineChaos whose action is gray-failure."""

    spec: GrayFailureSpec
    """the fault"""


def _effects(spec: GrayFailureSpec) -> tuple[GrayFailure, ...]:
    return (GrayFailure(spec.answer),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="gray-failure",
    manifest=GrayFailureChaos,
    effects=_effects,
    plane="application",
    done="passed their probes and failed their requests",
    fidelities={"local": IN_THE_ENGINE},
)
