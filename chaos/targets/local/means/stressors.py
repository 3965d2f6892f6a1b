"""Processes of ours beside a victim: the supervisor starts them, the runner finds them in the process table."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import psutil

from chaos.targets import Evidence, Replica
from chaos.targets.identity import ProcessId, marked
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.pod import NICENESS, Pod
from chaos.targets.local.processes import Child

Kind: TypeAlias = Literal["processor", "memory"]
STRESSOR = "AFTERSHOCK_STRESSOR"
BESIDE = "AFTERSHOCK_BESIDE_UID"
_PROGRAM = Path(__file__).parent.parent / "stressor.py"


class Stressors:
    """Every stressor of one kind in one cluster, by the occurrence that it belongs to."""

    def __init__(self, cluster: Cluster, kind: Kind) -> None:
        """Start none yet."""
        self._cluster = cluster
        self._kind = kind
        self._children: dict[str, list[Child]] = {}

    def start(self, occurrence: str, pods: Sequence[Pod], workers: int, *arguments: str) -> None:
        """Start so many of them beside each replica, as nice as it is and on the processors that it may run on."""
        children = self._children.setdefault(occurrence, [])
        for pod in pods:
            marks = {STRESSOR: f"{self._kind} {occurrence}", BESIDE: pod.uid}
            # Isolated: nothing of the environment that replicas are given decides what a stressor imports.
            program = (sys.executable, "-I", "-S", str(_PROGRAM), self._kind, *arguments)
            for _ in range(workers):
                child = self._cluster.start_beside(program, marks, "stressors")
                children.append(child)
                child.step_back(_niceness(pod.pid))
                _place_beside(child.pid, pod.pid)

    async def end(self, occurrence: str) -> None:
        """End those of an occurrence, and wait until they are gone; harmless where there are none."""
        children = self._children.pop(occurrence, [])
        for child in children:
            child.signal_group(signal.SIGKILL)
        await asyncio.gather(*(child.wait() for child in children))


def _niceness(pid: int | None) -> int:
    with suppress(psutil.Error, TypeError):
        return psutil.Process(pid).nice() if pid is not None else NICENESS
    return NICENESS


def _place_beside(pid: int, victim: int | None) -> None:
    if victim is None or sys.platform != "linux":
        return
    with suppress(ProcessLookupError, PermissionError):
        os.sched_setaffinity(pid, os.sched_getaffinity(victim))


@dataclass(frozen=True, slots=True)
class Found:
    """One stressor, as the process table has it."""

    process: ProcessId
    beside: str
    """The uid of the replica that it is beside."""
    processor_s: float
    """What it has used of processors since it was started."""
    resident_bytes: int


def find(occurrence: str, kind: Kind) -> list[Found]:
    """The living stressors of one kind of an occurrence, with what the system has counted of them."""
    found = []
    for process, environment in marked(lambda marks: marks.get(STRESSOR) == f"{kind} {occurrence}"):
        with suppress(psutil.Error):
            counted = psutil.Process(process.pid)
            times, memory = counted.cpu_times(), counted.memory_info()
            found.append(Found(process, environment[BESIDE], times.user + times.system, memory.rss))
    return found


def processor_s(processes: Sequence[ProcessId]) -> float:
    """What these processes have used of processors since they were started; nothing of those that are gone."""
    total_s = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = psutil.Process(process.pid).cpu_times()
            total_s += times.user + times.system
    return total_s


def gone(occurrence: str, kind: Kind, victims: Sequence[Replica]) -> Sequence[Evidence]:
    """Whether no stressor of an occurrence is left beside each victim."""
    left = find(occurrence, kind)
    return [
        Evidence(
            victim.name,
            verified=not (pids := [each.process.pid for each in left if each.beside == victim.uid]),
            how=f"stressors beside it: {', '.join(map(str, pids)) or 'none'}",
        )
        for victim in victims
    ]
