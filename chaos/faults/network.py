"""What every NetworkChaos has: a direction and the other side. Each action is a file of its own beside this one."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from chaos.faults.manifest import FaultObject, FaultSpec, Selection, Selector, selection_problems
from chaos.reading.documents import Problem
from chaos.reading.quantities import go_duration_ns
from chaos.reading.strict import Listed
from chaos.targets.effects import Link, Traffic, modelled

FIDELITIES = {
    "local": modelled(
        "bytes wait in a user-space proxy in front of the replica, after TCP; probes and scrapes do not pass it"
    )
}


_PERCENT = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_LATENCY = re.compile(r"\d+(\.\d+)?(ns|us|µs|ms|s|m|h)", re.ASCII)
"""The pattern of the CRD: one number and one unit, no sign, no `1m30s`."""


def _percent(text: str) -> str:
    if not _PERCENT.fullmatch(text) or float(text) > 100:
        raise PydanticCustomError("percent", "a percentage 0..100 as text, such as '25'")
    return text


def _latency(text: str) -> str:
    if not _LATENCY.fullmatch(text):
        raise PydanticCustomError("latency", "one number and its unit, such as 100ms or 1.5s")
    # Chaos Mesh's daemon compares it with "0ms" as text, and adds no delay to what comes before that.
    if text < "0ms" and go_duration_ns(text):
        raise PydanticCustomError(
            "latency", "a number from 1, such as 500ms: Chaos Mesh takes one that starts with 0 for none"
        )
    return text


PercentText = Annotated[str, AfterValidator(_percent)]
"""A percentage as Chaos Mesh writes it; its webhook checks only that it is a number."""
Latency = Annotated[str, AfterValidator(_latency)]


class NetworkSpec(FaultSpec):
    """What happens to packets, on which way."""

    direction: Literal["to", "from", "both"] = "to"
    """`to`: what the selected pods send; `from`: what `target` sends them; `both`"""
    target: Selection | None = None
    """the other side; without it, everybody"""
    external_targets: Listed[str] = ()
    """the other side outside of the cluster"""
    device: str = ""
    """the network interface of the selected pods"""
    target_device: str = ""
    """the network interface of the other side"""


class NetworkChaos(FaultObject):
    """A Chaos Mesh NetworkChaos."""

    kind: Literal["NetworkChaos"]
    """NetworkChaos"""


def seconds(latency: str) -> float:
    """A latency in seconds."""
    return go_duration_ns(latency) / 1e9


def share(percent: str) -> float:
    """A percentage as 0..1."""
    return float(percent) / 100


def link(spec: NetworkSpec, traffic: Traffic) -> tuple[Link, ...]:
    """The effect of the same traffic on each way that the direction names.

    `to` shapes what the selected pods send, `from` what the target sends them: netem works on what leaves.
    Source: chaos-mesh/chaos-mesh, `controllers/chaosimpl/networkchaos/trafficcontrol/impl.go`.
    """
    toward = None if spec.target is None else dict(spec.target.selector.label_selectors)
    return (
        Link(
            from_replica=traffic if spec.direction in ("to", "both") else None,
            to_replica=traffic if spec.direction in ("from", "both") else None,
            toward=toward,
            outside=spec.external_targets,
            devices=tuple(filter(None, (spec.device, spec.target_device))),
        ),
    )


def problems(spec: NetworkSpec) -> Iterator[Problem]:
    """What Chaos Mesh's webhook refuses, and what an interpreter of these files cannot know."""
    if spec.direction != "to" and spec.target is None:
        complaint = f"expected this key: the direction {spec.direction} needs the other side"
        yield Problem(("target",), complaint)
    if spec.direction != "to" and spec.external_targets:
        complaint = f"expected none with the direction {spec.direction}"
        yield Problem(("externalTargets",), complaint, list(spec.external_targets))
    if spec.target is not None:
        for problem in (*selection_problems(spec.target), *_without_effect(spec.target, spec.selector)):
            yield Problem(("target", *problem.key_path), problem.complaint, problem.value)


def _without_effect(target: Selection, own: Selector) -> Iterator[Problem]:
    """What would have no effect: the callers of a replica live beside it, are known by labels, and are all meant."""
    selector = target.selector
    for key, value in selector.model_dump(by_alias=True, exclude_defaults=True).items():
        if key not in ("labelSelectors", "namespaces"):
            complaint = "expected labelSelectors alone: the other side is known by its labels here"
            yield Problem(("selector", key), complaint, value)
    if own.namespaces and selector.namespaces and not {*own.namespaces} & {*selector.namespaces}:
        complaint = (
            f"expected {' or '.join(own.namespaces)}: the other side lives beside the selected pods here"
        )
        yield Problem(("selector", "namespaces"), complaint, list(selector.namespaces))
    if target.mode == "random-max-percent":
        yield Problem(("mode",), "expected a mode that never means nobody", target.mode)
