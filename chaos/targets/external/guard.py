"""The runner's end of the line to the guardian, through which the commands of faults are run."""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaos.targets.external.execution import Ended
from chaos.targets.identity import ProcessId

_STARTS_WITHIN_S = 30.0
_SLACK_S = 5.0
_READ_BYTES = 65536


class GuardianGoneError(Exception):
    """The guardian has ended, or does not answer."""


class Guard:
    """One guardian, from its start until it is let go."""

    def __init__(self, log: Path) -> None:
        """Start it; `log` takes what it has to say of its own."""
        with log.open("ab") as said:
            self._child = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "chaos.targets.external.guardian",
                ],  # no `chaos` of the current folder
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
        self._unread = b""
        self._is_ready = False

    @property
    def process(self) -> str:
        """The guardian as `ProcessId` writes it; empty once it is gone."""
        return str(ProcessId.of(self._child.pid) or "")

    def wait_until_ready(self) -> None:
        """Return once it listens.

        Raises:
            GuardianGoneError: it does not come up.
        """
        if not self._is_ready:
            self._answer("ready", _STARTS_WITHIN_S)
            self._is_ready = True
        if self._child.poll() is not None:
            raise GuardianGoneError(f"it has ended with exit code {self._child.returncode}")

    def guard(self, path: Path) -> None:
        """From now on the fault that this file has on record is the guardian's to see to, should the line end."""
        self._tell(f"guard {path}")

    def do(self, path: Path, timeout_s: float) -> Ended:
        """Cause the effect of the fault that this file has on record.

        Raises:
            GuardianGoneError: it is not known how far it came.
        """
        return self._ask(f"do {path}", timeout_s)

    def undo(self, path: Path, timeout_s: float) -> Ended:
        """Undo it; raises GuardianGoneError when that is not known to have happened."""
        return self._ask(f"undo {path}", timeout_s)

    def release(self, path: Path) -> None:
        """This fault is over: nobody need undo it."""
        self._tell(f"release {path}")

    def let_go(self, within_s: float) -> None:
        """End the lease and wait for the guardian, which undoes what was not released; harmless a second time."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(within_s + _SLACK_S)

    def _ask(self, line: str, timeout_s: float) -> Ended:
        self._tell(line)
        answer = self._answer(line, timeout_s + _SLACK_S)
        return Ended(**{key: value for key, value in answer.items() if key != "line"})

    def _tell(self, line: str) -> None:
        assert self._child.stdin is not None
        with suppress(OSError, ValueError):  # it is gone: its answer will not come
            self._child.stdin.write(f"{line}\n".encode())
            self._child.stdin.flush()

    def _answer(self, line: str, within_s: float) -> dict[str, Any]:
        """The answer to a line; one to an earlier line, whose asking was interrupted, is passed over."""
        deadline_s = time.monotonic() + within_s
        while True:
            while b"\n" not in self._unread:
                self._unread += self._fresh(deadline_s - time.monotonic())
            said, _, self._unread = self._unread.partition(b"\n")
            answer: dict[str, Any] = json.loads(said)
            if answer["line"] == line:
                return answer

    def _fresh(self, within_s: float) -> bytes:
        assert self._child.stdout is not None
        out = self._child.stdout.fileno()
        if not select.select([out], [], [], max(0.0, within_s))[0]:
            raise GuardianGoneError("it does not answer")
        fresh = os.read(out, _READ_BYTES)
        if not fresh:
            raise GuardianGoneError("it has ended")
        return fresh
