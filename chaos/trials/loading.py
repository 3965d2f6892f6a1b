"""Earlier trials from their folders: a series, a single run as a series of one, or a folder that holds several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chaos.errors import InputError
from chaos.reading.documents import read_document
from chaos.record.trials import Trial, TrialState, read_series
from chaos.run_folder import RunFolder, SeriesFolder
from chaos.trials.outcome import completed

_BESIDE_THE_POINT = ("seed", "versions", "hypothesis", "load.capacity")
"""Keys in which any two runs may differ."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The trials with a fault of one folder, and what they were run with."""

    folder: Path
    experiment: str
    started_at: str
    trials: tuple[Trial, ...]
    settings: Mapping[str, str]
    """The experiment and its manifests, as texts by dotted key."""
    versions: Mapping[str, str]


def read_sample(path: Path) -> Sample:
    """The trials of a series, or the one of a run.

    Raises:
        InputError: it is neither, or its record is not one.
    """
    series, run = SeriesFolder(path), RunFolder(path)
    if series.trials.is_file():
        record = read_series(series.trials)
        ended = (trial for trial in record.trials if trial.state != TrialState.PLANNED and not trial.sham)
        return Sample(
            path,
            record.experiment,
            record.started_at,
            tuple(ended),
            _settings(series.experiment),
            record.versions,
        )
    if not run.journal.is_file():
        raise InputError(f"neither a series nor a run, it has no trials.json and no journal.json: {path}")
    values = _values(run.experiment)
    planned = Trial(
        number=1,
        folder=path.name,
        sham=False,
        seed=int(values.get("seed") or 0),
        state=TrialState.PLANNED,
    )
    trial = completed(planned, run.journal)
    versions = {str(name): str(version) for name, version in (values.get("versions") or {}).items()}
    name = str(values.get("experiment"))
    return Sample(path, name, trial.started_at, (trial,), _settings(run.experiment), versions)


def read_samples(paths: Sequence[Path], experiment: str | None = None) -> tuple[Sample, ...]:
    """Every series and run of these folders, or right below them, the oldest first; of one experiment.

    Raises:
        InputError: there is none, they are of several experiments, or one is not what a run leaves.
    """
    found = [read_sample(path) for path in _folders(paths)]
    if experiment is not None:
        found = [sample for sample in found if sample.experiment == experiment]
    names = sorted({sample.experiment for sample in found})
    if len(names) != 1:
        told = f"expected runs of one experiment, got those of {', '.join(names) or 'none'}"
        raise InputError(told, hint="--experiment NAME chooses one" if names else None)
    return tuple(sorted(found, key=lambda sample: (sample.started_at, str(sample.folder))))


def _folders(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if _is_one(path):
            yield path
            continue
        below = [one for one in sorted(path.iterdir()) if _is_one(one)] if path.is_dir() else []
        if not below:
            raise InputError(f"neither a series nor a run, nor a folder of them: {path}")
        yield from below


def _is_one(path: Path) -> bool:
    return SeriesFolder(path).trials.is_file() or RunFolder(path).journal.is_file()


def changes(a: Sample, b: Sample) -> tuple[str, ...]:
    """What two samples were not alike in, each as `key: A -> B`."""
    return tuple(
        f"{key}: {one.get(key, 'absent')} -> {other.get(key, 'absent')}"
        for one, other in ((a.settings, b.settings), (a.versions, b.versions))
        for key in [*dict.fromkeys([*one, *other])]
        if one.get(key) != other.get(key)
    )


def _values(path: Path) -> Mapping[str, Any]:
    return dict(read_document(path).values)


def _settings(path: Path) -> dict[str, str]:
    """Every setting of an experiment, those of its manifests in place of their names; none where it is gone."""
    if not path.is_file():
        return {}
    values = _as_asked(_values(path))
    for name in ("fault", "faults"):
        entries = values.get(name)
        if isinstance(entries, Mapping):
            values[name] = _with_manifest(path, entries)
        elif isinstance(entries, list):
            values[name] = [_with_manifest(path, entry) for entry in entries]
    flat = dict(_flat(values))
    return {
        key: text
        for key, text in flat.items()
        if not any(key == name or key.startswith(f"{name}.") for name in _BESIDE_THE_POINT)
    }


def _as_asked(values: Mapping[str, Any]) -> dict[str, Any]:
    """With the share of the capacity that a run's copy of its experiment has turned into a rate and a baseline."""
    load, phases = dict(values.get("load") or {}), dict(values.get("phases") or {})
    capacity = load.get("capacity")
    if isinstance(capacity, Mapping):
        load["rate"] = f"{capacity.get('share')} of capacity"
        phases["baseline"] = capacity.get("baseline_grew_from", phases.get("baseline"))
    return {**values, "load": load, "phases": phases}


def _with_manifest(path: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    manifest = path.parent / str(entry.get("manifest"))
    found = yaml.safe_load(manifest.read_text(encoding="utf-8")) if manifest.is_file() else "gone"
    return {**entry, "manifest": found}


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{key}[{index}]")
    else:
        yield key, str(value)
