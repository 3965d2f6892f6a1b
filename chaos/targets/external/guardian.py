"""The process that causes the effects of commands and holds their lease: should the runner be gone, it undoes them.

Told `guard`, `do`, `undo` and `release`, each with a fault's file on record, by lines on its standard input, whose end
is the end of the lease; answers `do` and `undo` with a line of JSON. It has a session of its own, so that nothing that
ends the runner ends it too.
"""

import json
import os
import select
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos.errors import CleanupError, ExitCode
from chaos.targets.external import lost_faults
from chaos.targets.external.execution import execute
from chaos.targets.external.lost_faults import Entry

_READ_BYTES = 4096
_LEASE_FD = 0


class _Lease:
    """The lines from the runner, and whether there will be more."""

    def __init__(self) -> None:
        self._unread = b""
        self.ended = False

    def next_line(self) -> str | None:
        """Wait for the next line; None once the runner is gone."""
        while b"\n" not in self._unread and not self.ended:
            self._take_in(None)
        line, newline, rest = self._unread.partition(b"\n")
        if not newline:
            return None
        self._unread = rest
        return line.decode()

    def is_pressing(self) -> bool:
        """Whether something else is wanted than what goes on: another line, or the end of the lease."""
        self._take_in(0)
        return self.ended or b"\n" in self._unread

    def _take_in(self, within_s: float | None) -> None:
        if select.select([_LEASE_FD], [], [], within_s)[0]:
            fresh = os.read(_LEASE_FD, _READ_BYTES)
            self._unread += fresh
            self.ended = not fresh


def main() -> int:
    """Guard every fault that it is told of, until it is released; returns the exit code."""
    lease, in_force = _Lease(), dict[Path, Entry | None]()
    _say("ready")
    while (line := lease.next_line()) is not None:
        verb, _, name = line.partition(" ")
        path = Path(name)
        if verb == "guard":
            in_force[path] = None
        elif verb == "do":
            entry = in_force[path] = lost_faults.read(path)
            _say(line, **asdict(execute(entry.command.do, entry.setting, lease.is_pressing)))
        elif verb == "undo":
            entry = lost_faults.read(path)
            _say(line, **asdict(execute(entry.command.undo, entry.setting)))
        elif verb == "release":
            in_force.pop(path, None)
    return _revert(in_force)


def _revert(in_force: Mapping[Path, Entry | None]) -> int:
    """Undo what the runner can not undo any more, the latest first; what cannot be stays on record."""
    exit_code = ExitCode.PASSED
    for path, entry in reversed([*in_force.items()]):
        try:
            if entry is not None:  # else nothing was done yet
                lost_faults.undo(entry)
            path.unlink(missing_ok=True)
        except (CleanupError, OSError) as error:  # the others must be undone all the same
            print(error, file=sys.stderr)
            exit_code = ExitCode.CLEANUP_INCOMPLETE
    return exit_code


def _say(line: str, **facts: Any) -> None:
    try:
        print(json.dumps({"line": line, **facts}), flush=True)
    except BrokenPipeError:  # nobody listens any more: the lease ends next
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
