"""Runs whose runner is gone while processes of theirs live, and the end of them: `aftershock recover`."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from chaos.errors import CleanupError
from chaos.targets.identity import RUN_ID, RUNNER, ProcessId, marked, of_run

_GONE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run that nobody watches over any more."""

    run_id: str
    runner_pid: int
    """Of the runner that is gone."""
    processes: Sequence[str]
    """What is left, one line each: pid and command."""


def find_lost_runs() -> list[LostRun]:
    """Every run of this user whose runner is gone while processes of it live. Touches nothing."""
    runs: dict[tuple[str, str], list[str]] = {}
    for process, environment in marked(lambda environment: RUN_ID in environment and RUNNER in environment):
        runner = environment[RUNNER]
        if not _lives(runner):
            runs.setdefault((environment[RUN_ID], runner), []).append(_line(process))
    return [
        LostRun(run_id, int(runner.partition(":")[0]), tuple(lines))
        for (run_id, runner), lines in runs.items()
    ]


def end_lost_run(run_id: str) -> list[str]:
    """Kill whatever a run left, and say what that was, one line per process; empty when nothing was left.

    Raises:
        CleanupError: something of it still lives.
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
    return list(killed.values())


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
