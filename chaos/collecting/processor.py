"""Who uses the processor while a run goes on: a sample each second, appended to the run folder as it is taken.

The roles come from whoever owns the processes. All that is read are counters of the kernel; what they mean is
worked out later, from the file.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import psutil

from chaos.collecting.quota import own_folders, quota
from chaos.errors import AftershockError
from chaos.measuring.processor import Sample, to_line

EVERY_S = 1.0
_PRESSURE = Path("/proc/pressure/cpu")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Pids = Callable[[], Mapping[str, Iterable[int]]]
"""Which processes there are now, by role."""


class Accounts:
    """Processor time by role: a process that is gone keeps its last reading, and each counts in its last role."""

    def __init__(self) -> None:
        self._roles: dict[tuple[int, float], str] = {}
        self._spent_s: dict[tuple[int, float], float] = {}
        """By pid and start, so that a pid that is given again is another process."""

    def read(self, pids: Mapping[str, Iterable[int]]) -> dict[str, float]:
        """Read what these processes have used, and tell each role's seconds so far."""
        for role, pid in ((role, pid) for role, members in pids.items() for pid in members):
            with suppress(psutil.Error, OSError, ValueError, IndexError):
                started, spent_s = _reading(pid)
                # A fork is its parent's for some milliseconds, until it leads a session.
                self._roles[pid, started] = role
                self._spent_s[pid, started] = spent_s
        roles = dict.fromkeys(pids, 0.0) | dict.fromkeys(self._roles.values(), 0.0)
        for process, spent_s in self._spent_s.items():
            roles[self._roles[process]] += spent_s
        return roles


class ProcessorWatch:
    """Samples in a thread of its own for as long as the `with` block lasts, and once more at its end."""

    def __init__(self, path: Path, pids: Pids, every_s: float = EVERY_S) -> None:
        """Prepare; `pids` is asked at each sample, from the thread. When it cannot tell, the last ones stay."""
        self._path = path
        self._pids = pids
        self._every_s = every_s
        self._accounts = Accounts()
        self._seen: Mapping[str, Iterable[int]] = {}
        self._quotas = own_folders()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="processor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def sample(self) -> Sample:
        """The counters of this moment."""
        with suppress(AftershockError):  # the target has ended: its processes keep their last readings
            self._seen = self._pids()
        roles = self._accounts.read(self._seen)
        at_s, (cores, busy_s, steal_s) = time.monotonic(), _machine()
        limit = quota(self._quotas)
        return Sample(
            at_s=at_s,
            machine_cores=cores,
            cores=cores if limit is None else min(cores, limit.cores),
            busy_s=busy_s,
            steal_s=steal_s,
            roles=roles,
            throttled_s=None if limit is None else limit.throttled_s,
            pressure_s=_pressure_s(),
        )

    def _watch(self) -> None:
        # A disk that is full ends the samples and not the run: phases without samples say so.
        with suppress(OSError), self._path.open("a") as file:
            self._append(file)
            while not self._done.wait(self._every_s):
                self._append(file)
            self._append(file)

    def _append(self, file: TextIO) -> None:
        file.write(to_line(self.sample()) + "\n")
        file.flush()


def _machine() -> tuple[int, float, float]:
    """How many cores this process may run on, and the seconds that they were busy and stolen."""
    times = psutil.cpu_times(percpu=True)
    if sys.platform == "linux":
        times = [times[number] for number in os.sched_getaffinity(0) if number < len(times)] or times
    kinds = ("user", "nice", "system", "irq", "softirq")
    busy_s = sum(getattr(core, kind, 0.0) for core in times for kind in kinds)
    return len(times), busy_s, sum(getattr(core, "steal", 0.0) for core in times)


def _reading(pid: int) -> tuple[float, float]:
    """When a process started, on any clock, and the processor time that it has used by itself."""
    if sys.platform != "linux":
        process = psutil.Process(pid)
        spent = process.cpu_times()
        return process.create_time(), spent.user + spent.system
    # One file, read as psutil would: two dozen processes each second should cost next to nothing. The name, in
    # parentheses, may itself hold spaces and parentheses; utime, stime and starttime are fields 14, 15 and 22.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return float(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _pressure_s() -> float | None:
    with suppress(OSError, ValueError, IndexError):
        return int(_PRESSURE.read_text().split("total=")[1].split()[0]) / 1_000_000
    return None
