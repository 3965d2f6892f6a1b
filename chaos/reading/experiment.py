"""Reading an experiment: its file, the manifest that it names and its assertions, understood as a whole."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.errors import InputError
from chaos.quantities import duration_text
from chaos.reading import documents
from chaos.reading.assertions import Assertion, parse
from chaos.reading.chaos_mesh import PodKill, Selector, pod_kill
from chaos.reading.documents import Document, Problem
from chaos.reading.experiment_file import ExperimentSpec, LocalTarget
from chaos.reading.strict import build
from chaos.targets.local.naming import node_name

MANIFEST_COPY = "manifest.yaml"
"""Lies beside the experiment in a run folder, so that the folder can be run again as it is."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment file with everything that it refers to."""

    path: Path
    spec: ExperimentSpec
    kill: PodKill
    assertions: tuple[Assertion, ...]
    rate_at: str
    """File and line of `load.rate`, as its author wrote it."""


def read_experiment(path: Path) -> Experiment:
    """The experiment of a file, with its manifest.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem of the
            experiment or, when that is sound, of its manifest.
    """
    document = documents.read_document(path)
    spec = build(document, ExperimentSpec)
    manifest_path = path.parent / spec.fault.manifest
    assertions, problems = _parsed(spec.assertions)
    problems += [*_timing_problems(spec), *_target_problems(spec)]
    if not manifest_path.is_file():
        complaint = f"expected a file, there is none at {manifest_path}"
        problems.append(Problem(("fault", "manifest"), complaint, spec.fault.manifest))
    if problems:
        raise document.refusal(problems)
    manifest = documents.read_document(manifest_path)
    kill = pod_kill(manifest)
    _refuse_foreign_selector(manifest, kill, spec)
    rate_at = f"{path}:{document.marks['load', 'rate'].line}"
    return Experiment(path, spec, kill, assertions, rate_at)


def read_file(path: Path) -> Experiment | tuple[PodKill, ...]:
    """An experiment, or the faults of a bare manifest of one or more documents: what has an `apiVersion`.

    Raises:
        InputError: as `read_experiment`; for a manifest, for every problem of its first wrong document.
    """
    found = documents.read_documents(path)
    if any("apiVersion" in document.values for document in found):
        return tuple(pod_kill(document) for document in found)
    return read_experiment(path)


def write_as_run(experiment: Experiment, path: Path, *, seed: int, versions: Mapping[str, str]) -> Experiment:
    """Write the experiment as run, defaults spelled out, and its manifest beside it; returns it read back."""
    fault = experiment.spec.fault.model_copy(update={"manifest": MANIFEST_COPY})
    spec = experiment.spec.model_copy(update={"seed": seed, "versions": dict(versions), "fault": fault})
    shutil.copyfile(experiment.kill.manifest_path, path.with_name(MANIFEST_COPY))
    return rewrite(replace(experiment, path=path), spec)


def rewrite(experiment: Experiment, spec: ExperimentSpec) -> Experiment:
    """Put other values into the file of an experiment, its manifest left as it is; returns it read back."""
    text = documents.dump(spec.model_dump(by_alias=True, exclude_none=True))
    experiment.path.write_text(text, encoding="utf-8")
    return replace(read_experiment(experiment.path), rate_at=experiment.rate_at)


def _parsed(expressions: tuple[str, ...]) -> tuple[tuple[Assertion, ...], list[Problem]]:
    parsed, problems = [], []
    for index, expression in enumerate(expressions):
        try:
            parsed.append(parse(expression))
        except InputError as error:
            problems.append(Problem(("assertions", index), str(error)))
    return tuple(parsed), problems


def _timing_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    recovery = spec.recovery
    if recovery.window_s > recovery.hold_s:
        complaint = f"expected at most recovery.hold = {duration_text(recovery.hold_s)}"
        yield Problem(("recovery", "window"), complaint, duration_text(recovery.window_s))
    needed_s = recovery.within_s + recovery.hold_s
    if spec.phases.observe_s < needed_s:
        complaint = f"expected at least recovery.within + recovery.hold = {duration_text(needed_s)}"
        yield Problem(("phases", "observe"), complaint, duration_text(spec.phases.observe_s))


def _target_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    local = spec.target.local
    if not any("{port}" in text for text in (*local.command, *local.env.values())):
        complaint = "expected {port} in it, or in env: replicas cannot share one port"
        yield Problem(("target", "local", "command"), complaint, list(local.command))
    for index, zone in enumerate(local.zones):
        if zone in local.zones[:index]:
            yield Problem(("target", "local", "zones", index), "expected each zone once", zone)


def _refuse_foreign_selector(manifest: Document, kill: PodKill, spec: ExperimentSpec) -> None:
    """Refuse what could select nothing, or fail, in the target of this experiment."""
    selector, local = kill.selector, spec.target.local
    problems = []
    if local.namespace not in (selector.pods or selector.namespaces):
        where = "pods" if selector.pods else "namespaces"
        complaint = f"expected to include {local.namespace}, where the target's replicas live"
        problems.append(Problem((where,), complaint, ", ".join(selector.pods or selector.namespaces)))
    if not selector.pods:
        problems += [*_label_problems(selector, local), *_node_problems(selector, local)]
    if problems:
        raise manifest.refusal(
            Problem(("spec", "selector", *problem.key_path), problem.complaint, problem.value)
            for problem in problems
        )


def _label_problems(selector: Selector, local: LocalTarget) -> Iterator[Problem]:
    labels = {"app": [local.app], "zone": local.zones, **{key: [text] for key, text in local.labels.items()}}
    for key, value in selector.label_selectors.items():
        if key == "pod-template-hash":
            continue
        if key not in labels:
            complaint = f"expected a label of the target's replicas: {', '.join(labels)}"
            yield Problem(("labelSelectors", key), complaint, value)
        elif value not in labels[key]:
            complaint = f"expected what the target's replicas have: {' or '.join(labels[key])}"
            yield Problem(("labelSelectors", key), complaint, value)


def _node_problems(selector: Selector, local: LocalTarget) -> Iterator[Problem]:
    nodes = [node_name(zone) for zone in local.zones]
    for index, node in enumerate(selector.nodes):
        if node not in nodes:
            yield Problem(("nodes", index), f"expected a node of the target: {', '.join(nodes)}", node)
