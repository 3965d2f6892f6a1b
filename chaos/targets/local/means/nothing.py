"""No effect: the proof is that the same processes live and the same replicas are listed."""

import time
from collections.abc import Sequence

from chaos.targets import Evidence
from chaos.targets.effects import Nothing
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness, lives
from chaos.targets.local.pod import Pod


class _Enforcer(Enforcer[Nothing]):
    async def cause(self, occurrence: str, effect: Nothing, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        return time.monotonic()


class _Witness(Witness[Nothing]):
    def hit(self, sight: Sight[Nothing]) -> Sequence[Evidence]:
        rows = self.view.rows()
        evidence = []
        for victim in sight.victims:
            if victim.uid not in sight.processes:
                evidence.append(Evidence(victim.name, verified=False, how="was never seen before the fault"))
                continue
            listed = victim.uid in rows
            alive, how = lives(sight, victim, listed=listed)
            unchanged = listed and len(alive) == len(sight.processes[victim.uid])
            evidence.append(Evidence(victim.name, verified=unchanged, how=how))
        return evidence


MEANS = Means(Nothing, _Enforcer, _Witness)
