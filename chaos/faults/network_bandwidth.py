"""NetworkChaos bandwidth: bytes flow no faster than tokens come into a bucket."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.faults.network_blocks import bucket_of
from chaos.targets.effects import Link, Traffic, exact, modelled


class BandwidthSpec(network.NetworkSpec):
    """A token bucket; no other block counts."""

    action: Literal["bandwidth"]
    """what happens to packets"""


class NetworkBandwidth(network.NetworkChaos):
    """A NetworkChaos whose action is bandwidth."""

    spec: BandwidthSpec
    """the fault"""


def _effects(spec: BandwidthSpec) -> tuple[Link, ...]:
    return network.link(spec, Traffic(bucket=bucket_of(spec.bandwidth) if spec.bandwidth else None))


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="bandwidth",
    manifest=NetworkBandwidth,
    effects=_effects,
    problems=network.problems,
    doubts=network_doubts.of_bandwidth,
    plane="network",
    done="answered over a narrow network",
    fidelities={
        "local": modelled(
            "bytes wait for their tokens in a user-space proxy in front of the replica, after TCP, and where too many "
            "wait their sender has to, instead of packets being dropped; probes do not pass it"
        ),
        "kubernetes": exact("the kernel's own token bucket, in the pod's network namespace"),
    },
)
