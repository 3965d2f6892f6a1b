"""PodChaos pod-kill: replicas are deleted, and whatever keeps their number starts others."""

from typing import Literal

from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.faults.pod import PodChaos, PodSpec
from chaos.targets.effects import Termination, exact


class PodKillSpec(PodSpec):
    """The kill."""

    action: Literal["pod-kill"]
    """what is done to each victim"""


class PodKill(PodChaos):
    """A PodChaos whose action is pod-kill."""

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
    fidelities={
        "local": exact("the same signal that a container runtime sends"),
        "kubernetes": exact("Chaos Mesh deletes the pod, and its workload makes another"),
    },
)
