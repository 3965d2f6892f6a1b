"""A cap on memory: the kernel grants a victim's processes no more address space than they have, and some headroom."""

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from chaos.targets import Evidence
from chaos.targets.engine_effects import MemoryCap
from chaos.targets.identity import ProcessId, of_group
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness, Sight, there
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec

Limits = tuple[int, int]


class _Enforcer(Enforcer[MemoryCap]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._before: dict[str, dict[ProcessId, Limits]] = {}

    async def cause(self, occurrence: str, effect: MemoryCap, pods: Sequence[Pod]) -> float:
        at_s, before = time.monotonic(), self._before.setdefault(occurrence, {})
        for process in (each for pod in pods for each in of_group(pod.pid)):
            limits = resource.prlimit(process.pid, resource.RLIMIT_AS)
            before[process] = limits
            most = psutil.Process(process.pid).memory_info().vms + effect.headroom_bytes
            resource.prlimit(process.pid, resource.RLIMIT_AS, (most, limits[1]))
        return at_s

    async def undo(self, occurrence: str) -> None:
        for process, limits in self._before.pop(occurrence, {}).items():
            if process.alive():
                with suppress(ProcessLookupError):
                    resource.prlimit(process.pid, resource.RLIMIT_AS, limits)


class _Witness(ProcessWitness[MemoryCap]):
    """Reads the kernel's own account of each process' limits. One that the cap has ended is hit as well."""

    needs_process = True

    def judge(self, left: Left) -> tuple[bool, str]:
        capped = [each for each in left.alive if _cap(each) is not None]
        pids = ", ".join(f"{each.pid} at {_cap(each)} bytes" for each in capped)
        return bool(capped) and len(capped) == len(left.alive), f"capped, by the kernel: {pids}"

    def unharmed(self, sight: Sight[MemoryCap]) -> Sequence[Evidence]:
        rows = self.view.rows()
        evidence = []
        for victim in sight.victims:
            capped = [each for each in sight.processes.get(victim.uid, ()) if _cap(each) is not None]
            if capped:
                pids = ", ".join(str(each.pid) for each in capped)
                evidence.append(Evidence(victim.name, verified=False, how=f"still capped: {pids}"))
            else:
                evidence.append(there(victim, listed=victim.uid in rows))
        return evidence


def _cap(process: ProcessId) -> int | None:
    """The soft limit on a living process' address space; None for none."""
    with suppress(OSError):
        lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        soft = next(line for line in lines if line.startswith("Max address space")).split()[3]
        return int(soft) if process.alive() and soft != "unlimited" else None
    return None


def _not_here(_: MemoryCap, __: LocalSpec) -> str | None:
    """Why no process' limits can be set from outside."""
    return None if sys.platform == "linux" else "only Linux lets one process limit another"


MEANS = Means(MemoryCap, _Enforcer, _Witness, _not_here)
