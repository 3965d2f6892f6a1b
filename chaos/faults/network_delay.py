"""NetworkChaos delay: everything that is sent arrives later, on connections already open too."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.targets.effects import exact, modelled


class DelaySpec(network.NetworkSpec):
    """What netem does, of which the action names one part."""

    action: Literal["delay"]
    """what happens to packets"""


class NetworkDelay(network.NetworkChaos):
    """A NetworkChaos whose action is delay."""

    spec: DelaySpec
    """the fault"""


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="delay",
    manifest=NetworkDelay,
    effects=network.netem,
    problems=network.problems,
    doubts=network_doubts.of_netem,
    plane="network",
    done="answered over a delayed network",
    fidelities={
        "local": modelled(
            "bytes wait in a user-space proxy in front of the replica, after TCP; probes do not pass it"
        ),
        "kubernetes": exact(
            "the kernel's own netem, in the pod's network namespace; probes pass it where everybody is meant"
        ),
    },
)
