"""Workflow: faults one after and beside another, as nodes of a tree that are made of templates.

Source of the semantics: chaos-mesh/chaos-mesh, `pkg/workflow/controllers`, and a live one. A fault of a Workflow has no
duration of its own: the deadline of its node ends it by deleting it, and the next node begins when the deletion is
asked for, while the fault is still there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chaos.faults.blocks import BLOCKS
from chaos.faults.doubts import NO_END, Doubt
from chaos.faults.fault import Fault
from chaos.faults.occurrence import Occurrence, Planned, doubts_of_part
from chaos.faults.workflow_object import Template, WorkflowObject, doubts, problems
from chaos.reading.documents import Document
from chaos.reading.kubernetes import part, without_added
from chaos.reading.quantities import go_duration_ns
from chaos.reading.strict import build

DELETED_LATER_S = 0.25
"""How much later than its node's deadline a fault is out: 0.28 s on a live one."""
_NOT_HERE = {
    "Task": "a Task runs a container, and there is none here",
    "StatusCheck": (
        "how long a StatusCheck takes depends on what it is answered, and a run's timetable is made before it begins; "
        "assertions and guards of an experiment look at such things here"
    ),
}
_MOST_NODES = 1_000
_MOST_DEEP = 50


@dataclass(frozen=True, slots=True)
class Node:
    """One template, understood."""

    type: str
    deadline_s: float | None
    children: tuple[str, ...]
    part: Planned | None
    """The fault or the Schedule that it creates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One Workflow of one manifest."""

    name: str
    namespace: str
    entry: str
    nodes: Mapping[str, Node]
    """By the name of its template."""
    document: Document
    spec: Mapping[str, Any]
    """As written, with every default."""
    doubts: tuple[Doubt, ...] = ()
    label: str = "Workflow"

    @property
    def runs_nowhere(self) -> str | None:
        """Why no kind of target can run it; None where one can."""
        types = {node.type for node in self.nodes.values()}
        if reason := next((reason for name, reason in _NOT_HERE.items() if name in types), None):
            return reason
        return next(filter(None, (creates.runs_nowhere for creates in self._parts())), None)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What it can inject, each once."""
        return tuple(fault for creates in self._parts() for fault in creates.faults)

    def occurrences(self, at_s: float, until_s: float | None) -> Iterator[Occurrence]:
        """What it injects when it is created at one time and deleted at another, or not at all.

        Raises:
            ValueError: a node of it goes on for ever, or there are more than anybody can have meant.
        """
        yield from sorted(_Walk(self).walk(self.entry, at_s, until_s).occurrences, key=lambda each: each.at_s)

    def over_s(self, at_s: float) -> float | None:
        """When its first node is over; None where that never is."""
        return _Walk(self).walk(self.entry, at_s, None).over_s

    def _parts(self) -> Iterator[Planned]:
        return (node.part for node in self.nodes.values() if node.part is not None)


@dataclass(frozen=True, slots=True)
class _Walked:
    """What became of a node."""

    over_s: float | None
    """None: never."""
    occurrences: tuple[Occurrence, ...] = ()


class _Walk:
    """One walk through the nodes of a Workflow."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._left = _MOST_NODES

    def walk(self, name: str, at_s: float, until_s: float | None, deep: int = 0) -> _Walked:
        """A node that begins at one time and must be over at another, so many nodes beneath the first."""
        self._left -= 1
        if self._left < 0 or deep > _MOST_DEEP:
            raise ValueError(f"it has more than {_MOST_NODES} nodes, or more than {_MOST_DEEP} in each other")
        node = self._workflow.nodes[name]
        own_s = None if node.deadline_s is None else at_s + node.deadline_s
        ends_s = min((time_s for time_s in (own_s, until_s) if time_s is not None), default=None)
        if node.type == "Serial":
            return self._one_by_one(node, at_s, ends_s, deep + 1)
        if node.type == "Parallel":
            return self._side_by_side(node, at_s, ends_s, deep + 1)
        if node.part is None:
            return _Walked(ends_s)
        # What a node creates is there until its deadline, however long it would have lasted.
        gone_s = None if ends_s is None else ends_s + DELETED_LATER_S
        return _Walked(ends_s, tuple(node.part.occurrences(at_s, gone_s)))

    def _one_by_one(self, node: Node, at_s: float, ends_s: float | None, deep: int) -> _Walked:
        now_s: float | None = at_s
        found: list[Occurrence] = []
        for child in node.children:
            if now_s is None or (ends_s is not None and now_s >= ends_s):
                break
            walked = self.walk(child, now_s, ends_s, deep)
            found += walked.occurrences
            now_s = walked.over_s
        return _Walked(ends_s if now_s is None else now_s, tuple(found))

    def _side_by_side(self, node: Node, at_s: float, ends_s: float | None, deep: int) -> _Walked:
        walked = [self.walk(child, at_s, ends_s, deep) for child in node.children]
        over_s: float | None = at_s
        for each in walked:
            over_s = None if over_s is None or each.over_s is None else max(over_s, each.over_s)
        found = tuple(occurrence for each in walked for occurrence in each.occurrences)
        return _Walked(ends_s if over_s is None else over_s, found)


def read_workflow(
    document: Document, namespace: str, read_part: Callable[[Document, str], Planned]
) -> Workflow:
    """The Workflow of one manifest document.

    Args:
        document: of one object.
        namespace: of an object that names none.
        read_part: reads what a template creates.

    Raises:
        InputError: naming every problem of it, or of the first wrong template.
    """
    document = without_added(document)
    read = build(document, WorkflowObject)
    if found := [*problems(read)]:
        raise document.refusal(found)
    where = read.metadata.namespace or namespace
    nodes, doubted = {}, [*doubts(read)]
    for index, template in enumerate(read.spec.templates):
        key = {"Schedule": "schedule", "StatusCheck": "statusCheck"}.get(
            template.template_type, BLOCKS.get(template.template_type)
        )
        made = _part(document, index, template, key)
        creates = None if made is None else read_part(made, where)
        if creates is not None and key is not None:
            found_here = doubts_of_part(creates, "templates", index, key)
            doubted += [doubt for doubt in found_here if not (template.deadline and doubt.name == NO_END)]
        nodes[template.name] = Node(
            template.template_type, _seconds(template.deadline), template.children, creates
        )
    return Workflow(
        name=read.metadata.called,
        namespace=where,
        entry=read.spec.entry,
        nodes=nodes,
        document=document,
        spec=read.spec.model_dump(by_alias=True, mode="json", exclude_none=True),
        doubts=tuple(doubted),
    )


def _part(document: Document, index: int, template: Template, key: str | None) -> Document | None:
    """What a template creates, as an object of its own."""
    if key is None or key not in document.values["spec"]["templates"][index]:
        return None
    spec = document.values["spec"]["templates"][index][key]
    return part(document, template.template_type, ("templates", index, key), spec, template.name)


def _seconds(deadline: str | None) -> float | None:
    try:
        return go_duration_ns(deadline) / 1e9 if deadline else None
    except ValueError:  # a doubt
        return None
