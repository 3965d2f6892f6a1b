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
from chaos.faults.occurrence import Alone, Occurrence, Planned, doubts_of_part
from chaos.faults.status_check import STATUS_CHECK, StatusCheckSpec
from chaos.faults.workflow_course import Course, Known, Node, course
from chaos.faults.workflow_object import Template, WorkflowObject, doubts, problems
from chaos.reading.documents import Document
from chaos.reading.kubernetes import part, without_added
from chaos.reading.quantities import go_duration_ns
from chaos.reading.strict import build

_TASK = "a Task runs a container, and there is none here"


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
        if any(node.type == "Task" for node in self.nodes.values()):
            return _TASK
        return next(filter(None, (creates.runs_nowhere for creates in self._parts())), None)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What it can inject, each once."""
        return tuple(fault for creates in self._parts() for fault in creates.faults)

    @property
    def checks(self) -> Mapping[str, StatusCheckSpec]:
        """Its StatusChecks, whose answers its course depends on, by the name of their template."""
        return {name: node.check for name, node in self.nodes.items() if node.check is not None}

    def occurrences(self, at_s: float, until_s: float | None) -> Iterator[Occurrence]:
        """What it injects when it is created at one time and deleted at another, or not at all.

        Where a StatusCheck decides, as late as can be.

        Raises:
            ValueError: a node of it goes on for ever, or there are more than anybody can have meant.
        """
        yield from self.course(at_s, until_s).occurrences

    def over_s(self, at_s: float) -> float | None:
        """When its first node is over, at the latest; None where that never is."""
        return self.course(at_s, None).over_s

    def course(self, at_s: float, until_s: float | None, known: Known | None = None) -> Course:
        """The same with what it asks, and as far as it is known how that was answered.

        Raises:
            ValueError: as `occurrences`.
        """
        return course(self.nodes, self.entry, at_s, until_s, known)

    def _parts(self) -> Iterator[Planned]:
        return (node.part for node in self.nodes.values() if node.part is not None)


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
    spec = read.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    nodes, doubted = {}, [*doubts(read)]
    for index, template in enumerate(read.spec.templates):
        creates, key = None, _block(template)
        if (made := _part(document, index, template, key)) is not None:
            creates = read_part(made, where)
            spec["templates"][index][key] = creates.spec
            doubted += _doubts(creates, index, template, key)
        nodes[template.name] = _node(template, creates)
    return Workflow(
        name=read.metadata.called,
        namespace=where,
        entry=read.spec.entry,
        nodes=nodes,
        document=document,
        spec=spec,
        doubts=tuple(doubted),
    )


def _block(template: Template) -> str:
    """The key of what a template creates; empty where it creates nothing."""
    kind = template.template_type
    return {"Schedule": "schedule", "StatusCheck": "statusCheck"}.get(kind, BLOCKS.get(kind, ""))


def _part(document: Document, index: int, template: Template, key: str) -> Document | None:
    """What a template creates, as an object of its own."""
    if key not in document.values["spec"]["templates"][index]:
        return None
    spec = document.values["spec"]["templates"][index][key]
    return part(document, template.template_type, ("templates", index, key), spec, template.name)


def _doubts(creates: Planned, index: int, template: Template, key: str) -> Iterator[Doubt]:
    """What of what a template creates nobody can have meant."""
    for doubt in doubts_of_part(creates, "templates", index, key):
        if not (template.deadline and doubt.name == NO_END):
            yield doubt


def _node(template: Template, creates: Planned | None) -> Node:
    """A template, understood."""
    kind, deadline_s = template.template_type, _seconds(template.deadline)
    if creates is not None and (check := _check(creates)) is not None:
        return Node(kind, deadline_s, (), None, check, template.abort_with_status_check)
    return Node(kind, deadline_s, template.children, creates)


def _check(creates: Planned) -> StatusCheckSpec | None:
    """What is asked, where a template creates a StatusCheck."""
    if not isinstance(creates, Alone) or creates.fault.kind is not STATUS_CHECK:
        return None
    return StatusCheckSpec.model_validate(creates.fault.spec)


def _seconds(deadline: str | None) -> float | None:
    try:
        return go_duration_ns(deadline) / 1e9 if deadline else None
    except ValueError:  # a doubt
        return None
