"""NetworkChaos duplicate: packets come twice, and TCP discards the second."""

from typing import Literal

from chaos.faults import network, network_doubts
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH
from chaos.targets.effects import exact, unsupported


class DuplicateSpec(network.NetworkSpec):
    """What netem does, of which the action names one part."""

    action: Literal["duplicate"]
    """what happens to packets"""


class NetworkDuplicate(network.NetworkChaos):
    """A NetworkChaos whose action is duplicate."""

    spec: DuplicateSpec
    """the fault"""


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="duplicate",
    manifest=NetworkDuplicate,
    effects=network.netem,
    problems=network.problems,
    doubts=network_doubts.of_netem,
    plane="network",
    done="answered over a doubling network",
    fidelities={
        "local": exact(
            "no-op on TCP, which discards what comes twice before anybody sees it: nothing is done, and nothing can "
            "be proved"
        ),
        "kubernetes": unsupported("TCP discards what comes twice, so that nothing could prove it"),
    },
)
