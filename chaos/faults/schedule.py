"""Schedule: an object that creates faults, or Workflows, again and again.

Source of the semantics: chaos-mesh/chaos-mesh, `controllers/schedule`, and a live one: children are deleted a moment
after their Schedule. It is read as though it were created at midnight of a Monday that is the first of a month, so that
a run does the same at whatever time it is started; kinder than Chaos Mesh in one thing: a time that `Forbid` skips does
not stop the ones after it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.faults.blocks import BLOCKS, Blocks
from chaos.faults.doubts import Doubt, never
from chaos.faults.fault import Fault
from chaos.faults.manifest import Camel, Metadata, metadata_problems
from chaos.faults.occurrence import Occurrence, Planned, doubts_of_part
from chaos.faults.workflow import Workflow
from chaos.reading import cron
from chaos.reading.documents import Document, Problem
from chaos.reading.kubernetes import part, without_added
from chaos.reading.strict import build, suggestion

CREATED = datetime(2024, 1, 1)  # noqa: DTZ001 - of no time zone
"""When a Schedule is taken to be created."""
DELETED_LATER_S = 0.1
"""How much later than their Schedule its children are deleted: 0.04 to 0.2 s on a live one."""
MOST = 1_000
"""Of times in one run."""


def _when(text: str) -> str:
    try:
        cron.parse(text)
    except ValueError as error:
        expected = {"expected": cron.CRON, "reason": str(error)}
        raise PydanticCustomError("cron", "{expected} ({reason})", expected) from error
    return text


class ScheduleSpec(Blocks):
    """What is created, and when."""

    schedule: Annotated[str, AfterValidator(_when)]
    """when: five or six fields of cron, or @every and a duration"""
    type: str
    """the kind of what is created"""
    concurrency_policy: Literal["Forbid", "Allow"] = "Forbid"
    """whether one may begin while the last one is still there"""
    history_limit: Annotated[int, Field(ge=0)] = 0
    """how many are kept when they are over"""
    starting_deadline_seconds: Annotated[int, Field(gt=0, lt=2**63)] | None = None
    """how late one may begin"""
    workflow: Mapping[str, Any] | None = None
    """the spec of a Workflow"""


class InnerScheduleSpec(ScheduleSpec):
    """The same inside of a Workflow, where nothing is filled in."""

    concurrency_policy: Literal["Forbid", "Allow"]
    """whether one may begin while the last one is still there"""


class ScheduleObject(Camel):
    """A Chaos Mesh Schedule."""

    api_version: Literal["chaos-mesh.org/v1alpha1"]
    """the API group and its version"""
    kind: Literal["Schedule"]
    """Schedule"""
    metadata: Metadata
    """name and namespace"""
    spec: ScheduleSpec
    """what is created, and when"""


class InnerScheduleObject(ScheduleObject):
    """The same inside of a Workflow."""

    spec: InnerScheduleSpec
    """what is created, and when"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One Schedule of one manifest, with what it creates."""

    name: str
    namespace: str
    when: cron.Every | cron.Calendar
    forbids: bool
    """A time is skipped while what the last one created is still in force."""
    child: Planned
    document: Document
    spec: Mapping[str, Any]
    """As written, with every default."""
    doubts: tuple[Doubt, ...] = ()
    label: str = "Schedule"

    @property
    def runs_nowhere(self) -> str | None:
        """Why no kind of target can run it; None where one can."""
        if isinstance(self.child, Workflow) and self.child.checks:
            return "how often it begins depends on what a StatusCheck of its Workflow is answered"
        return self.child.runs_nowhere

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What it can inject."""
        return self.child.faults

    def occurrences(self, at_s: float, until_s: float | None) -> Iterator[Occurrence]:
        """What it injects when it is created at one time and deleted at another, in order.

        Raises:
            ValueError: it is never deleted, or creates more than anybody can have meant.
        """
        if until_s is None:
            raise ValueError("it goes on until it is deleted")
        times_s = takewhile(lambda time_s: time_s < until_s, self._times_s(at_s))
        over_s: float | None = at_s
        for number, time_s in enumerate(times_s):
            if number >= MOST:
                raise ValueError(f"it begins more than {MOST} times in one run")
            if not self.forbids or (over_s is not None and over_s <= time_s):
                yield from self.child.occurrences(time_s, until_s + DELETED_LATER_S)
                over_s = self.child.over_s(time_s)

    def over_s(self, at_s: float) -> float | None:  # noqa: ARG002
        """Never by itself."""
        return None

    def _times_s(self, at_s: float) -> Iterator[float]:
        return (at_s + (moment - CREATED).total_seconds() for moment in self.when.after(CREATED))


def read_schedule(
    document: Document, namespace: str, read_part: Callable[[Document, str], Planned], *, inner: bool = False
) -> Schedule:
    """The Schedule of one manifest document, or of a template of a Workflow.

    Args:
        document: of one object.
        namespace: of an object that names none.
        read_part: reads what it creates.
        inner: it is part of a Workflow.

    Raises:
        InputError: naming every problem of it, or of what it creates.
    """
    document = without_added(document)
    read = build(document, InnerScheduleObject if inner else ScheduleObject)
    if problems := [*_problems(read)]:
        raise document.refusal(problems)
    spec, where = read.spec, read.metadata.namespace or namespace
    key = "workflow" if spec.type == "Workflow" else BLOCKS[spec.type]
    written = document.values["spec"][key]
    child = read_part(part(document, spec.type, (key,), written), where)
    return Schedule(
        name=read.metadata.called,
        namespace=where,
        when=cron.parse(spec.schedule),
        forbids=spec.concurrency_policy == "Forbid",
        child=child,
        document=document,
        spec={
            **spec.model_dump(by_alias=True, mode="json", exclude_none=True),
            key: child.spec if inner else _unfilled(child.spec, written),
        },
        doubts=(*_doubts(read, key), *doubts_of_part(child, key)),
    )


def _unfilled(spec: Any, written: Any) -> Any:
    """The same, its selectors without the namespaces that are filled in only once it is created."""
    if isinstance(spec, Mapping):
        known = written if isinstance(written, Mapping) else {}
        return {
            key: _unfilled(value, known.get(key))
            for key, value in spec.items()
            if key != "namespaces" or known.get(key)
        }
    if isinstance(spec, list) and isinstance(written, list) and len(spec) == len(written):
        return [_unfilled(one, other) for one, other in zip(spec, written, strict=True)]
    return spec


def _problems(read: ScheduleObject) -> Iterator[Problem]:
    for problem in metadata_problems(read.metadata):
        yield Problem(("metadata", *problem.key_path), problem.complaint, problem.value)
    spec, known = read.spec, (*BLOCKS, "Workflow")
    if spec.type not in known:
        complaint = f"expected one of {', '.join(known)}{suggestion(spec.type, known)}"
        yield Problem(("spec", "type"), complaint, spec.type)
    elif (spec.workflow is None) if spec.type == "Workflow" else (BLOCKS[spec.type] not in spec.blocks()):
        key = BLOCKS.get(spec.type, "workflow")
        yield Problem(("spec", key), f"expected this key (the spec of a {spec.type}), got nothing")


def _doubts(read: ScheduleObject, key: str) -> Iterator[Doubt]:
    if read.metadata.paused:
        complaint = "expected no pause: while it is there, nothing is created"
        yield never("paused", ("metadata", "annotations"), complaint, "true")
    others = {*read.spec.blocks(), *(("workflow",) if read.spec.workflow is not None else ())} - {key}
    for other in sorted(others):
        complaint = f"expected no such key: only what fits type {read.spec.type} is created"
        yield Doubt("ignored-block", Problem(("spec", other), complaint))
