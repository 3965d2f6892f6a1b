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
from chaos.targets.local.means.stressors import Stressors
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


@dataclass(slots=True)
class _Sight(Sight[ProcessorStress]):
    looked_s: float = field(default_factory=time.monotonic)
    used_s: dict[str, float] = field(default_factory=dict)
    """Processor time of each victim's own processes when it was looked last, by uid."""
    stressed_s: dict[str, float] = field(default_factory=dict)
    """The same of the stressors beside it."""


class _Witness(Witness[ProcessorStress]):
    def aim(self, occurrence: str, effect: ProcessorStress, victims: Sequence[Replica]) -> _Sight:
        return _Sight(occurrence, effect, tuple(victims), self.view.processes(victims))

    def hit(self, sight: Sight[ProcessorStress]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        now_s = time.monotonic()
        found = stressors.find(sight.occurrence, "processor")
        took_s = now_s - sight.looked_s
        evidence = []
        for victim in sight.victims:
            beside = [each for each in found if each.beside == victim.uid]
            own_s = stressors.processor_s(sight.processes.get(victim.uid, ()))
            stressed_s = sum(each.processor_s for each in beside)
            rate = (stressed_s - sight.stressed_s.get(victim.uid, 0.0)) / took_s
            own = (own_s - sight.used_s.get(victim.uid, own_s)) / took_s
            effect = sight.effect
            wanted = min(effect.workers * effect.load, (psutil.cpu_count() or 1) / len(sight.victims))
            verified = took_s >= _OVER_S and len(beside) == effect.workers and rate >= _LEAST_SHARE * wanted
            how = (
                f"{len(beside)} stressors beside it use {rate:.2f} processors, its own processes {own:.2f}, "
                f"over {took_s:.1f} s"
            )
            evidence.append(Evidence(victim.name, verified=verified, how=how))
            if took_s >= _OVER_S:
                sight.stressed_s[victim.uid], sight.used_s[victim.uid] = stressed_s, own_s
        if took_s >= _OVER_S:
            sight.looked_s = now_s
        return evidence

    def unharmed(self, sight: Sight[ProcessorStress]) -> Sequence[Evidence]:
        return stressors.gone(sight.occurrence, "processor", sight.victims)


def _hindrance(effect: ProcessorStress, spec: LocalSpec) -> str | None:
    if effect.options:
        return f"there is no stress-ng here to give options to: {' '.join(effect.options)}"
    if effect.workers > MOST_WORKERS:
        return f"at most {MOST_WORKERS} workers beside one replica: {effect.workers}"
    return other_containers(effect.containers, spec)


MEANS = Means(ProcessorStress, _Enforcer, _Witness, _hindrance)
