"""What every NetworkChaos has: a direction, the other side, and blocks. Each action has a file beside this one.

The action only says by which means: `partition` drops everything, `bandwidth` is a token bucket, and all others are
netem, which does whatever blocks there are. Source: chaos-mesh/chaos-mesh, `controllers/chaosimpl/networkchaos`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator

from chaos.faults.manifest import FaultObject, FaultSpec, Selection, Selector, selection_problems
from chaos.faults.network_blocks import (
    Bandwidth,
    Corrupt,
    Delay,
    Duplicate,
    Loss,
    Rate,
    seconds,
    serial,
    share,
)
from chaos.reading.documents import Problem
from chaos.reading.strict import Listed
from chaos.targets.effects import Link, Traffic

NETEM_BLOCKS = ("delay", "loss", "duplicate", "corrupt", "rate")
"""What netem does; the bandwidth is a token bucket's."""


class NetworkSpec(FaultSpec):
    """What happens to packets, on which way."""

    action: str
    """what happens to packets"""
    direction: Annotated[
        Literal["to", "from", "both"], BeforeValidator(lambda text: "to" if text == "" else text)
    ] = "to"
    """`to`: what the selected pods send; `from`: what `target` sends them; `both`"""
    target: Selection | None = None
    """the other side; without it, everybody"""
    external_targets: Listed[str] = ()
    """the other side outside of the cluster"""
    device: str = ""
    """the network interface of the selected pods"""
    target_device: str = ""
    """the network interface of the other side"""
    delay: Delay | None = None
    """how much later packets arrive"""
    loss: Loss | None = None
    """how many are lost"""
    duplicate: Duplicate | None = None
    """how many come twice"""
    corrupt: Corrupt | None = None
    """how many arrive damaged"""
    rate: Rate | None = None
    """how fast they go on, by netem's own limit"""
    bandwidth: Bandwidth | None = None
    """how fast they go on, by a token bucket"""


class NetworkChaos(FaultObject):
    """A Chaos Mesh NetworkChaos."""

    kind: Literal["NetworkChaos"]
    """NetworkChaos"""


def link(spec: NetworkSpec, traffic: Traffic) -> tuple[Link, ...]:
    """The effect of the same traffic on each way that the direction names.

    `to` shapes what the selected pods send, `from` what the target sends them: netem works on what leaves, and a
    partition drops the same at both ends.
    Source: chaos-mesh/chaos-mesh, `controllers/chaosimpl/networkchaos/trafficcontrol/impl.go` and `partition/impl.go`.
    """
    target = spec.target
    return (
        Link(
            from_replica=traffic if spec.direction in ("to", "both") else None,
            to_replica=traffic if spec.direction in ("from", "both") else None,
            toward=None if target is None else dict(target.selector.label_selectors),
            toward_beyond_labels=() if target is None else tuple(_beyond_labels(target, spec.selector)),
            outside=spec.external_targets,
            devices=tuple(device.split("@")[0] for device in (spec.device, spec.target_device) if device),
        ),
    )


def netem(spec: NetworkSpec) -> tuple[Link, ...]:
    """The effect of all blocks that netem has, whichever the action names."""
    delay, loss, corrupt = spec.delay, spec.loss, spec.corrupt
    reorder = delay.reorder if delay is not None else None
    if max(share(loss.loss) if loss else 0, share(corrupt.corrupt) if corrupt else 0) >= 1:
        return link(spec, Traffic(cut=True))  # what never arrives is not late
    return link(
        spec,
        Traffic(
            delay_s=seconds(delay.latency) if delay else 0.0,
            jitter_s=seconds(delay.jitter) if delay else 0.0,
            jitter_correlation=share(delay.correlation) if delay else 0.0,
            reorder=share(reorder.reorder) if reorder else 0.0,
            reorder_correlation=share(reorder.correlation) if reorder else 0.0,
            reorder_gap=max(1, reorder.gap) if reorder else 1,
            loss=share(loss.loss) if loss else 0.0,
            loss_correlation=share(loss.correlation) if loss else 0.0,
            corruption=share(corrupt.corrupt) if corrupt else 0.0,
            corruption_correlation=share(corrupt.correlation) if corrupt else 0.0,
            duplication=share(spec.duplicate.duplicate) if spec.duplicate else 0.0,
            bucket=serial(spec.rate) if spec.rate else None,
        ),
    )


def problems(spec: NetworkSpec) -> Iterator[Problem]:
    """What Chaos Mesh's webhook refuses of any action but `partition`."""
    if spec.direction != "to" and spec.target is None:
        complaint = f"expected this key: the direction {spec.direction} needs the other side"
        yield Problem(("target",), complaint)
    if spec.direction != "to" and spec.external_targets:
        complaint = f"expected none with the direction {spec.direction}"
        yield Problem(("externalTargets",), complaint, list(spec.external_targets))
    yield from target_problems(spec)


def target_problems(spec: NetworkSpec) -> Iterator[Problem]:
    """What Chaos Mesh refuses of the other side, or would never select it with."""
    if spec.target is not None:
        for problem in selection_problems(spec.target):
            yield Problem(("target", *problem.key_path), problem.complaint, problem.value)


def _beyond_labels(target: Selection, own: Selector) -> Iterator[str]:
    """What else is asked of the other side, in words."""
    selector = target.selector
    for key in selector.model_dump(by_alias=True, exclude_defaults=True):
        if key not in ("labelSelectors", "namespaces"):
            yield key
    if own.namespaces and selector.namespaces and not {*own.namespaces} & {*selector.namespaces}:
        yield f"namespaces {', '.join(selector.namespaces)}"
    if target.mode != "all":
        yield f"mode {target.mode}"
