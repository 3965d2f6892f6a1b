"""PodChaos pod-kill: replicas are deleted, and whatever keeps their number starts others."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH, FaultObject, FaultSpec
from chaos.reading.strict import Listed
from chaos.targets.effects import Termination, exact


class PodKillSpec(FaultSpec):
    """The kill."""

    action: Literal["pod-kill"]
    """what is done to each victim"""
    grace_period: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """seconds between the polite and the hard signal; 0 is the hard signal at once"""
    container_names: Listed[str] = ()
    """containers to hit; a pod-kill ignores it"""


class PodKill(FaultObject):
    """A PodChaos whose action is pod-kill."""

    kind: Literal["PodChaos"]
    """PodChaos"""
    spec: PodKillSpec
    """the fault"""


def _effects(spec: PodKillSpec) -> tuple[Termination, ...]:
    return (Termination(spec.grace_period),)


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="PodChaos",
    action="pod-kill",
    manifest=PodKill,
    effects=_effects,
    plane="process",
    lasts=False,
    done="were killed",
    fidelities={"local": exact("the same signal that a container runtime sends")},
)
