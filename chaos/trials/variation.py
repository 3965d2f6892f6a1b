"""The experiment that a trial runs: the series' own with another seed, or the same with nothing for its faults."""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.errors import InputError
from chaos.experiment.experiment import Experiment, rewrite, write_as_run
from chaos.experiment.file import ExperimentSpec, FaultEntry
from chaos.faults.fault import Fault
from chaos.faults.manifest import OWN, Selection
from chaos.faults.occurrence import Alone
from chaos.reading import documents
from chaos.reading.quantities import duration_text
from chaos.record.trials import Trial
from chaos.run_folder import RunFolder, SeriesFolder

AT_ONCE_S = 1.0
"""How long a sham lasts that stands for a fault which is over at once: there must be something to look at."""


def write_templates(
    experiment: Experiment,
    folder: SeriesFolder,
    *,
    seed: int,
    jitter_s: float | None,
    versions: Mapping[str, str],
) -> tuple[Experiment, Experiment]:
    """Write what the trials are variations of into the series' folder: with the faults, and with shams for them.

    Both run for as long as a sham needs that stands for a fault which is over at once: all trials are of one length.

    Args:
        experiment: as its author wrote it.
        folder: of the series.
        seed: of the series.
        jitter_s: how much later the faults may be injected; None for what the experiment says.
        versions: of what takes part.

    Raises:
        InputError: a fault that nothing can stand for.
    """
    longer_s = AT_ONCE_S if any(not one.fault.kind.lasts for one in experiment.faults) else 0.0
    phases = experiment.spec.phases
    longer = phases.model_copy(update={"observe_s": phases.observe_s + longer_s})
    jittered = {} if jitter_s is None else {"jitter_s": jitter_s}
    entries = tuple(entry.model_copy(update=jittered) for entry in experiment.spec.entries)
    spec = _with(experiment.spec, entries).model_copy(update={"phases": longer})
    own = write_as_run(replace(experiment, spec=spec), folder.experiment, seed=seed, versions=versions)
    shams = tuple(
        _sham_entry(entry, _alone(own, entry), folder, number)
        for number, entry in enumerate(own.spec.entries, 1)
    )
    shutil.copyfile(folder.experiment, folder.sham)
    return own, rewrite(replace(own, path=folder.sham), _with(own.spec, shams))


def write_trial(
    templates: tuple[Experiment, Experiment], trial: Trial, folder: RunFolder, versions: Mapping[str, str]
) -> Experiment:
    """Write the experiment of one trial into its folder, and read it back."""
    return write_as_run(templates[trial.sham], folder.experiment, seed=trial.seed, versions=versions)


def first_fault_s(template: Experiment, seed: int) -> float:
    """When the first fault of a trial with this seed is injected, in seconds after the end of its baseline."""
    seeded = replace(template, spec=template.spec.model_copy(update={"seed": seed}))
    phases = seeded.spec.phases
    begins_s = min(step.at_s for step in seeded.timetable().steps if step.action == "inject")
    return begins_s - phases.warmup_s - phases.baseline_s


def _with(spec: ExperimentSpec, entries: tuple[FaultEntry, ...]) -> ExperimentSpec:
    faults = {"fault": entries[0]} if spec.fault is not None else {"faults": entries}
    return spec.model_copy(update=faults)


def _alone(experiment: Experiment, entry: FaultEntry) -> Fault:
    """The one fault of an entry."""
    source = next(one.source for one in experiment.injections if one.entry is entry)
    if not isinstance(source, Alone):
        at = source.document.path
        raise InputError(f"{at}: no sham can stand for a {source.label}: use --shams 0")
    return source.fault


def _sham_entry(entry: FaultEntry, fault: Fault, folder: SeriesFolder, number: int) -> FaultEntry:
    """The entry of a fault with a manifest that does nothing, which is written beside it."""
    path = folder.path / f"sham-{number}.yaml"
    path.write_text(documents.dump(_sham(fault, folder.path)), encoding="utf-8")
    return entry.model_copy(update={"manifest": path.name})


def _sham(fault: Fault, folder: Path) -> dict[str, Any]:
    """The manifest of nothing, aimed at whom the fault is aimed at, for as long."""
    duration = AT_ONCE_S if not fault.kind.lasts else fault.duration_s
    lasts = {} if duration is None else {"duration": duration_text(duration)}
    metadata = {"name": f"sham-{fault.name}"[:253].rstrip(".-"), "namespace": fault.namespace}
    if fault.selection is not None:
        chosen = fault.selection.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, include=set(Selection.model_fields)
        )
        return {"apiVersion": OWN, "kind": "Sham", "metadata": metadata, "spec": {**chosen, **lasts}}
    if fault.kind.kind != "Command":
        raise InputError(f"{fault.manifest_path}: no sham can stand for {fault.kind.label}: use --shams 0")
    mark = shlex.quote(str(folder.resolve() / "sham-in-force"))
    commands = {
        "do": ["sh", "-c", f"touch {mark}"],
        "prove": ["sh", "-c", f"test -e {mark}"],
        "undo": ["sh", "-c", f"rm -f {mark}"],
    }
    return {"apiVersion": OWN, "kind": "Command", "metadata": metadata, "spec": {**commands, **lasts}}
