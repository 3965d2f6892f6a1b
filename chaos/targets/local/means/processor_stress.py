"""Busy processes beside a replica: proved by the processor time that the system has counted of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from chaos.targets import Evidence, Replica
from chaos.targets.effects import ProcessorStress
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means import stressors
from chaos.targets.local.means.crash import other_containers
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness
from chaos.targets.local.means.stressors import Found, Stressors
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec

MOST_WORKERS = 64
"""Beside one replica: more of them make a machine no busier, and every look at it slower."""
_LEAST_SHARE = 0.02
"""Of what they ask for, or of the processors where that is less: who works is told from who sleeps, however busy the
machine is with others."""
_OVER_S = 0.5
"""Processor time is counted in steps of 10 ms: over less than this it says little."""


class _Enforcer(Enforcer[ProcessorStress]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._stressors = Stressors(cluster, "processor")

    async def cause(self, occurrence: str, effect: ProcessorStress, pods: Sequence[Pod]) -> float:
        at_s = time.monotonic()
        self._stressors.start(occurrence, pods, effect.workers, str(effect.load))
        return at_s

    async def undo(self, occurrence: str) -> None:
        await self._stressors.end(occurrence)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the system had counted of a victim and of the stressors beside it."""

    at_s: float
    own_s: float
    stressors_s: float


@dataclass(slots=True)
class _Sight(Sight[ProcessorStress]):
    first: dict[str, _Counted] = field(default_factory=dict)
    """Of each victim, by uid, when all of its stressors were seen first: their start is no work."""


class _Witness(Witness[ProcessorStress]):
    def aim(self, occurrence: str, effect: ProcessorStress, victims: Sequence[Replica]) -> _Sight:
        return _Sight(occurrence, effect, tuple(victims), self.view.processes(victims))

    def hit(self, sight: Sight[ProcessorStress]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        found = stressors.find(sight.occurrence, "processor")
        return [
            self._looked(sight, victim, [each for each in found if each.beside == victim.uid])
            for victim in sight.victims
        ]

    def _looked(self, sight: _Sight, victim: Replica, beside: Sequence[Found]) -> Evidence:
        own_s = stressors.processor_s(sight.processes.get(victim.uid, ()))
        now = _Counted(time.monotonic(), own_s, sum(each.processor_s for each in beside))
        if len(beside) < sight.effect.workers:
            how = f"{len(beside)} of {sight.effect.workers} stressors are beside it"
            return Evidence(victim.name, verified=False, how=how)
        first = sight.first.setdefault(victim.uid, now)
        took_s = max(now.at_s - first.at_s, 1e-9)
        rate, own = (now.stressors_s - first.stressors_s) / took_s, (now.own_s - first.own_s) / took_s
        asked = sight.effect.workers * sight.effect.load
        wanted = min(asked, (psutil.cpu_count() or 1) / len(sight.victims))
        how = (
            f"{len(beside)} stressors beside it use {rate:.2f} processors, its own processes {own:.2f}, "
            f"over {took_s:.1f} s"
        )
        return Evidence(victim.name, verified=took_s >= _OVER_S and rate >= _LEAST_SHARE * wanted, how=how)

    def unharmed(self, sight: Sight[ProcessorStress]) -> Sequence[Evidence]:
        return stressors.gone(sight.occurrence, "processor", sight.victims)


def _hindrance(effect: ProcessorStress, spec: LocalSpec) -> str | None:
    if effect.options:
        return f"there is no stress-ng here to give options to: {' '.join(effect.options)}"
    if effect.workers > MOST_WORKERS:
        return f"at most {MOST_WORKERS} workers beside one replica: {effect.workers}"
    return other_containers(effect.containers, spec)


MEANS = Means(ProcessorStress, _Enforcer, _Witness, _hindrance)
