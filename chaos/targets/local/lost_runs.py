"""Runs whose runner is gone while processes of theirs live, and the end of them: `aftershock recover`."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.errors import CleanupError
from chaos.targets.identity import RUN_ID, RUNNER, ProcessId, marked, of_run
from chaos.targets.local import run_record
from chaos.targets.local.run_record import RunRecord

_GONE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run that nobody watches over any more."""

    run_id: str
    runner_pid: int
    """Of the runner that is gone."""
    processes: Sequence[str]
    """What is left of them, one line each: pid and command."""
    scratch: str | None = None
    """The folder that it should have removed, where it is still there."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """All that is left, one line each."""
        return (*self.processes, *([] if self.scratch is None else [f"folder {self.scratch}"]))


def find_lost_runs() -> list[LostRun]:
    """Every run of this user whose runner is gone and that left processes, or is on record. Touches nothing."""
    runs: dict[tuple[str, str], list[str]] = {}
    for process, environment in marked(lambda environment: RUN_ID in environment and RUNNER in environment):
        runner = environment[RUNNER]
        if not _lives(runner):
            runs.setdefault((environment[RUN_ID], runner), []).append(_line(process))
    records = {record.run_id: record for record in run_record.on_record() if not record.runner_lives()}
    found = dict(runs.keys()) | {run_id: record.runner for run_id, record in records.items()}
    return [
        LostRun(
            run_id,
            int(runner.partition(":")[0]),
            tuple(runs.get((run_id, runner), ())),
            _still_there(records.get(run_id)),
        )
        for run_id, runner in found.items()
    ]


def end_lost_run(run_id: str) -> list[str]:
    """Kill and remove whatever a run left, and say what that was, one line each; empty when nothing was left.

    Raises:
        CleanupError: something of it still lives, or is still there.
    """
    killed: dict[ProcessId, str] = {}
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    while left := of_run(run_id):  # again after each kill: a process may have forked meanwhile
        if time.monotonic() > deadline_s:
            raise CleanupError(
                f"run {run_id} still has processes: {'; '.join(map(_line, left))}",
                hint="`aftershock recover` tries again; a process that cannot be killed hangs in the kernel",
            )
        for process in left:
            killed.setdefault(process, _line(process))
            process.kill()
        time.sleep(_LOOK_EVERY_S)
    return [*killed.values(), *_removed(run_id)]


def _removed(run_id: str) -> list[str]:
    """The scratch folder of a run on record, gone now, and the record with it."""
    record = next((each for each in run_record.on_record() if each.run_id == run_id), None)
    scratch = _still_there(record)
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
        if Path(scratch).exists():
            raise CleanupError(f"run {run_id} still has its folder: {scratch}", hint="remove it by hand")
    run_record.forget(run_id)
    return [] if scratch is None else [f"folder {scratch}"]


def _still_there(record: RunRecord | None) -> str | None:
    return record.scratch if record is not None and Path(record.scratch).is_dir() else None


def _lives(runner: str) -> bool:
    try:
        process = ProcessId.parse(runner)
    except ValueError:
        return False
    return process.pid == os.getpid() or process.alive()


def _line(process: ProcessId) -> str:
    words: list[str] = []
    with suppress(psutil.Error):
        words = psutil.Process(process.pid).cmdline()
    return f"{process.pid} {' '.join(words)}"[:120]
