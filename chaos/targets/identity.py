"""Which process is meant, even after its pid was given to another, and which processes belong to a run.

Every process of a run carries marks in its environment, so that what a lost run left behind can be found
without any file that the run would have had to write first.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

RUN_ID = "AFTERSHOCK_RUN_ID"
RUNNER = "AFTERSHOCK_RUNNER"
REPLICA_UID = "AFTERSHOCK_REPLICA_UID"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, told apart from any later one with the same pid by when it started."""

    pid: int
    started: float
    """Clock ticks since boot on Linux, where psutil's stamp moves with the wall clock; that elsewhere."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now; None when there is none, or only its zombie."""
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                return cls(pid, _started(process))
        return None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The process that `str` wrote; ValueError when the text is none."""
        pid, started = text.split(":")
        return cls(int(pid), float(started))

    def __str__(self) -> str:
        return f"{self.pid}:{self.started}"

    def alive(self) -> bool:
        """Whether it still runs: a zombie does not, nor does another process with its pid."""
        return ProcessId.of(self.pid) == self

    def kill(self) -> bool:
        """SIGKILL it and, where it leads a process group, the whole group; False when it was gone already."""
        leads = False
        with suppress(ProcessLookupError, PermissionError):
            leads = os.getpgid(self.pid) == self.pid
        members = [each for each in of_group(self.pid) if each != self] if leads else []
        if not self.signal(signal.SIGKILL):
            return False
        for member in members:
            member.signal(signal.SIGKILL)
        return True

    def signal(self, number: signal.Signals) -> bool:
        """Signal this process and no other; False when it is gone, or not ours to signal.

        On Linux by a descriptor that is taken first and looked at then: should the pid pass to another process in
        between, the signal goes nowhere.
        """
        if sys.platform != "linux":
            with suppress(ProcessLookupError, PermissionError):
                if self.alive():
                    os.kill(self.pid, number)
                    return True
            return False
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def marks(run_id: str, runner: ProcessId) -> dict[str, str]:
    """What every process of a run has in its environment."""
    return {RUN_ID: run_id, RUNNER: str(runner)}


def own_marks() -> dict[str, str]:
    """The marks that this process was started with."""
    return {name: os.environ[name] for name in (RUN_ID, RUNNER)}


def marked(matches: Callable[[Mapping[str, str]], bool]) -> Iterator[tuple[ProcessId, Mapping[str, str]]]:
    """Every living process, except this one, whose environment matches; unreadable ones cannot be ours.

    Not those in a container of its own pids: what their marks say of a runner, its pid, means another process here.
    """
    ours = _pid_namespace(os.getpid())
    for pid in psutil.pids():
        if pid == os.getpid() or _pid_namespace(pid) != ours:
            continue
        with suppress(psutil.Error, OSError):
            environment = psutil.Process(pid).environ()
            if matches(environment) and (process := ProcessId.of(pid)):
                yield process, environment


def of_run(run_id: str) -> list[ProcessId]:
    """Every living process of a run, except this one."""
    return [process for process, _ in marked(lambda environment: environment.get(RUN_ID) == run_id)]


def of_replica(uid: str, leader: int | None) -> list[ProcessId]:
    """Every living process of a replica: all that carry its mark, and all in its leader's process group."""
    by_mark = {process for process, _ in marked(lambda environment: environment.get(REPLICA_UID) == uid)}
    return sorted(by_mark | set(of_group(leader)), key=lambda process: process.pid)


def of_group(leader: int | None) -> Iterator[ProcessId]:
    """Every living process of a process group; none when there is no leader."""
    for pid in psutil.pids() if leader is not None else ():
        with suppress(OSError):
            if os.getpgid(pid) == leader and (process := ProcessId.of(pid)):
                yield process


def by_group(leaders: Mapping[int, str]) -> dict[str, list[int]]:
    """Every pid of these process groups and sessions, by the name that each leader's pid is given."""
    found: dict[str, list[int]] = {name: [] for name in leaders.values()}
    for pid in psutil.pids():
        with suppress(OSError):
            # A group of its own inside the session is a child that its parent set apart, as shells do.
            name = leaders.get(os.getpgid(pid)) or leaders.get(os.getsid(pid))
            if name is not None:
                found[name].append(pid)
    return found


def _pid_namespace(pid: int) -> str:
    """In which its pid is what it is; one that cannot be seen, or a system without them, has an empty name."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _started(process: psutil.Process) -> float:
    if sys.platform != "linux":
        return process.create_time()
    # The name, in parentheses, may itself hold spaces and parentheses; starttime is field 22 of proc(5).
    return float(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
