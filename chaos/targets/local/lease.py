"""The runner's lease on the cluster: it must be heard every so often, or everything ends."""

import asyncio

_TICKS = 20


class Lease:
    """Lapses after `lasts_s` of silence."""

    def __init__(self, lasts_s: float) -> None:
        self._tick_s = lasts_s / _TICKS
        self._silent_ticks = 0

    def renew(self) -> None:
        """The runner was heard."""
        self._silent_ticks = 0

    async def lapse(self) -> None:
        """Return once the runner was silent for the whole lease.

        Silence is counted in ticks that this process lived through: after the whole machine was suspended, a
        heartbeat that waits in the pipe is read before the lease can lapse.
        """
        while self._silent_ticks < _TICKS:
            await asyncio.sleep(self._tick_s)
            self._silent_ticks += 1
