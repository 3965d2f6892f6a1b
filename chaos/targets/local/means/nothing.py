"""No effect: the proof is that the same processes live and the same replicas are listed."""

import time
from collections.abc import Sequence

from chaos.targets.effects import Nothing
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness
from chaos.targets.local.pod import Pod


class _Enforcer(Enforcer[Nothing]):
    async def cause(self, occurrence: str, effect: Nothing, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        return time.monotonic()


class _Witness(ProcessWitness[Nothing]):
    def judge(self, left: Left) -> tuple[bool, str]:
        return left.listed and len(left.alive) == len(left.before), ""


MEANS = Means(Nothing, _Enforcer, _Witness)
