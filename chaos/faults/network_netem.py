"""NetworkChaos netem: several things at once happen to packets."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.targets.effects import approximate, exact


class NetemSpec(network.NetworkSpec):
    """What netem does, of which the action names one part."""

    action: Literal["netem"]
    """what happens to packets"""


class NetworkNetem(network.NetworkChaos):
    """A NetworkChaos whose action is netem."""

    spec: NetemSpec
    """the fault"""


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="netem",
    manifest=NetworkNetem,
    effects=network.netem,
    problems=network.problems,
    doubts=network_doubts.of_netem,
    plane="network",
    done="answered over a disturbed network",
    fidelities={
        "local": approximate(
            "a proxy in front of the replica, after TCP, has what packets carried wait as long as all blocks together "
            "make it; no window shrinks, and probes do not pass it"
        ),
        "kubernetes": exact(
            "the kernel's own netem, in the pod's network namespace; probes pass it where everybody is meant"
        ),
    },
)
