"""A local run on record for as long as it may have left something: whose it is, and what it keeps on disk.

Processes are found by their marks without it. It is for what a mark cannot be on: the scratch folder of a run of which
no process lives any more, because the machine went down under it, say.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from chaos.targets.durable import state_folder, write_whole
from chaos.targets.identity import ProcessId

_SCRATCH = "scratch"
"""What the folder is called in every run: no other is removed, whatever a file says."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run."""

    run_id: str
    runner: str
    """As `ProcessId` writes it."""
    boot: str
    """Which start of the machine its pid belongs to."""
    scratch: str
    """The folder that is to be gone."""

    @classmethod
    def of(cls, run_id: str, runner: ProcessId, scratch: Path) -> "RunRecord":
        """The record of a run that is about to begin."""
        return cls(run_id, str(runner), boot_id(), str(scratch.absolute()))

    @property
    def path(self) -> Path:
        """Its file."""
        return folder() / f"{self.run_id}.json"

    def write(self) -> None:
        """Before anything of the run exists; OSError where the disk refuses."""
        write_whole(self.path, json.dumps(asdict(self)) + "\n")

    def runner_lives(self) -> bool:
        """Whether its runner is still that process, of this start of the machine."""
        if self.boot != boot_id():
            return False
        try:
            return ProcessId.parse(self.runner).alive()
        except ValueError:
            return False


def folder() -> Path:
    """Where records lie, one file each."""
    return state_folder("runs")


def forget(run_id: str) -> None:
    """Nothing is left of it."""
    with suppress(FileNotFoundError, NotADirectoryError):  # nor was it ever on record
        (folder() / f"{run_id}.json").unlink()


def on_record() -> Iterator[RunRecord]:
    """Every run on record; what is no record of this kind is passed over."""
    for path in sorted(folder().glob("*.json")):
        try:
            row: dict[str, Any] = json.loads(path.read_text())
            record = RunRecord(**row)
        except (OSError, ValueError, TypeError):
            continue
        if record.path == path and Path(record.scratch).name == _SCRATCH:
            yield record


def boot_id() -> str:
    """Which start of the machine this is: a pid and its start time mean nothing in another."""
    if sys.platform != "linux":
        return str(round(psutil.boot_time()))
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
