"""How long a replica's process is held back before it starts: as long as the longest fault in force says."""

import asyncio
import time


class Starts:
    """All that holds starts back now. Belongs to one event loop."""

    def __init__(self) -> None:
        self._delays_s: dict[str, float] = {}
        self._changed = asyncio.Event()

    def hold(self, occurrence: str, delay_s: float) -> None:
        """Whoever starts from now on waits for so long, unless it is released before."""
        self._delays_s[occurrence] = delay_s

    def release(self, occurrence: str) -> None:
        """No longer, those who wait already included; harmless where nothing was held."""
        self._delays_s.pop(occurrence, None)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Return when a process may start that is to start now."""
        began_s = time.monotonic()
        while (left_s := began_s + max(self._delays_s.values(), default=0.0) - time.monotonic()) > 0:
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait([changed], timeout=left_s)
            finally:
                changed.cancel()
