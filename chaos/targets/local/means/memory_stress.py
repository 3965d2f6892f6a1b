"""Processes beside a replica that hold memory: proved by how much of it the system has counted as resident."""

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from chaos.targets import Evidence
from chaos.targets.effects import MemoryStress
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means import stressors
from chaos.targets.local.means.crash import other_containers
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness
from chaos.targets.local.means.processor_stress import MOST_WORKERS
from chaos.targets.local.means.stressors import Stressors
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec

MOST_SHARE = 0.5
"""Of the memory that is free: beyond, the kernel could kill whom nobody meant, the runner too."""
_RESIDENT_SHARE = 0.95
_CAP_SYS_RESOURCE = 24


class _Enforcer(Enforcer[MemoryStress]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._stressors = Stressors(cluster, "memory")

    async def cause(self, occurrence: str, effect: MemoryStress, pods: Sequence[Pod]) -> float:
        free_bytes = psutil.virtual_memory().available
        asked_bytes = size_bytes(effect) * effect.workers * len(pods)
        if asked_bytes > MOST_SHARE * free_bytes:
            raise LookupError(
                f"{asked_bytes:,} bytes are more than half of the {free_bytes:,} that are free on this machine"
            )
        at_s = time.monotonic()
        arguments = (str(size_bytes(effect)), str(effect.oom_score_adj))
        self._stressors.start(occurrence, pods, effect.workers, *arguments)
        return at_s

    async def undo(self, occurrence: str) -> None:
        await self._stressors.end(occurrence)


class _Witness(Witness[MemoryStress]):
    def hit(self, sight: Sight[MemoryStress]) -> Sequence[Evidence]:
        found = stressors.find(sight.occurrence, "memory")
        wanted_bytes = size_bytes(sight.effect) * sight.effect.workers
        evidence = []
        for victim in sight.victims:
            beside = [each for each in found if each.beside == victim.uid]
            held_bytes = sum(each.resident_bytes for each in beside)
            verified = len(beside) == sight.effect.workers and held_bytes >= _RESIDENT_SHARE * wanted_bytes
            how = f"{len(beside)} stressors beside it hold {held_bytes:,} bytes, {wanted_bytes:,} were asked for"
            evidence.append(Evidence(victim.name, verified=verified, how=how))
        return evidence

    def unharmed(self, sight: Sight[MemoryStress]) -> Sequence[Evidence]:
        return stressors.gone(sight.occurrence, "memory", sight.victims)


def size_bytes(effect: MemoryStress) -> int:
    """What each worker allocates: a share is one of all the memory of this machine, for replicas have no limit here."""
    if effect.size_bytes is not None:
        return effect.size_bytes
    return int((effect.share or 0.0) * psutil.virtual_memory().total)


def _hindrance(effect: MemoryStress, spec: LocalSpec) -> str | None:
    if effect.options:
        return f"there is no helper here to give options to: {' '.join(effect.options)}"
    if effect.workers > MOST_WORKERS:
        return f"at most {MOST_WORKERS} workers beside one replica: {effect.workers}"
    total_bytes = psutil.virtual_memory().total
    if size_bytes(effect) * effect.workers > MOST_SHARE * total_bytes:
        return f"at most half of this machine's {total_bytes:,} bytes may be filled beside one replica"
    if effect.oom_score_adj < 0 and not _may_be_spared():
        return f"an oomScoreAdj below 0 takes the right CAP_SYS_RESOURCE: {effect.oom_score_adj}"
    return other_containers(effect.containers, spec)


def _may_be_spared() -> bool:
    """Whether a process of ours may ask the kernel to kill others first."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    rights = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return bool(rights >> _CAP_SYS_RESOURCE & 1)


MEANS = Means(MemoryStress, _Enforcer, _Witness, _hindrance)
