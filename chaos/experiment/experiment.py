"""Reading an experiment: its file, the manifests that it names and its assertions, understood as a whole."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.assertions.grammar import Assertion, parse
from chaos.errors import InputError
from chaos.experiment.claims import claim_problems, claims_need_s
from chaos.experiment.file import CHOSEN_S, ExperimentSpec, FaultEntry
from chaos.experiment.injections import Asked, Injection, PlannedCheck, read_injections
from chaos.experiment.load import keep_trace, length_problems, load_problems, relative_trace, with_its_trace
from chaos.experiment.objectives import filled_in, with_objectives
from chaos.experiment.watched import Watched, watched_problems
from chaos.faults.injection import PlannedFault
from chaos.faults.kinds import NAMESPACE
from chaos.faults.objects import read_object
from chaos.faults.occurrence import Planned
from chaos.faults.timetable import Timetable, timetable
from chaos.faults.workflow import Workflow
from chaos.faults.workflow_course import Known
from chaos.reading import documents
from chaos.reading.documents import Document, KeyPath, Problem
from chaos.reading.kubernetes import objects
from chaos.reading.quantities import duration_text
from chaos.reading.strict import build
from chaos.targets.options import Opening, TargetOptions
from exporters.slo import Objective

_AFTER_END = "recovery.service_after_end"

MANIFEST_COPY = "manifest.yaml"
"""Lies beside the experiment in a run folder, so that the folder can be run again as it is; several are numbered."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment file with everything that it refers to."""

    path: Path
    spec: ExperimentSpec
    injections: tuple[Injection, ...]
    assertions: tuple[Assertion, ...]
    rate_at: str
    """File and line of `load.rate`, as its author wrote it."""
    checks: tuple[PlannedCheck, ...] = ()
    """What its Workflows ask."""
    held_to: Path | None = None
    """A file of objectives in place of its own."""

    def refusal(self, problems: Iterable[Problem]) -> InputError:
        """The error that names every problem, with its line in the file."""
        return with_objectives(documents.read_document(self.path), self.held_to).refusal(problems)

    @property
    def target(self) -> TargetOptions:
        """Where it happens."""
        return self.spec.target.chosen

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What it is held to, as rules and panels have it."""
        return self.spec.slo.objectives

    @property
    def faults(self) -> tuple[PlannedFault, ...]:
        """What is injected, in the order of the file; what a Schedule or a Workflow repeats is there again."""
        return tuple(injection.planned for injection in self.injections)

    def opening(
        self, folder: Path, run_metrics_address: str, on_progress: Callable[[int, int], None]
    ) -> Opening:
        """What a run in this folder gives its target; the run's own series are told at that host and port."""
        load = self.spec.load
        return Opening(
            experiment=self.spec.experiment,
            folder=folder,
            seed=self.spec.seed or 0,
            run_metrics_address=run_metrics_address,
            objectives=self.objectives,
            **{key: getattr(load, key) for key in ("ignore_eos", "body", "model", "api_key_env")},
            on_progress=on_progress,
        )

    @property
    def baseline_ends_s(self) -> float:
        """On the run clock."""
        return self.spec.phases.warmup_s + self.spec.phases.baseline_s

    def timetable(self, known: Mapping[int, Known] | None = None) -> Timetable:
        """When what is done; exact once the baseline's length is known, and what StatusChecks were answered.

        Args:
            known: of the Workflow whose first injection has that number; absent: all is as late as can be.
        """
        entries = [injection.timed for injection in self.injections]
        for first, told in (known or {}).items():
            one = self.injections[first]
            assert isinstance(one.source, Workflow)
            walked = one.source.course(one.entry.at_s, one.entry.until_s, told).occurrences
            found = {occurrence.place: occurrence for occurrence in walked}
            for number, each in enumerate(self.injections):
                if each.timed.later_as == first:
                    entries[number] = each.again(found.get(each.place))
        return timetable(entries, self.spec.seed or 0, self.baseline_ends_s)


def read_experiment(path: Path, slo: Path | None = None) -> Experiment:
    """The experiment of a file, with its manifests; with `slo`, a file of objectives in place of its own.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem of the
            experiment or, when that is sound, of its first wrong manifest.
    """
    document = documents.read_document(path)
    _refuse_manifest(document)
    document = with_objectives(document, slo)
    spec = with_its_trace(build(document, ExperimentSpec), path.parent)
    assertions, problems = _parsed(spec)
    if found := [*load_problems(spec)]:  # without them it has a rate, or will have one
        problems += found
    else:
        spec = _with_a_baseline(spec, assertions)
        problems += length_problems(spec)
    first_s = min((entry.at_s for entry in spec.entries), default=0.0)
    planned_s = max((max(entry.at_s, entry.until_s or 0.0) for entry in spec.entries), default=0.0)
    problems += [
        *_window_problems(spec),
        *_observe_problems(spec, assertions, first_s, planned_s),
        *_target_problems(spec),
        *claim_problems(spec, assertions),
        *_list_problems(spec),
        *_watched_problems(spec),
        *_missing_manifests(spec, path.parent),
    ]
    if problems:
        raise document.refusal(problems)
    asked = (Asked(where, entry, path.parent / entry.manifest) for where, entry in _entries(spec))
    injected = read_injections([*asked], spec.target.chosen)
    if problems := [
        *injected.problems,
        *_observe_problems(spec, assertions, injected.first_s, injected.last_s),
    ]:
        raise document.refusal(problems)
    said_by = next(key for key in ("rate", "profile", "trace") if ("load", key) in document.marks)
    rate_at = f"{path}:{document.marks['load', said_by].line}"
    return Experiment(path, spec, injected.injections, assertions, rate_at, injected.checks, held_to=slo)


def _refuse_manifest(document: Document) -> None:
    if "apiVersion" in document.values:
        raise InputError(
            f"{document.path}: expected an experiment, got a manifest",
            hint="`aftershock validate` reads it; an experiment names it as `manifest:` of its fault",
        )


def read_file(
    path: Path, namespace: str = NAMESPACE, slo: Path | None = None
) -> Experiment | tuple[Planned, ...]:
    """An experiment, or the objects of a bare manifest of one or more documents: what has an `apiVersion`.

    Args:
        path: the file.
        namespace: of objects that name none.
        slo: a file of objectives that an experiment is held to in place of its own.

    Raises:
        InputError: as `read_experiment`; for a manifest, for every problem of its first wrong object.
    """
    found = documents.read_documents(path)
    if any("apiVersion" in document.values for document in found):
        return tuple(read_object(one, namespace) for document in found for one in objects(document))
    return read_experiment(path, slo)


def write_as_run(experiment: Experiment, path: Path, *, seed: int, versions: Mapping[str, str]) -> Experiment:
    """Write the experiment as run, defaults spelled out, with manifests and trace beside it; returns it read back."""
    copies = []
    entries = experiment.spec.entries
    for number, entry in enumerate(entries, 1):
        stem, suffix = MANIFEST_COPY.rsplit(".", 1)
        name = MANIFEST_COPY if len(entries) == 1 else f"{stem}-{number}.{suffix}"
        shutil.copyfile(experiment.path.parent / entry.manifest, path.with_name(name))
        copies.append(entry.model_copy(update={"manifest": name}))
    single = experiment.spec.fault is not None
    faults = {"fault": copies[0]} if single else {"faults": tuple(copies)}
    spec = keep_trace(experiment.spec, path.parent)
    spec = spec.model_copy(update={"seed": seed, "versions": dict(versions), **faults})
    return rewrite(replace(experiment, path=path), spec)


def rewrite(experiment: Experiment, spec: ExperimentSpec) -> Experiment:
    """Put other values into the file of an experiment, its manifests left as they are; returns it read back."""
    spec = relative_trace(spec, experiment.path.parent)
    values = spec.model_dump(by_alias=True, exclude_none=True)
    if spec.fault is not None:
        del values["faults"]
    experiment.path.write_text(documents.dump(values), encoding="utf-8")
    return replace(read_experiment(experiment.path), rate_at=experiment.rate_at)


def _entries(spec: ExperimentSpec) -> Iterator[tuple[KeyPath, FaultEntry]]:
    """Every fault with its place in the file."""
    if spec.fault is not None:
        yield ("fault",), spec.fault
    for index, entry in enumerate(spec.faults):
        yield ("faults", index), entry


def _missing_manifests(spec: ExperimentSpec, folder: Path) -> Iterator[Problem]:
    for where, entry in _entries(spec):
        if not (folder / entry.manifest).is_file():
            complaint = f"expected a file, there is none at {folder / entry.manifest}"
            yield Problem((*where, "manifest"), complaint, entry.manifest)


def _parsed(spec: ExperimentSpec) -> tuple[tuple[Assertion, ...], list[Problem]]:
    parsed, problems = [], []
    objectives = {each.name: each for each in spec.slo.objectives}
    for index, expression in enumerate(spec.assertions):
        try:
            parsed.append(parse(filled_in(expression, objectives)))
        except InputError as error:
            problems.append(Problem(("assertions", index), str(error)))
    return tuple(parsed), problems


def _with_a_baseline(spec: ExperimentSpec, assertions: Sequence[Assertion]) -> ExperimentSpec:
    """With a baseline that holds its claims where the file has none and the rate is known; 20 s until it is."""
    if "baseline_s" in spec.phases.model_fields_set:
        return spec
    rate_per_s = spec.load.rate_per_s
    needed_s = (
        0.0
        if rate_per_s is None
        else claims_need_s(assertions, rate_per_s, spec.slo.e2e_s, spec.load.share_of)
    )
    chosen_s = 0.0 if spec.observes else max(CHOSEN_S, needed_s)
    return spec.model_copy(update={"phases": spec.phases.model_copy(update={"baseline_s": chosen_s})})


def _window_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    recovery = spec.recovery
    if recovery.window_s is not None and recovery.window_s > recovery.hold_s:
        complaint = f"expected at most recovery.hold = {duration_text(recovery.hold_s)}"
        yield Problem(("recovery", "window"), complaint, duration_text(recovery.window_s))


def _target_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    target = spec.target.chosen
    for problem in target.problems():
        yield Problem(("target", target.kind, *problem.key_path), problem.complaint, problem.value)


def _list_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    if spec.fault is not None and spec.faults:
        yield Problem(("faults",), "expected either fault or faults, not both")
    if not spec.entries and not spec.observes:
        yield Problem(
            ("fault",), "expected this key (what is injected, or a list of it as faults), got nothing"
        )
    if spec.entries and not spec.phases.baseline_s:
        yield Problem(
            ("phases", "baseline"), "expected above zero: what is injected is compared with it", "0s"
        )


def _watched_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    """What is wrong with conditions and guards."""
    watched: list[tuple[KeyPath, Watched]] = [
        ((*where, "when"), entry.when) for where, entry in _entries(spec) if entry.when is not None
    ]
    watched += [(("abort", index), guard) for index, guard in enumerate(spec.abort)]
    prometheus = spec.target.chosen.has_prometheus
    for where, each in watched:
        for problem in watched_problems(each, prometheus=prometheus):
            yield Problem((*where, *problem.key_path), problem.complaint, problem.value)


def _observe_problems(
    spec: ExperimentSpec, assertions: Sequence[Assertion], first_s: float, last_s: float
) -> Iterator[Problem]:
    """Whether a run goes on for long enough: after its first fault began, and after its last one began, or ended."""
    if spec.observes:
        return
    within_s, hold_s, observe_s = spec.recovery.within_s, spec.recovery.hold_s, spec.phases.observe_s
    after_end_s = max((one.bound for one in assertions if one.term.name == _AFTER_END), default=0.0)
    claimed = f" + the bound of {_AFTER_END}" if after_end_s else ""
    for sum_of, needed_s, which, at_s in (
        ("recovery.within + recovery.hold", within_s + hold_s, "first", first_s),
        (f"recovery.hold{claimed}", hold_s + after_end_s, "last", last_s),
    ):
        if observe_s < at_s + needed_s:
            after = f" after the {which} fault at {duration_text(at_s)}" if at_s else ""
            complaint = f"expected at least {sum_of} = {duration_text(needed_s)}{after}"
            yield Problem(("phases", "observe"), complaint, duration_text(observe_s))
            return
