"""Faults of commands, on disk for as long as they may be in force, and the end of those whose run is gone.

Not in the run folder: `aftershock recover` must find them wherever it is called.
"""

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from chaos.errors import CleanupError
from chaos.targets.durable import state_folder, write_whole
from chaos.targets.effects import Command
from chaos.targets.external.execution import Ended, Setting, execute
from chaos.targets.identity import ProcessId
from chaos.targets.options import LostRun

_LOOK_EVERY_S = 0.1
_GONE_WITHIN_S = 10.0
"""How long the proof of a fault may go on succeeding after its undoing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault that may be in force, and all that is needed to undo it."""

    run: str
    occurrence: str
    runner: str
    """As `ProcessId` writes it."""
    command: Command
    setting: Setting
    guardian: str = ""
    """The process that undoes it should the runner be gone; empty before it was started."""


def folder() -> Path:
    """Where entries lie: `$XDG_STATE_HOME/aftershock/faults`, one file each."""
    return state_folder("faults")


def write(path: Path, entry: Entry) -> None:
    """Put an entry on disk, whole or not at all; only then may its effect be caused.

    Raises:
        OSError: the disk refused.
    """
    write_whole(path, json.dumps(asdict(entry), default=str) + "\n")


def read(path: Path) -> Entry:
    """The entry of a file.

    Raises:
        OSError, ValueError: there is none, or it is no entry.
    """
    try:
        row: dict[str, Any] = json.loads(path.read_text())
        command, setting = row.pop("command"), row.pop("setting")
        paths = {key: Path(setting[key]) for key in ("folder", "log")}
        argvs = {key: tuple(command[key]) for key in ("do", "prove", "undo")}
        return Entry(**row, command=Command(**{**command, **argvs}), setting=Setting(**{**setting, **paths}))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a fault on record: {error}") from error


def undo(entry: Entry) -> Ended:
    """Undo a fault and look whether it is gone; harmless where it never was in force.

    Raises:
        CleanupError: the command failed, or the fault is still to be seen.
    """
    ended = execute(entry.command.undo, _logged(entry))
    if not ended.succeeded:
        raise CleanupError(f"{entry.occurrence} is not undone: {ended}", hint=f"log: {entry.setting.log}")
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    while (proof := execute(entry.command.prove, _logged(entry))).code in (0, None):
        if time.monotonic() > deadline_s:
            raise CleanupError(f"{entry.occurrence} was undone, and is still to be seen: {proof}")
        time.sleep(_LOOK_EVERY_S)
    return ended


def find() -> Sequence[LostRun]:
    """Every fault on record whose runner is gone. Touches nothing.

    Raises:
        CleanupError: a file of the record cannot be read.
    """
    return [_lost_run(path, entry) for path, entry in _entries() if not _alive(entry.runner)]


def _entries() -> Sequence[tuple[Path, Entry]]:
    found = []
    for path in sorted(folder().glob("*.json")):
        try:
            found.append((path, read(path)))
        except FileNotFoundError:
            continue  # undone meanwhile
        except (OSError, ValueError) as error:
            raise CleanupError(
                f"{error}", hint="see what it says, undo that by hand, and remove it"
            ) from error
    return found


def _lost_run(path: Path, entry: Entry) -> LostRun:
    pid = entry.runner.partition(":")[0]
    return LostRun(
        run_id=entry.run,
        left=f"its runner (pid {pid}) is gone; its fault {entry.occurrence} may be in force",
        pieces=(_piece(entry),),
        end=partial(_end, path, entry),
    )


def _end(path: Path, entry: Entry) -> Sequence[str]:
    """Undo one lost fault, or wait for the guardian that is about to."""
    deadline_s = time.monotonic() + 2 * entry.setting.timeout_s + _GONE_WITHIN_S
    while _alive(entry.guardian) and path.exists() and time.monotonic() < deadline_s:
        time.sleep(_LOOK_EVERY_S)
    if path.exists():
        undo(entry)
        path.unlink(missing_ok=True)
    return (_piece(entry),)


def _piece(entry: Entry) -> str:
    return f"fault {entry.occurrence}: {shlex.join(entry.command.undo)}"


def _alive(process: str) -> bool:
    try:
        return ProcessId.parse(process).alive()
    except ValueError:
        return False


def _logged(entry: Entry) -> Setting:
    """The entry's setting, with another log where the run folder is not there any more."""
    if entry.setting.log.parent.is_dir():
        return entry.setting
    return replace(entry.setting, log=folder() / f"{entry.occurrence.replace('/', '-')}.log")
