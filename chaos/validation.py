"""`aftershock validate`: every file read as `run` would, and what would give one pause said by name."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from chaos.errors import ExitCode, InputError
from chaos.experiment.design import sentences
from chaos.experiment.experiment import Experiment, read_file
from chaos.experiment.foreseen import require_sound
from chaos.experiment.meant import said
from chaos.experiment.objectives import objectives_of
from chaos.faults.fault import Fault
from chaos.faults.kinds import NAMESPACE
from chaos.faults.occurrence import Planned
from chaos.load import traffic
from chaos.report.words import count
from exporters.slo import named
from exporters.slo_file import KNOWN

_SUFFIXES = (".yaml", ".yml", ".json")
_WORST_FIRST = (ExitCode.WRONG_INPUT, ExitCode.NOT_RUNNABLE_HERE, ExitCode.PASSED)


def validate(paths: Sequence[Path], namespace: str = NAMESPACE, slo: Path | None = None) -> int:
    """Say of every file, and of every one in every folder, whether it is understood; returns the exit code.

    Args:
        paths: files and folders.
        namespace: of objects that name none.
        slo: a file of objectives, told by itself; experiments are held to it in place of their own.

    Raises:
        InputError: there is nothing to read, or no objectives in `slo`.
    """
    if slo is None and not paths:
        raise InputError("expected files or folders, or --slo FILE, got none")
    if slo is not None:
        _say_objectives(slo)
    codes = {ExitCode.PASSED}
    for path in _files(paths):
        try:
            found = read_file(path, namespace, slo)
            if isinstance(found, Experiment):
                require_sound(found)
        except InputError as error:
            codes.add(ExitCode.WRONG_INPUT)
            print(f"{error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
            continue
        if isinstance(found, Experiment):
            _say_experiment(path, found)
        else:
            _say_manifest(path, found)
            if any(each.runs_nowhere for each in found):
                codes.add(ExitCode.NOT_RUNNABLE_HERE)
    return next(code for code in _WORST_FIRST if code in codes)


def about(fault: Fault) -> str:
    """A fault in a few words: its kind, its name, and how many it hits."""
    return f"{fault.kind.label} {fault.name} ({fault.how_many})"


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        if not found:
            raise InputError(f"{path}: expected files that end in {', '.join(_SUFFIXES)}, there are none")
        yield from found


def _say_objectives(path: Path) -> None:
    """What a file of objectives holds, in words."""
    found = objectives_of(path)
    print(f"{path}: {len(found)} objectives")
    for each in found:
        print(f"  {each.name} ({each.meaning}): {each.sentence}")
    for name, each in KNOWN.items():
        if named(found, name) is None:
            print(f"  {name} ({each.meaning}): left out, so that nothing holds anybody to it")


def _say_experiment(path: Path, found: Experiment) -> None:
    head = f"experiment {found.spec.experiment}, {count(len(found.assertions), 'assertion')}"
    print(f"{path}: " + ", ".join([head, *dict.fromkeys(about(one.fault) for one in found.faults)]))
    for sentence in (*traffic.told(found), *sentences(found)):
        print(f"  {sentence}")


def _say_manifest(path: Path, found: Sequence[Planned]) -> None:
    print(f"{path}: " + "; ".join(_of(each) for each in found))
    for each in found:
        for note in each.document.notes:
            print(f"  note: {note}")
        for doubt in each.doubts:
            print(f"  warning: {said(each, doubt)}")


def _of(planned: Planned) -> str:
    if (reason := planned.runs_nowhere) is not None:
        return f"{planned.label} {planned.name}: valid, not runnable here, because {reason}"
    if planned.label in ("Schedule", "Workflow"):
        return f"{planned.label} {planned.name} of " + ", ".join(about(fault) for fault in planned.faults)
    return about(planned.faults[0])
