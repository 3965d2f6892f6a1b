"""NetworkChaos loss: packets vanish, TCP sends them again, and what they carried arrives late."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.targets.effects import approximate, exact


class LossSpec(network.NetworkSpec):
    """What netem does, of which the action names one part."""

    action: Literal["loss"]
    """what happens to packets"""


class NetworkLoss(network.NetworkChaos):
    """A NetworkChaos whose action is loss."""

    spec: LossSpec
    """the fault"""


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="loss",
    manifest=NetworkLoss,
    effects=network.netem,
    problems=network.problems,
    doubts=network_doubts.of_netem,
    plane="network",
    done="answered over a lossy network",
    fidelities={
        "local": approximate(
            "a proxy in front of the replica, after TCP, has what lost packets carried wait for a retransmission; "
            "no window shrinks, and probes do not pass it"
        ),
        "kubernetes": exact(
            "the kernel's own netem, in the pod's network namespace; probes pass it where everybody is meant"
        ),
    },
)
