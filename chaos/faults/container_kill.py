"""PodChaos container-kill: what runs in a replica is killed; the replica stays, and starts it again."""

from collections.abc import Iterator
from typing import Literal

from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.faults.pod import PodChaos, PodSpec
from chaos.reading.documents import Problem
from chaos.targets.effects import Crash, exact


class ContainerKillSpec(PodSpec):
    """The kill."""

    action: Literal["container-kill"]
    """what is done to each victim"""


class ContainerKill(PodChaos):
    """A PodChaos whose action is container-kill."""

    spec: ContainerKillSpec
    """the fault"""


def _effects(spec: ContainerKillSpec) -> tuple[Crash, ...]:
    return (Crash(spec.container_names),)


def _problems(spec: ContainerKillSpec) -> Iterator[Problem]:
    if not spec.container_names:
        complaint = "expected at least one name: the action container-kill needs to be told whom to kill"
        yield Problem(("containerNames",), complaint, list(spec.container_names))


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="PodChaos",
    action="container-kill",
    manifest=ContainerKill,
    effects=_effects,
    problems=_problems,
    plane="process",
    lasts=False,
    done="crashed",
    fidelities={
        "local": exact(
            "SIGKILL to the process group that is the replica's one container; it starts again in place"
        ),
        "kubernetes": exact(
            "Chaos Mesh has the container runtime kill it; after some kills the kubelet waits before it starts it again"
        ),
    },
)
