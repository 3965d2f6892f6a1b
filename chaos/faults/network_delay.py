"""NetworkChaos delay: everything that is sent arrives later, on connections already open too."""

from typing import Literal

from chaos.faults import network
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH, Camel
from chaos.targets.effects import Link, Traffic


class Delay(Camel):
    """How much later."""

    latency: network.Latency
    """added to every packet"""
    jitter: network.Latency = "0ms"
    """the latency varies by as much, up and down"""
    correlation: network.PercentText = "0"
    """how much of one draw the next one keeps, as a percentage in text"""


class DelaySpec(network.NetworkSpec):
    """The delay."""

    action: Literal["delay"]
    """what happens to packets"""
    delay: Delay
    """how much later they arrive"""


class NetworkDelay(network.NetworkChaos):
    """A NetworkChaos whose action is delay."""

    spec: DelaySpec
    """the fault"""


def _effects(spec: DelaySpec) -> tuple[Link, ...]:
    delay = spec.delay
    traffic = Traffic(
        delay_s=network.seconds(delay.latency),
        jitter_s=network.seconds(delay.jitter),
        jitter_correlation=network.share(delay.correlation),
    )
    return network.link(spec, traffic)


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="NetworkChaos",
    action="delay",
    manifest=NetworkDelay,
    effects=_effects,
    problems=network.problems,
    plane="network",
    done="answered over a delayed network",
    fidelities=network.FIDELITIES,
)
