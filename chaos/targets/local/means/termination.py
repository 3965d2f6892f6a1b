"""The replica is deleted: killed with all that it forked, and no longer listed. The Deployment starts another one."""

from collections.abc import Sequence

from chaos.targets.effects import Termination
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness
from chaos.targets.local.pod import Pod


class _Enforcer(Enforcer[Termination]):
    async def cause(self, occurrence: str, effect: Termination, pods: Sequence[Pod]) -> float:
        assert self.cluster.deployment is not None
        return self.cluster.deployment.kill(pods, effect.grace_s, occurrence)


class _Witness(ProcessWitness[Termination]):
    def judge(self, left: Left) -> tuple[bool, str]:
        return not left.alive and not left.listed, ""


MEANS = Means(Termination, _Enforcer, _Witness)
