"""What a Workflow's manifest may hold: templates, and which may have what. As Chaos Mesh's API server reads it."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from chaos.faults.blocks import BLOCKS, Blocks
from chaos.faults.doubts import Doubt, never
from chaos.faults.manifest import Camel, Metadata, metadata_problems
from chaos.reading.documents import Problem
from chaos.reading.names import is_name
from chaos.reading.quantities import go_duration_ns
from chaos.reading.strict import Listed, suggestion

_INNER = ("Serial", "Parallel")
_TYPES = ("Serial", "Parallel", "Suspend", "Task", "StatusCheck", "Schedule", *BLOCKS)


class Branch(Camel):
    """What follows a Task."""

    target: str = ""
    """the template"""
    expression: str = ""
    """and when"""


class Template(Blocks):
    """What nodes are made of."""

    name: str = ""
    """by which others name it"""
    template_type: str = ""
    """what such a node does"""
    deadline: str | None = None
    """how long it may take"""
    children: Listed[str] = ()
    """the templates of its own nodes"""
    task: Mapping[str, Any] | None = None
    """what a Task runs"""
    conditional_branches: Listed[Branch] = ()
    """what follows a Task"""
    schedule: Mapping[str, Any] | None = None
    """the spec of a Schedule"""
    status_check: Mapping[str, Any] | None = None
    """the spec of a StatusCheck"""
    abort_with_status_check: bool = False
    """whether the Workflow ends with a StatusCheck that fails"""


class WorkflowSpec(Camel):
    """The templates, and which comes first."""

    entry: str = ""
    """the template of the first node"""
    templates: Listed[Template] = ()
    """what nodes are made of"""


class WorkflowObject(Camel):
    """A Chaos Mesh Workflow."""

    api_version: Literal["chaos-mesh.org/v1alpha1"]
    """the API group and its version"""
    kind: Literal["Workflow"]
    """Workflow"""
    metadata: Metadata
    """name and namespace"""
    spec: WorkflowSpec
    """the templates, and which comes first"""


def problems(read: WorkflowObject) -> Iterator[Problem]:
    """What an API server refuses of it beside its shapes."""
    for problem in metadata_problems(read.metadata):
        yield Problem(("metadata", *problem.key_path), problem.complaint, problem.value)
    spec = read.spec
    names = [template.name for template in spec.templates]
    if not names:
        yield Problem(("spec", "templates"), "expected at least one template", [])
    if spec.entry not in names:
        complaint = f"expected the name of a template{suggestion(spec.entry, names)}"
        yield Problem(("spec", "entry"), complaint, spec.entry)
    for index, template in enumerate(spec.templates):
        where = ("spec", "templates", index)
        if not is_name(template.name):
            complaint = "expected a name of lower-case letters, digits, inner '-' and '.'"
            yield Problem((*where, "name"), complaint, template.name)
        if template.name in names[:index]:
            yield Problem((*where, "name"), "expected a name that no other template has", template.name)
        for problem in _template_problems(template, names):
            yield Problem((*where, *problem.key_path), problem.complaint, problem.value)


def _template_problems(template: Template, names: list[str]) -> Iterator[Problem]:
    type_, blocks = template.template_type, template.blocks()
    if type_ not in _TYPES:
        complaint = f"expected one of {', '.join(_TYPES)}{suggestion(type_, _TYPES)}"
        yield Problem(("templateType",), complaint, type_)
        return
    if type_ == "Suspend" and not template.deadline:
        yield Problem(("deadline",), "expected this key: it says how long a Suspend takes", template.deadline)
    if type_ in _INNER:
        for index, child in enumerate(template.children):
            if child not in names:
                complaint = f"expected the name of a template{suggestion(child, names)}"
                yield Problem(("children", index), complaint, child)
    has = {
        "task": (template.task is not None, ("Task",)),
        "children": (bool(template.children), _INNER),
        "conditionalBranches": (bool(template.conditional_branches), ("Task",)),
        "schedule": (template.schedule is not None, ("Schedule",)),
        **dict.fromkeys(blocks, (True, (*BLOCKS,))),
    }
    for key, (there, allowed) in has.items():
        if there and type_ not in allowed:
            yield Problem((key,), f"expected no such key in a template of type {type_}")
    if type_ in BLOCKS and BLOCKS[type_] not in blocks:
        yield Problem((BLOCKS[type_],), f"expected this key (the spec of a {type_}), got nothing")
    elif type_ in BLOCKS and "duration" in blocks[BLOCKS[type_]]:
        complaint = "expected no duration inside of a Workflow: the template's deadline ends the fault"
        value = blocks[BLOCKS[type_]]["duration"]
        yield Problem((BLOCKS[type_], "duration"), complaint, value)


def doubts(read: WorkflowObject) -> Iterator[Doubt]:
    """What an API server takes and nobody can have meant, but for what templates create."""
    templates = {template.name: template for template in read.spec.templates}
    for index, template in enumerate(read.spec.templates):
        where = ("spec", "templates", index)
        try:
            go_duration_ns(template.deadline or "0s")
        except ValueError:
            complaint = "expected a duration: with one that cannot be read, its nodes are never made"
            yield never("unreadable-deadline", (*where, "deadline"), complaint, template.deadline)
        if template.name in _below(template, templates):
            complaint = "expected no template that is made of itself: this one never ends"
            yield never("endless", (*where, "children"), complaint, [*template.children])
        needed = {"Task": template.task, "Schedule": template.schedule, "StatusCheck": template.status_check}
        if template.template_type in needed and needed[template.template_type] is None:
            complaint = f"expected what the {template.template_type} is: without it, its nodes are never over"
            yield Doubt("missing-block", Problem(where, complaint), starts=False)


def _below(template: Template, templates: Mapping[str, Template]) -> set[str]:
    """The names of all templates that nodes of this one are made of."""
    found: set[str] = set()
    left = [*template.children]
    while left:
        name = left.pop()
        if name not in found and name in templates:
            found.add(name)
            left += templates[name].children
    return found
