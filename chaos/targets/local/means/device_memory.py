"""A GPU's memory, really held by a process of ours until so much is free; the exporter of a victim says how much is."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import DeviceMemory
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.gpu_machine import no_gpu
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness
from chaos.targets.local.means.series import figure
from chaos.targets.local.pod import NICENESS, Pod
from chaos.targets.local.processes import Child
from exporters.series.gpu import GPU_MEMORY_TOTAL, GPU_MEMORY_USED

_GIB = 1 << 30
_SLACK_BYTES = 256 << 20
"""Allocations are whole pieces, and the exporter looks once a second."""
_RESERVED_SHARE = 0.01
"""Of all memory: the driver keeps as much, which NVML does not count as used; 0.6 GB of an H200's 141."""


class _Enforcer(Enforcer[DeviceMemory]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._holding: dict[str, Child] = {}

    async def cause(self, occurrence: str, effect: DeviceMemory, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        at_s = time.monotonic()
        program = (
            *(sys.executable, "-m", "reference_server", "occupy-gpu"),
            *("--gpu", str(effect.gpu), "--leave-free", str(effect.free_bytes)),
        )
        self._holding[occurrence] = self.cluster.start_beside(program, {}, "gpu-memory", NICENESS)
        return at_s

    async def undo(self, occurrence: str) -> None:
        if (holder := self._holding.pop(occurrence, None)) is not None:
            holder.signal_group(signal.SIGKILL)
            await asyncio.wait_for(holder.wait(), 5)


class _Witness(Witness[DeviceMemory]):
    def hit(self, sight: Sight[DeviceMemory]) -> Sequence[Evidence]:
        return [self._seen(sight, victim, taken=True) for victim in sight.victims]

    def unharmed(self, sight: Sight[DeviceMemory]) -> Sequence[Evidence]:
        return [self._seen(sight, victim, taken=False) for victim in sight.victims]

    def _seen(self, sight: Sight[DeviceMemory], victim: Replica, *, taken: bool) -> Evidence:
        """By the exporter of the victim, or of any other replica where the victim has ended."""
        rows, gpu = self.view.rows(), str(sight.effect.gpu)
        others = (row for uid, row in rows.items() if uid != victim.uid)
        for row in (*filter(None, (rows.get(victim.uid),)), *others):
            total = figure(row["metrics_port"], GPU_MEMORY_TOTAL.name, gpu=gpu) if row["pid"] else None
            used = figure(row["metrics_port"], GPU_MEMORY_USED.name, gpu=gpu) if total is not None else None
            if total is not None and used is not None:
                free, kept = total - used, _SLACK_BYTES + _RESERVED_SHARE * total
                most = sight.effect.free_bytes + kept
                how = f"an exporter says that {free / _GIB:.2f} GiB of GPU {gpu} are free"
                return Evidence(victim.name, verified=(free <= most) == taken, how=how)
        return Evidence(victim.name, verified=False, how=f"no exporter tells of GPU {gpu}")


MEANS = Means(DeviceMemory, _Enforcer, _Witness, lack=no_gpu)
