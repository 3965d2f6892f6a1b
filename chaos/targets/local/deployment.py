"""Keeps the wanted number of replicas: one whose pod was deleted is replaced at once, under a new name."""

import asyncio
import uuid
from collections.abc import Sequence

from chaos.targets.local.naming import Names, emptiest
from chaos.targets.local.pod import Pod, Surroundings


class Deployment:
    """All replicas that exist, terminating ones too, in the order of their creation."""

    def __init__(self, around: Surroundings, tasks: asyncio.TaskGroup) -> None:
        self.pods: dict[str, Pod] = {}
        """By uid."""
        self._around = around
        self._tasks = tasks
        self._names = Names(around.spec)
        self._wanted = around.spec.replicas
        self._lives: set[asyncio.Task[None]] = set()

    def fill(self) -> None:
        """Create what is missing: replicas that are terminating no longer count."""
        while len(zones := [pod.zone for pod in self.pods.values() if not pod.terminating]) < self._wanted:
            zone = emptiest(self._around.spec.zones, zones)
            pod = Pod(self._names.draw(), str(uuid.uuid4()), zone, self._around)
            self.pods[pod.uid] = pod
            life = self._tasks.create_task(self._live(pod))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)

    def these(self, uids: Sequence[str]) -> list[Pod]:
        """The replicas of these uids.

        Raises:
            LookupError: one of them does not exist (any more).
        """
        if missing := [uid for uid in uids if uid not in self.pods]:
            raise LookupError(f"no such replica any more: {', '.join(missing)}")
        return [self.pods[uid] for uid in uids]

    def kill(self, pods: Sequence[Pod], grace_s: float, reason: str) -> float:
        """Delete replicas one after another; monotonic seconds of the first signal."""
        at_s = min([pod.delete(grace_s, reason) for pod in pods])
        self.fill()
        return at_s

    async def shut_down(self, grace_s: float) -> None:
        """Delete every replica, replace none, and wait until all are gone."""
        self._wanted = 0
        for pod in self.pods.values():
            pod.delete(grace_s, reason=None)
        if self._lives:
            await asyncio.wait(self._lives)

    async def _live(self, pod: Pod) -> None:
        await pod.run()
        del self.pods[pod.uid]
        self._around.changed()
