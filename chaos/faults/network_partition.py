"""NetworkChaos partition: nothing that is sent arrives, on open connections and new ones, and nothing says so."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.targets.effects import Link, Traffic, exact, modelled


class PartitionSpec(network.NetworkSpec):
    """Silence; no block counts, and any direction goes with any other side, or with none."""

    action: Literal["partition"]
    """what happens to packets"""


class NetworkPartition(network.NetworkChaos):
    """A NetworkChaos whose action is partition."""

    spec: PartitionSpec
    """the fault"""


def _effects(spec: PartitionSpec) -> tuple[Link, ...]:
    return network.link(spec, Traffic(cut=True))


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="partition",
    manifest=NetworkPartition,
    effects=_effects,
    problems=network.target_problems,
    doubts=network_doubts.of_partition,
    plane="network",
    done="were cut off",
    fidelities={
        "local": modelled(
            "the kernel drops what comes to the sockets of a proxy in front of the replica: silence, and TCP's own "
            "timers, on two connections instead of one; probes do not pass it"
        ),
        "kubernetes": exact(
            "iptables in the pod's network namespace; probes are dropped too where everybody is meant"
        ),
    },
)
