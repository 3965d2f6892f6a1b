"""The replica is deleted: killed with all that it forked, and no longer listed. The Deployment starts another one."""

from collections.abc import Sequence

from chaos.targets import Evidence
from chaos.targets.effects import Termination
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness, lives
from chaos.targets.local.pod import Pod


class _Enforcer(Enforcer[Termination]):
    async def cause(self, occurrence: str, effect: Termination, pods: Sequence[Pod]) -> float:
        assert self.cluster.deployment is not None
        return self.cluster.deployment.kill(pods, effect.grace_s, occurrence)


class _Witness(Witness[Termination]):
    def hit(self, sight: Sight[Termination]) -> Sequence[Evidence]:
        rows = self.view.rows()
        evidence = []
        for victim in sight.victims:
            if victim.uid not in sight.processes:
                evidence.append(Evidence(victim.name, verified=False, how="was never seen before the fault"))
                continue
            listed = victim.uid in rows
            alive, how = lives(sight, victim, listed=listed)
            evidence.append(Evidence(victim.name, verified=not alive and not listed, how=how))
        return evidence


MEANS = Means(Termination, _Enforcer, _Witness)
