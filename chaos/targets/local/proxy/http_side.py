"""One direction of a connection whose HTTP is read: it stands before its `Direction`, and passes bytes on to it."""

import asyncio
from collections.abc import Callable, Mapping

from chaos.targets.local.proxy.line import Line
from chaos.targets.local.proxy.relay import Direction
from chaos.targets.local.proxy.shaping import QUEUE_BYTES, Wait


class Side:
    """Bytes that came and were not looked at yet, and what keeps them from being looked at."""

    def __init__(
        self, direction: Direction, on_bytes: Callable[[], None], on_left: Callable[[], None]
    ) -> None:
        """Stand before a direction.

        Args:
            direction: where everything goes on to.
            on_bytes: called when there is something to look at: bytes that wait, or their end.
            on_left: called when the source ends, in whatever way, while its message is held.
        """
        self.direction = direction
        self.finished = direction.finished
        self.waiting = b""
        """Came, and was not looked at."""
        self.ending: Callable[[], None] | None = None
        """How the source ended, to be passed on behind everything else."""
        self.held = False
        """Whether a rule keeps everything from being looked at."""
        self._on_bytes = on_bytes
        self._on_left = on_left
        self._sink_is_full = False
        loop = asyncio.get_running_loop()
        self._line = Line(loop.call_at, loop.time)

    @property
    def delivered(self) -> bool:
        """Whether the sink has been sent the end."""
        return self.direction.delivered

    def carry(self, data: bytes) -> None:
        """Take bytes in."""
        self.waiting += data
        self._look()

    def finish(self) -> None:
        """Take in that no more will come."""
        self.finished = True
        self._end(self.direction.finish)

    def close(self) -> None:
        """Take in that both directions have ended."""
        self._end(self.direction.close)

    def reset(self) -> None:
        """Take in that the source was broken off."""
        self._end(self.direction.reset)

    def hold(self) -> None:
        """The sink is full."""
        self._sink_is_full = True
        self.direction.hold()

    def release(self) -> None:
        """The sink is no longer full."""
        self._sink_is_full = False
        self.balance()

    def keep(self, waits: Mapping[str, Wait], then: Callable[[], None]) -> None:
        """Look at nothing more until what keeps it is over, and go on with `then`."""

        def go() -> None:
            self.held = False
            then()
            self._look()

        self.held = True
        self._line.add(waits, 0, go)

    def forget(self, occurrence: str) -> None:
        """Have nothing kept by this occurrence any longer."""
        self._line.forget(occurrence)

    def drop(self) -> None:
        """Never look at anything again: the connection has ended."""
        self._line.drop()
        self.held, self.waiting, self.ending = True, b"", None

    def take(self) -> bytes:
        """Everything that waits."""
        data, self.waiting = self.waiting, b""
        return data

    def pass_on(self, data: bytes) -> None:
        """Send bytes on."""
        if data:
            self.direction.carry(data)

    def pass_end_on(self) -> None:
        """Send on how the source ended, if it has."""
        if self.ending is not None:
            ending, self.ending = self.ending, None
            ending()

    def balance(self) -> None:
        """Read from the source unless the sink, or what waits here, is full."""
        if self._sink_is_full or len(self.waiting) > QUEUE_BYTES:
            self.direction.hold()
        else:
            self.direction.release()

    def _look(self) -> None:
        if not self.held:
            self._on_bytes()
        self.balance()

    def _end(self, ending: Callable[[], None]) -> None:
        self.ending = ending
        if self.held:
            self._on_left()
        else:
            self._on_bytes()
