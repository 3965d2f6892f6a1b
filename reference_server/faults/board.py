"""What is in force, and until when: an order lives for as long as whoever gave it is heard, and no longer."""

import asyncio
import logging
from dataclasses import dataclass

from reference_server.faults.order import Inside, Order, Undo

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _InForce:
    order: Order
    undo: Undo
    expiry: asyncio.TimerHandle


class Board:
    """All faults of one replica by their names. Belongs to one event loop."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._in_force: dict[str, _InForce] = {}

    def put(self, name: str, order: Order, lease_s: float) -> None:
        """Put an order in force, or keep it so: it ends by itself `lease_s` later. Another one of that name ends."""
        known = self._in_force.get(name)
        if known is not None and known.order == order:
            known.expiry.cancel()
            known.expiry = self._expire(name, lease_s)
            return
        self.end(name)
        undo = order.begin(self._inside)
        self._in_force[name] = _InForce(order, undo, self._expire(name, lease_s))
        logger.warning("fault=%s name=%s begins", order.fault, name)

    def end(self, name: str) -> bool:
        """End it; False where there is none of that name."""
        ended = self._in_force.pop(name, None)
        if ended is None:
            return False
        ended.expiry.cancel()
        ended.undo()
        logger.warning("fault=%s name=%s is over", ended.order.fault, name)
        return True

    def close(self) -> None:
        """End all, the newest first."""
        for name in reversed([*self._in_force]):
            self.end(name)

    def in_force(self) -> dict[str, dict[str, object]]:
        """Each order by its name, and the seconds that its lease still has."""
        now_s = asyncio.get_running_loop().time()
        return {
            name: {**each.order.model_dump(), "left_s": max(0.0, each.expiry.when() - now_s)}
            for name, each in self._in_force.items()
        }

    def _expire(self, name: str, lease_s: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(lease_s, self.end, name)
