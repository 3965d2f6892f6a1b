"""A command of the user's, run for a bounded time: its output goes to a log, and its end is told in words."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.02
_TAIL_LINES = 5
_TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    command: str
    """As a shell would take it."""
    code: int | None
    """Its exit code; None when it could not be started or was ended for it."""
    how: str
    """In words: `ended with exit code 1`."""
    said: str = ""
    """The last lines of its output."""

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself and with exit code 0."""
        return self.code == 0

    def __str__(self) -> str:
        return f"`{self.command}` {self.how}" + (f": {self.said}" if self.said else "")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and with what commands run."""

    folder: Path
    """Their working directory."""
    log: Path
    """Takes what they print."""
    timeout_s: float
    environment: Mapping[str, str]
    """Beside that of this process."""


def execute(command: Sequence[str], setting: Setting, given_up: Callable[[], bool] = lambda: False) -> Ended:
    """Run a command to its end; whoever is still in its process group when its time is over is killed.

    Args:
        command: the program and its arguments; no shell is involved.
        setting: where, with what, and for how long at most.
        given_up: asked while it runs; once true, the command is killed.
    """
    text = shlex.join(command)
    with setting.log.open("ab") as log:
        log.write(f"$ {text}\n".encode())
        log.flush()
        begins = log.tell()
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=setting.folder,
                env={**os.environ, **setting.environment},
                start_new_session=True,  # what interrupts this process must not break an undoing off
            )
        except OSError as error:
            return Ended(text, None, f"could not be started: {error.strerror or error}")
        try:
            how = _outcome(child, setting.timeout_s, given_up)
        finally:
            if child.poll() is None:
                _kill_group(child)
    code = child.returncode if how is None else None
    return Ended(text, code, how or f"ended with exit code {code}", _tail(setting.log, begins))


def _outcome(child: "subprocess.Popen[bytes]", timeout_s: float, given_up: Callable[[], bool]) -> str | None:
    """Why it must be ended; None once it has ended by itself."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_LOOK_EVERY_S)
            return None
        if given_up():
            return "was given up"
        if time.monotonic() > deadline_s:
            return f"had not ended after {timeout_s:g} s"


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _tail(log: Path, begins: int) -> str:
    """The last lines that were printed since, on one line."""
    with log.open("rb") as printed:
        printed.seek(max(begins, printed.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = printed.read().decode(errors="replace")
    return " | ".join(line.strip() for line in text.splitlines()[-_TAIL_LINES:] if line.strip())
