"""Replicas that are told to leave while they serve: all at once, or one when the one before is gone and replaced."""

import asyncio
import time
from collections.abc import Sequence

from chaos.targets.engine_effects import Drain
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness
from chaos.targets.local.pod import Pod

_LOOK_EVERY_S = 0.05


class _Enforcer(Enforcer[Drain]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._rolling: set[asyncio.Task[None]] = set()

    async def cause(self, occurrence: str, effect: Drain, pods: Sequence[Pod]) -> float:
        assert self.cluster.deployment is not None
        if effect.pace == "together":
            return self.cluster.deployment.kill(pods, effect.grace_s, occurrence)
        at_s = time.monotonic()
        task = asyncio.create_task(self._roll(occurrence, effect.grace_s, pods))
        self._rolling.add(task)
        task.add_done_callback(self._rolling.discard)
        return at_s

    async def _roll(self, occurrence: str, grace_s: float, pods: Sequence[Pod]) -> None:
        assert self.cluster.deployment is not None
        for pod in pods:
            if pod.uid in self.cluster.deployment.pods:  # it may have been deleted by others meanwhile
                self.cluster.deployment.kill([pod], grace_s, occurrence)
            while not self._whole_without(pod):  # noqa: ASYNC110 - probes, processes and the list, all of which change
                await asyncio.sleep(_LOOK_EVERY_S)

    def _whole_without(self, gone: Pod) -> bool:
        assert self.cluster.deployment is not None
        pods = self.cluster.deployment.pods
        return gone.uid not in pods and all(pod.ready for pod in pods.values())


class _Witness(ProcessWitness[Drain]):
    def judge(self, left: Left) -> tuple[bool, str]:
        return not left.alive and not left.listed, ""


MEANS = Means(Drain, _Enforcer, _Witness)
