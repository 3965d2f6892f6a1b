"""NetworkChaos corrupt: packets arrive damaged, their checksum tells, and TCP sends them again."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.targets.effects import approximate, exact


class CorruptSpec(network.NetworkSpec):
    """What netem does, of which the action names one part."""

    action: Literal["corrupt"]
    """what happens to packets"""


class NetworkCorrupt(network.NetworkChaos):
    """A NetworkChaos whose action is corrupt."""

    spec: CorruptSpec
    """the fault"""


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="corrupt",
    manifest=NetworkCorrupt,
    effects=network.netem,
    problems=network.problems,
    doubts=network_doubts.of_netem,
    plane="network",
    done="answered over a damaging network",
    fidelities={
        "local": approximate(
            "a checksum makes a loss of a damaged packet, and a proxy in front of the replica, after TCP, has what it "
            "carried wait for a retransmission; no byte is changed, and probes do not pass it"
        ),
        "kubernetes": exact(
            "the kernel's own netem, in the pod's network namespace; probes pass it where everybody is meant"
        ),
    },
)
