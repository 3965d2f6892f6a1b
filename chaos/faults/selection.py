"""Which replicas a fault may hit, and which of them it does: Chaos Mesh's selection, repeatable by a seed.

Pure functions over what a target reports. The seed is the one thing added: Chaos Mesh draws from the system's
randomness and cannot repeat a draw.
Source of the semantics: chaos-mesh/chaos-mesh, `pkg/selector/pod` and `pkg/selector/generic`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from chaos.errors import InputError, RefusedError
from chaos.faults.manifest import Expression, Mode, Selector, amount
from chaos.reading.documents import Problem
from chaos.targets import Node, Replica


@dataclass(frozen=True, slots=True)
class Draw:
    """Who is hit, in the order of the draw; a replica that was a candidate twice may be in it twice."""

    victims: tuple[Replica, ...]
    candidates_count: int
    percent_drawn: int | None
    """What mode random-max-percent drew; None for the other modes."""


def candidates(selector: Selector, replicas: Sequence[Replica], nodes: Sequence[Node]) -> list[Replica]:
    """Every replica that the selector matches, terminating ones and all phases included.

    Namespaces come in the order of the selector; one listed twice yields its replicas twice. Within one,
    replicas come by name, so that a draw does not depend on the order in which the target reports them.
    `selector.pods` wins over everything else; a pod that is not there is skipped.

    Raises:
        InputError: `selector.nodes` names a node that the target does not have.
    """
    if selector.pods:
        by_name = {(replica.namespace, replica.name): replica for replica in replicas}
        wanted = [(namespace, name) for namespace, names in selector.pods.items() for name in names]
        return [by_name[key] for key in wanted if key in by_name]
    allowed = _allowed_nodes(selector, nodes)
    matching = [
        replica
        for replica in sorted(replicas, key=lambda replica: replica.name)
        if (allowed is None or replica.node in allowed) and _matches(selector, replica)
    ]
    return [
        replica for namespace in selector.namespaces for replica in matching if replica.namespace == namespace
    ]


def victims_count(mode: Mode, value: str, candidates_count: int) -> int:
    """How many candidates a mode hits, for random-max-percent the most that it can; percentages round up.

    Raises:
        InputError: the mode cannot use the value.
    """
    try:
        number = amount(mode, value)
    except ValueError as error:
        raise InputError(f"spec.value: expected for mode {mode} {error}, got {value!r}") from error
    if number is None:
        return candidates_count if mode == "all" else min(1, candidates_count)
    return min(number, candidates_count) if mode == "fixed" else _share(number, candidates_count)


def draw(candidates: Sequence[Replica], mode: Mode, value: str, rng: Random) -> Draw:
    """Draw victims uniformly and without replacement; random-max-percent may draw none.

    Raises:
        InputError: the mode cannot use the value.
        RefusedError: there is nothing to draw from.
    """
    size = len(candidates)
    count = victims_count(mode, value, size)
    if not candidates:
        raise RefusedError("no replica matches the selector")
    percent = None
    if mode == "random-max-percent":
        percent = rng.randrange(int(value) + 1)
        count = _share(percent, size)
    chosen = range(size) if mode == "all" else rng.sample(range(size), count)
    return Draw(tuple(candidates[index] for index in chosen), size, percent)


def foreign(selector: Selector, replicas: Sequence[Replica], nodes: Sequence[Node]) -> Iterator[Problem]:
    """Why a selector matches none of the replicas that there would be, part by part; key paths begin within it."""
    namespaces = sorted({replica.namespace for replica in replicas})
    named = [*(selector.pods or selector.namespaces)]
    if not set(named) & set(namespaces):
        where = "pods" if selector.pods else "namespaces"
        complaint = f"expected to include {' or '.join(namespaces)}, where the target's replicas live"
        yield Problem((where,), complaint, ", ".join(named))
    if selector.pods:
        return
    labels = [replica.labels for replica in replicas]
    for key, value in selector.label_selectors.items():
        values = sorted({has[key] for has in labels if key in has})
        if not values:
            known = ", ".join(dict.fromkeys(name for has in labels for name in has))
            yield Problem(
                ("labelSelectors", key), f"expected a label of the target's replicas: {known}", value
            )
        elif value not in values:
            complaint = f"expected what the target's replicas have: {' or '.join(values)}"
            yield Problem(("labelSelectors", key), complaint, value)
    known_nodes = [node.name for node in nodes]
    for index, node in enumerate(selector.nodes):
        if node not in known_nodes:
            complaint = f"expected a node of the target: {', '.join(known_nodes)}"
            yield Problem(("nodes", index), complaint, node)


def _share(percent: int, count: int) -> int:
    # Go computes math.Ceil over floats; the two agree wherever count * percent is exact in a float.
    return -(-count * percent // 100)


def _allowed_nodes(selector: Selector, nodes: Sequence[Node]) -> set[str] | None:
    if not selector.nodes and not selector.node_selectors:
        return None
    known = {node.name for node in nodes}
    for index, name in enumerate(selector.nodes):
        if name not in known:
            expected = f"a node of the target ({', '.join(sorted(known))})"
            raise InputError(f"spec.selector.nodes[{index}]: expected {expected}, got {name!r}")
    by_label = {
        node.name
        for node in nodes
        if selector.node_selectors and selector.node_selectors.items() <= node.labels.items()
    }
    return {*selector.nodes} | by_label


def _matches(selector: Selector, replica: Replica) -> bool:
    return (
        selector.label_selectors.items() <= replica.labels.items()
        and all(_meets(expression, replica) for expression in selector.expression_selectors)
        and selector.annotation_selectors.items() <= replica.annotations.items()
        and all(_field(replica, name) == value for name, value in selector.field_selectors.items())
        and _in_phase(selector.pod_phase_selectors, replica.phase)
    )


def _meets(expression: Expression, replica: Replica) -> bool:
    present = expression.key in replica.labels
    match expression.operator:
        case "In":
            return present and replica.labels[expression.key] in expression.values
        case "NotIn":
            return not present or replica.labels[expression.key] not in expression.values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
        case _:  # Chaos Mesh selects nobody with an operator that there is none of
            return False


def _field(replica: Replica, name: str) -> str:
    fields = {
        "metadata.name": replica.name,
        "metadata.namespace": replica.namespace,
        "spec.nodeName": replica.node,
        "status.phase": replica.phase,
    }
    return fields[name] if name in fields else replica.fields.get(name, "")


def _in_phase(items: Sequence[str], phase: str) -> bool:
    included = [item for item in items if not item.startswith("!")]
    return f"!{phase}" not in items and (not included or phase in included)
