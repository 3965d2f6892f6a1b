"""PodChaos pod-failure: replicas stay, under their names and uids, and nothing runs in them until it is undone."""

from typing import Literal

from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.faults.pod import PodChaos, PodSpec
from chaos.targets.effects import Outage, exact, modelled


class PodFailureSpec(PodSpec):
    """The failure."""

    action: Literal["pod-failure"]
    """what is done to each victim"""


class PodFailure(PodChaos):
    """A PodChaos whose action is pod-failure."""

    spec: PodFailureSpec
    """the fault"""


def _effects(_: PodFailureSpec) -> tuple[Outage, ...]:
    return (Outage(),)


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="PodChaos",
    action="pod-failure",
    manifest=PodFailure,
    effects=_effects,
    plane="process",
    done="were down",
    fidelities={
        "local": modelled(
            "the process is killed and not started again until then, in place of an image that only sleeps; "
            "it counts one restart, not one for each time that such an image would have crashed"
        ),
        "kubernetes": exact(
            "Chaos Mesh gives the pod an image that only sleeps; with a command in the pod's spec it crashes instead"
        ),
    },
)
