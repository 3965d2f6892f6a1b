"""Child processes of the supervisor, each leading a session of its own: it ends with all that it forked.

On Linux a child also gets SIGKILL from the kernel when the supervisor dies, however it dies. macOS has no
such signal: there a killed supervisor's children are found by their marks (see `identity`).
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chaos.errors import AftershockError
from chaos.targets.identity import of_group
from chaos.targets.local.wire import Caller, Channel

_PR_SET_PDEATHSIG = 1
_REAP_WITHIN_S = 5.0
_GROUP_GONE_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended."""

    code: int
    """Exit status, or minus the signal's number."""
    at_s: float
    """Monotonic seconds when it was reaped."""

    def __str__(self) -> str:
        return f"exit code {self.code}" if self.code >= 0 else signal.Signals(-self.code).name


class Adopted:
    """As much of `subprocess.Popen` as is needed of a child that another process forked for this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def wait(self) -> int:
        """Reap it; its exit code, or minus a signal's number."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


class Child:
    """One process group of ours. Belongs to the event loop that it was made in."""

    def __init__(self, process: "subprocess.Popen[bytes] | Adopted") -> None:
        """Watch over a child of this process that leads a session."""
        self.end: Exit | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self.process = process
        self.pid = process.pid
        threading.Thread(target=self._reap, name=f"reap-{self.pid}", daemon=True).start()

    async def wait(self) -> Exit:
        """Until it and its whole group are gone. Cancelling the wait leaves the process alone."""
        await self._ended.wait()
        assert self.end is not None
        return self.end

    def signal_group(self, number: signal.Signals) -> bool:
        """Signal the whole group; False when its leader was reaped already.

        The pid cannot have passed to another process: it stays ours until `_reap`, under the same lock, takes
        it in.
        """
        with self._lock:
            if self.process.returncode is not None:
                return False
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            return True

    def step_back(self, niceness: int) -> None:
        """Let others go first from now on: the whole group, every thread of it; harmless when it is gone."""
        with self._lock, suppress(ProcessLookupError, PermissionError):
            if self.process.returncode is None:
                os.setpriority(os.PRIO_PGRP, self.pid, niceness)

    def _reap(self) -> None:
        if sys.platform == "linux":
            # Leave the zombie in place: while it holds the pid, the rest of its group can be killed without a
            # doubt.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self.process.wait()
        with self._lock, suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with self._lock:
            code = self.process.wait()
        end = Exit(code, time.monotonic())
        self._outlive_group(end.at_s + _GROUP_GONE_WITHIN_S)
        self.end = end
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._ended.set)

    def _outlive_group(self, until_s: float) -> None:
        # Killed is not yet gone: a worker may hold the leader's port for some milliseconds more.
        while time.monotonic() < until_s and any(of_group(self.pid)):
            time.sleep(0.002)
        with suppress(ChildProcessError):  # orphans of the group, where this process is given them
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass


class ProcessTable:
    """Every child that the supervisor ever started, so that none is forgotten at the end."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        pipes: bool = False,
        stdin: int = subprocess.DEVNULL,
        niceness: int = 0,
    ) -> Child:
        """Start a child and remember it. OSError if it cannot be started.

        Args:
            command: program and arguments.
            env: the whole environment.
            log: takes its output, standard output only without `pipes`.
            pipes: its standard input and output are ours.
            stdin: a descriptor to be its standard input, in place of nothing.
            niceness: on top of ours.
        """
        with log.open("ab") as sink:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.PIPE if pipes else stdin,
                stdout=subprocess.PIPE if pipes else sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=_before_exec(niceness),  # noqa: PLW1509 - system calls alone: takes no lock
            )
        return self._remember(Child(process))

    def adopt(self, pid: int) -> Child:
        """Remember a child of this process that another one forked for it."""
        return self._remember(Child(Adopted(pid)))

    def _remember(self, child: Child) -> Child:
        self._children = [other for other in self._children if other.end is None]
        self._children.append(child)
        return child

    async def end_all(self, grace_s: float) -> None:
        """SIGTERM to all at once, SIGKILL to those alive `grace_s` later, and wait until they are reaped."""
        alive = _signal_living(self._children, signal.SIGTERM)
        await _wait_for(alive, grace_s)
        await _wait_for(_signal_living(alive, signal.SIGKILL), _REAP_WITHIN_S)


def _signal_living(children: Iterable[Child], number: signal.Signals) -> list[Child]:
    return [child for child in children if child.signal_group(number)]


async def _wait_for(children: Sequence[Child], within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            for child in children:
                await child.wait()


def _before_exec(niceness: int) -> Callable[[], None]:
    """What a child does before it becomes its command: step back for others, and ask to die with its parent."""
    if sys.platform != "linux":
        return lambda: _step_back(niceness)
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        _step_back(niceness)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request: no signal will come
            os._exit(1)

    return ask


def _step_back(niceness: int) -> None:
    if niceness:
        os.nice(niceness)


class HelperDiedError(AftershockError):
    """A process that the cluster cannot do without ended by itself: what was measured since means nothing."""


class Helper:
    """A process at the other end of a JSON line: the proxy or the gateway."""

    def __init__(self, name: str, child: Child, channel: Channel) -> None:
        self.caller = Caller(channel)
        self._name = name
        self._child = child

    @classmethod
    async def over(cls, name: str, child: Child) -> Self:
        """Talk to a child that was started with pipes."""
        assert isinstance(child.process, subprocess.Popen)
        assert child.process.stdout is not None
        assert child.process.stdin is not None
        return cls(name, child, await Channel.over(child.process.stdout, child.process.stdin))

    async def attend(self) -> None:
        """Deliver its answers for as long as it lives, then raise HelperDiedError."""
        await self.caller.listen()
        error = HelperDiedError(f"the {self._name} ended by itself: {await self._child.wait()}")
        self.caller.fail(error)
        raise error


def command(module: str) -> tuple[str, ...]:
    """How a module of this package is started; `-P` keeps a stranger's `chaos` in the current folder out."""
    return (sys.executable, "-P", "-m", f"{__package__}.{module}")


async def must_live(name: str, child: Child) -> None:
    """Raise HelperDiedError when the child ends."""
    raise HelperDiedError(f"{name} ended by itself: {await child.wait()}")
