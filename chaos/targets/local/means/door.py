"""The door for faults of a reference server, from the supervisor's side: orders, and the leases that they live by.

The replica itself ends an order whose lease is not renewed, so that a supervisor that dies leaves no fault even where
a replica should survive it.
"""

import asyncio
import http.client
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from chaos.targets.effects import Effect
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.means import Enforcer
from chaos.targets.local.pod import Pod
from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

E = TypeVar("E", bound=Effect)

LEASE_S = 3.0
_RENEW_EVERY_S = 1.0
_ANSWER_WITHIN_S = 2.0
KEY_HEADER = "x-aftershock-key"


class DoorEnforcer(Enforcer[E]):
    """Has each victim falsify itself, and keeps the lease until it is undone."""

    def __init__(self, cluster: Cluster) -> None:
        """Prepare; orders nothing."""
        super().__init__(cluster)
        self._ordered: dict[str, dict[Pod, int | None]] = {}
        """By occurrence, each victim with the pid that was told: one that restarted has forgotten."""
        self._renewing: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        """By occurrence: what ends the renewals, and who does them."""

    persists = False
    """Whether a victim that restarts is told again: what it stands for does not end with a process."""

    @abstractmethod
    def order(self, effect: E) -> Message:
        """What the replica is told, as its own kinds have it."""

    async def cause(self, occurrence: str, effect: E, pods: Sequence[Pod]) -> float:
        """Order it, replica by replica, and keep it ordered."""
        at_s = asyncio.get_running_loop().time()
        order, told = self.order(effect), self._ordered.setdefault(occurrence, {})
        for pod in pods:
            told[pod] = pod.pid
            await self._put(pod, occurrence, order)
        over = asyncio.Event()
        self._renewing[occurrence] = over, asyncio.create_task(self._renew(occurrence, order, over))
        return at_s

    async def undo(self, occurrence: str) -> None:
        """Withdraw it from every victim whose process is still the one that was told."""
        if occurrence in self._renewing:
            over, renewing = self._renewing.pop(occurrence)
            over.set()
            await renewing  # not cancelled: an order that is under way would arrive after its withdrawal
        for pod, pid in self._ordered.pop(occurrence, {}).items():
            if pid is not None and pod.pid == pid:
                with suppress(OSError, http.client.HTTPException):  # it is ending; else its lease is
                    await self._ask("DELETE", pod, occurrence)

    async def _renew(self, occurrence: str, order: Message, over: asyncio.Event) -> None:
        while not await _within(over, _RENEW_EVERY_S):
            told = self._ordered[occurrence]
            for pod, pid in told.copy().items():
                if over.is_set() or pod.pid is None or (pod.pid != pid and not (self.persists and pod.ready)):
                    continue
                told[pod] = pod.pid
                with suppress(
                    OSError, http.client.HTTPException, RuntimeError
                ):  # its next turn may be in time
                    await self._put(pod, occurrence, order)

    async def _put(self, pod: Pod, occurrence: str, order: Message) -> None:
        status = await self._ask("PUT", pod, occurrence, {"lease_s": LEASE_S, "order": order})
        if status != http.client.OK:
            raise RuntimeError(f"{pod.name} does not take the order {order['fault']}: status {status}")

    async def _ask(self, method: str, pod: Pod, name: str, body: Message | None = None) -> int:
        if pod.ports is None:
            raise ConnectionRefusedError(f"{pod.name} has no process yet")
        key = self.cluster.spec.faults_key
        return await asyncio.to_thread(_exchange, method, pod.ports[0], name, body, {KEY_HEADER: key})


async def _within(over: asyncio.Event, seconds: float) -> bool:
    """Wait for so long at most; whether it is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await over.wait()
    return over.is_set()


def _exchange(method: str, port: int, name: str, body: Any, headers: Mapping[str, str]) -> int:
    """The status of one exchange; an occurrence's `#` is none that a path may have."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_WITHIN_S)
    try:
        path = f"/faults/{name.replace('#', '.')}"
        connection.request(method, path, json.dumps(body) if body is not None else None, dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def no_door(_: Any, spec: LocalSpec) -> str | None:
    """Why replicas of this command cannot be ordered to falsify themselves."""
    if spec.is_reference_server:
        return None
    return (
        f"it happens inside of the engine, and only the reference server has a door for it: {spec.command[0]}"
    )
