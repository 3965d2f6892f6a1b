"""NetworkChaos loss: packets vanish, TCP sends them again, and what they carried arrives late."""

from typing import Literal

from chaos.faults import network
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH, Camel
from chaos.targets.effects import Link, Traffic, approximate


class Loss(Camel):
    """How much of it."""

    loss: network.PercentText
    """share of packets that are lost, as a percentage in text"""
    correlation: network.PercentText = "0"
    """how much of one draw the next one keeps, as a percentage in text"""


class LossSpec(network.NetworkSpec):
    """The loss."""

    action: Literal["loss"]
    """what happens to packets"""
    loss: Loss
    """how many are lost"""


class NetworkLoss(network.NetworkChaos):
    """A NetworkChaos whose action is loss."""

    spec: LossSpec
    """the fault"""


def _effects(spec: LossSpec) -> tuple[Link, ...]:
    lost = spec.loss
    traffic = Traffic(loss=network.share(lost.loss), loss_correlation=network.share(lost.correlation))
    return network.link(spec, traffic)


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="loss",
    manifest=NetworkLoss,
    effects=_effects,
    problems=network.problems,
    plane="network",
    done="answered over a lossy network",
    fidelities={
        "local": approximate(
            "a proxy in front of the replica, after TCP, has what lost packets carried wait for a "
            "retransmission timeout; no window shrinks, and probes and scrapes do not pass it"
        )
    },
)
