"""Guards before injecting: a fault that could reach further than its file allows is refused whole."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.errors import RefusedError
from chaos.faults.fault import Fault
from chaos.faults.manifest import Mode
from chaos.faults.selection import Draw, victims_count
from chaos.targets import Node, Replica

ZONE_LABEL = "topology.kubernetes.io/zone"
"""What a node says of its zone; Kubernetes' own label."""
_MOST_NAMES = 10
"""In one message: whoever wants all of them asks `aftershock plan`."""


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """How far a fault may reach."""

    max_targets: int
    protected_namespaces: tuple[str, ...] = ()
    protected_pods: tuple[str, ...] = ()
    """Each as `namespace/name`."""
    max_share: float | None = None
    """0..1, of the replicas that there should be."""
    protected_zones: tuple[str, ...] = ()
    protected_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Possible:
    """What a draw could do, before it is drawn."""

    fewest: int
    most: int
    replicas: tuple[Replica, ...]
    """Everyone who could be hit, each once."""


def possible(candidates: Sequence[Replica], mode: Mode, value: str) -> Possible:
    """How many replicas a draw could hit, and which; a candidate listed twice is one replica.

    Raises:
        InputError: the mode cannot use the value.
    """
    drawn = victims_count(mode, value, len(candidates))
    replicas = _each_once(candidates)
    fewest = 0
    if mode != "random-max-percent":
        left = drawn
        for copies in sorted(Counter(map(_incarnation, candidates)).values(), reverse=True):
            fewest, left = fewest + (left > 0), left - copies
    return Possible(fewest, min(drawn, len(replicas)), replicas)


def check(
    fault: Fault,
    candidates: Sequence[Replica],
    radius: BlastRadius,
    nodes: Sequence[Node],
    wanted_replicas: int,
) -> Possible:
    """What the fault could do to these candidates, when that stays within its blast radius whatever is drawn.

    A zone is a label of a node, and a share is one of the replicas that there should be.

    Raises:
        InputError: the mode cannot use the value.
        RefusedError: nothing matches, something protected does, or more could be hit than allowed.
    """
    if not candidates:
        raise RefusedError(f"no replica matches the selector of {fault.manifest_path}: nothing to inject")
    if found := protected(candidates, radius, nodes):
        raise RefusedError(
            f"the selector of {fault.manifest_path} matches what is protected: {_names(found)}",
            hint="narrow the selector: nothing is dropped from a selection on the quiet",
        )
    assert fault.selection is not None
    reach = possible(candidates, fault.selection.mode, fault.selection.value)
    for key, bound in exceeded(reach, radius, wanted_replicas):
        whom = f"{reach.most} replicas of {_names(reach.replicas)}"
        if key == "max_share":
            whom = f"{reach.most} of {wanted_replicas} replicas"
        raise RefusedError(
            f"{fault.manifest_path} could hit {whom}; the experiment allows at most {key} {bound}",
            hint=f"lower the manifest's value, or raise the experiment's {key} knowingly",
        )
    return reach


def exceeded(reach: Possible, radius: BlastRadius, wanted_replicas: int) -> Iterator[tuple[str, str]]:
    """Each key of the radius that a draw could exceed, with its value in words."""
    if reach.most > radius.max_targets:
        yield "max_targets", str(radius.max_targets)
    if radius.max_share is not None and reach.most > math.floor(round(radius.max_share * wanted_replicas, 6)):
        yield "max_share", f"{radius.max_share:.6g}"


def targets(draw: Draw) -> tuple[Replica, ...]:
    """The replicas to hit, each once, in the order of the draw.

    Raises:
        RefusedError: the draw took none, as random-max-percent may.
    """
    if not draw.victims:
        raise RefusedError(
            f"no target was drawn: random-max-percent drew {draw.percent_drawn} % of {draw.candidates_count}"
        )
    return _each_once(draw.victims)


def protected(candidates: Sequence[Replica], radius: BlastRadius, nodes: Sequence[Node]) -> list[Replica]:
    """Those of the candidates that nothing may hit, each once."""
    zones = {node.name: node.labels.get(ZONE_LABEL) for node in nodes}
    return [
        replica
        for replica in _each_once(candidates)
        if _is_protected(replica, radius) or zones.get(replica.node) in radius.protected_zones
    ]


def _is_protected(replica: Replica, radius: BlastRadius) -> bool:
    return (
        replica.namespace in radius.protected_namespaces
        or _name(replica) in radius.protected_pods
        or not radius.protected_labels.items().isdisjoint(replica.labels.items())
    )


def _each_once(replicas: Sequence[Replica]) -> tuple[Replica, ...]:
    return tuple({_incarnation(replica): replica for replica in replicas}.values())


def _incarnation(replica: Replica) -> tuple[str, str, str]:
    # Planned replicas have names but no uid yet.
    return replica.namespace, replica.name, replica.uid


def _names(replicas: Sequence[Replica]) -> str:
    named = ", ".join(_name(replica) for replica in replicas[:_MOST_NAMES])
    more = len(replicas) - _MOST_NAMES
    return f"{named} and {more:,} more" if more > 0 else named


def _name(replica: Replica) -> str:
    return f"{replica.namespace}/{replica.name}"
