"""NetworkChaos bandwidth: bytes flow no faster than tokens come into a bucket."""

from collections.abc import Iterator
from typing import Literal

from chaos.faults import network
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.faults.network_blocks import bucket_of, rate_doubts
from chaos.reading.documents import Problem
from chaos.targets.effects import Link, Traffic, modelled


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


def _doubts(spec: BandwidthSpec) -> Iterator[Problem]:
    if spec.bandwidth is None:
        yield Problem(("bandwidth",), "without this block Chaos Mesh tries for ever, and injects nothing")
    else:
        for problem in rate_doubts(spec.bandwidth):
            yield Problem(("bandwidth", *problem.key_path), problem.complaint, problem.value)
    yield from network.other_doubts(spec, ("delay", "loss", "duplicate", "corrupt", "rate"))


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="bandwidth",
    manifest=NetworkBandwidth,
    effects=_effects,
    problems=network.problems,
    plane="network",
    done="answered over a narrow network",
    fidelities={
        "local": modelled(
            "bytes wait for their tokens in a user-space proxy in front of the replica, after TCP, and where too many "
            "wait their sender has to, instead of packets being dropped; probes do not pass it"
        )
    },
)
