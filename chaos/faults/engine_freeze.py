"""EngineChaos freeze: every process of a replica is stopped, and continued when it is over."""

from typing import Literal

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.targets.effects import exact
from chaos.targets.engine_effects import Freeze


class FreezeSpec(FaultSpec):
    """The stop."""

    action: Literal["freeze"]
    """what is done to each victim"""


class FreezeChaos(EngineChaos):
    """An EngineChaos whose action is freeze."""

    spec: FreezeSpec
    """the fault"""


def _effects(_: FreezeSpec) -> tuple[Freeze, ...]:
    return (Freeze(),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="freeze",
    manifest=FreezeChaos,
    effects=_effects,
    plane="process",
    done="were frozen",
    fidelities={"local": exact("SIGSTOP by the supervisor, SIGCONT by it: any command's processes")},
)
