"""EngineChaos slow-start: replicas are deleted, and whatever starts in their place starts late."""

from typing import Literal

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.reading.quantities import Duration
from chaos.targets.effects import Effect, Termination, modelled
from chaos.targets.engine_effects import ColdStart


class SlowStartSpec(FaultSpec):
    """The slow start."""

    action: Literal["slow-start"]
    """what is done to each victim"""
    delay: Duration
    """so much later each replica starts that starts meanwhile, whoever it replaces"""


class SlowStartChaos(EngineChaos):
    """An EngineChaos whose action is slow-start."""

    spec: SlowStartSpec
    """the fault"""


def _effects(spec: SlowStartSpec) -> tuple[Effect, ...]:
    return (ColdStart(spec.delay), Termination(0))


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="slow-start",
    manifest=SlowStartChaos,
    effects=_effects,
    plane="host",
    done="were deleted, and replaced slowly",
    fidelities={"local": modelled("the process itself starts late; a real cold start would load meanwhile")},
)
