"""What an experiment injects: each of its faults read from its manifest, and laid out in time.

A Schedule or a Workflow comes to several injections: each is a fault of its own, with its draw and its proof.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.errors import InputError
from chaos.experiment.file import FaultEntry
from chaos.faults.fault import Fault
from chaos.faults.injection import PlannedFault
from chaos.faults.kinds import NAMESPACE
from chaos.faults.manifest import Selector
from chaos.faults.objects import read_manifest
from chaos.faults.occurrence import Alone, Occurrence, Planned
from chaos.faults.selection import candidates, foreign
from chaos.faults.timetable import Entry
from chaos.faults.workflow import Workflow
from chaos.faults.workflow_course import Check
from chaos.reading.documents import Document, KeyPath, Problem, read_documents
from chaos.reading.quantities import duration_text
from chaos.targets.options import TargetOptions


@dataclass(frozen=True, slots=True)
class Asked:
    """One fault of an experiment's file."""

    where: KeyPath
    """Its place in the file."""
    entry: FaultEntry
    manifest: Path


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault, once: what is injected, and when."""

    where: KeyPath
    """The place of its entry in the file."""
    entry: FaultEntry
    planned: PlannedFault
    timed: Entry
    source: Planned
    """The object of the manifest that it comes from."""
    place: str = ""
    """Where in the tree of a Workflow it is."""

    def again(self, occurrence: Occurrence | None) -> Entry:
        """The same at another time, or never."""
        if occurrence is None:
            return replace(self.timed, begins=False)
        return replace(self.timed, at_s=occurrence.at_s, until_s=occurrence.until_s)


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """One StatusCheck of a Workflow."""

    id: str
    """Such as `ready#1`."""
    source: Workflow
    first: int
    """The number of the Workflow's first injection."""
    check: Check
    """In seconds after the end of the baseline, as late as can be."""


@dataclass(frozen=True, slots=True)
class Injections:
    """All of an experiment."""

    injections: tuple[Injection, ...]
    checks: tuple[PlannedCheck, ...]
    """What is asked in between."""
    first_s: float
    """When the first one begins at the latest, after the end of the baseline."""
    last_s: float
    """When the last one has begun, or ended, after the end of the baseline."""
    problems: tuple[Problem, ...]
    """Of the experiment's file."""


def read_injections(asked: Sequence[Asked], target: TargetOptions) -> Injections:
    """Everything that an experiment injects into its target, and what of it cannot be.

    Raises:
        InputError: a manifest is wrong, or could select nothing in this target.
    """
    found: list[Injection] = []
    checks: list[PlannedCheck] = []
    problems: list[Problem] = []
    for one in asked:
        source = _object(one.manifest, target)
        occurrences, wrong = _occurrences(one, source)
        problems += [*wrong, *_fidelity_problems(one, source, target)]
        first = len(found)
        if occurrences and isinstance(source, Workflow):
            checks += _checks(one, source, first, checks)
        ids = {each.check.place: each.id for each in checks if each.first == first}
        found += [_injection(one, source, occurrence, first, ids) for occurrence in occurrences]
    first_s = min((_begins_s(injection.timed) for injection in found), default=0.0)
    last_s = max((_last_s(injection.timed) for injection in found), default=0.0)
    return Injections(tuple(found), tuple(checks), first_s, last_s, tuple(problems))


def _object(manifest: Path, target: TargetOptions) -> Planned:
    """The one object of a manifest, which the target can select for.

    An object that names no namespace is taken to be in the one that the target's replicas live in, as kubectl
    takes the one of its context.
    """
    planned = target.planned(0)
    namespaces = {replica.namespace for replica in planned.replicas}
    namespaces |= {planned.namespace} if planned.namespace is not None else set()
    if "experiment" in read_documents(manifest)[0].values:
        raise InputError(f"{manifest}: expected a manifest, which has an apiVersion, got an experiment")
    found = read_manifest(manifest, namespaces.pop() if len(namespaces) == 1 else NAMESPACE)
    if len(found) != 1:
        raise InputError(
            f"{manifest}: expected one document, got {len(found)}", hint="split the file at its `---`"
        )
    for fault in found[0].faults:
        if fault.selection is not None and target.fidelity(fault).level != "unsupported":
            _refuse_foreign_selector(fault.document, fault.selection.selector, target)
    return found[0]


def _refuse_foreign_selector(manifest: Document, selector: Selector, target: TargetOptions) -> None:
    planned = target.planned(0)
    if planned.unknown:
        return
    problems = [*foreign(selector, planned.replicas, planned.nodes)]
    if not problems and not selector.pods and not candidates(selector, planned.replicas, planned.nodes):
        problems = [Problem((), "expected to match a replica of the target, it matches none")]
    if problems:
        raise manifest.refusal(
            replace(problem, key_path=("spec", "selector", *problem.key_path)) for problem in problems
        )


def _occurrences(one: Asked, source: Planned) -> tuple[list[Occurrence], list[Problem]]:
    """What an object comes to between its creation and its deletion, and what of that does not fit into a run."""
    entry = one.entry
    if entry.until_s is not None and entry.until_s <= entry.at_s:
        complaint = f"expected later than at = {duration_text(entry.at_s)}"
        return [], [Problem((*one.where, "until"), complaint, duration_text(entry.until_s))]
    try:
        found = [*source.occurrences(entry.at_s, entry.until_s)]
    except ValueError as error:
        return [], [Problem((*one.where, "until"), f"expected this key: {error}")]
    if isinstance(source, Alone):
        return found, [*_alone_problems(one, source.fault)]
    return found, [*_repeated_problems(one, source, found)]


def _alone_problems(one: Asked, fault: Fault) -> Iterator[Problem]:
    entry, timed = one.entry, _timed(one.entry, Occurrence(fault, one.entry.at_s, one.entry.until_s))
    if not timed.lasts and entry.until_s is not None:
        complaint = f"expected no end: {fault.kind.label} is over at once"
        yield Problem((*one.where, "until"), complaint, duration_text(entry.until_s))
    elif timed.lasts and timed.ends_s is None:
        complaint = (
            "expected this key, or spec.duration in the manifest: a fault that lasts must end in the run"
        )
        yield Problem((*one.where, "until"), complaint)


def _repeated_problems(one: Asked, source: Planned, found: Sequence[Occurrence]) -> Iterator[Problem]:
    if one.entry.when is not None:
        complaint = f"expected no condition: a {source.label} has times of its own"
        yield Problem((*one.where, "when"), complaint)
    if not found:
        complaint = (
            f"expected a {source.label} that begins a fault before it is deleted; this one begins none"
        )
        yield Problem((*one.where, "manifest"), complaint, one.entry.manifest)
    if any(each.fault.kind.lasts and each.entry().ends_s is None for each in found):
        complaint = f"expected this key: a fault of the {source.label} would never end"
        yield Problem((*one.where, "until"), complaint)


def _fidelity_problems(one: Asked, source: Planned, target: TargetOptions) -> Iterator[Problem]:
    reason = source.runs_nowhere
    if reason is None and isinstance(source, Workflow):
        reason = next(_unasked(source, target), None)
    if reason is None:
        levels = [target.fidelity(fault) for fault in source.faults]
        reason = next((each.reason for each in levels if each.level == "unsupported"), None)
    if reason is not None:
        complaint = f"expected a fault that the target {target.kind} can inject, {reason}"
        yield Problem((*one.where, "manifest"), complaint, one.entry.manifest)


def _unasked(source: Workflow, target: TargetOptions) -> Iterator[str]:
    """Why a StatusCheck of it cannot be asked."""
    for name, spec in source.checks.items():
        assert spec.http is not None
        if (why := target.cannot_ask(spec.http.url)) is not None:
            yield f"its StatusCheck {name} asks {spec.http.url}, {why}"


def _checks(
    one: Asked, source: Workflow, first: int, before: Sequence[PlannedCheck]
) -> Iterator[PlannedCheck]:
    count = Counter(each.check.name for each in before)
    for check in source.course(one.entry.at_s, one.entry.until_s).checks:
        count[check.name] += 1
        yield PlannedCheck(f"{check.name}#{count[check.name]}", source, first, check)


def _injection(
    one: Asked, source: Planned, occurrence: Occurrence, first: int, check_ids: Mapping[str, str]
) -> Injection:
    entry = one.entry
    planned = PlannedFault(occurrence.fault, entry.blast_radius, entry.control)
    after = None if occurrence.after_check is None else check_ids[occurrence.after_check]
    timed = replace(_timed(entry, occurrence), later_as=first, after_check=after)
    return Injection(one.where, entry, planned, timed, source, occurrence.place)


def _timed(entry: FaultEntry, occurrence: Occurrence) -> Entry:
    within_s = None if entry.when is None else entry.when.within_s
    return replace(occurrence.entry(entry.jitter_s), within_s=within_s)


def _begins_s(timed: Entry) -> float:
    return timed.at_s + (timed.within_s or 0.0)


def _last_s(timed: Entry) -> float:
    return _begins_s(timed) if timed.ends_s is None else timed.ends_s
