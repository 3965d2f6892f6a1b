"""What waits on one direction of one connection: each thing goes when it may, and none before an earlier one."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaos.targets.local.proxy.shaping import Wait, Way


@dataclass(slots=True)
class _Waiting:
    since_s: float
    waits: dict[str, Wait]
    left_s: float
    """How late it stays whatever is undone."""
    size: int
    go: Callable[[], None]
    due_s: float = 0.0
    has_tokens: bool = False

    @property
    def lost(self) -> bool:
        """Whether something later that arrives would have it sent again."""
        return any(wait.losses for wait in self.waits.values())

    def told(self, now_s: float) -> None:
        """Something later has arrived."""
        for occurrence, wait in self.waits.items():
            if wait.losses:
                self.waits[occurrence] = wait.told(now_s - self.since_s)


class Line:
    """A queue in order. What keeps its first thing may change at any time; nothing is ever lost, or overtaken."""

    def __init__(
        self,
        call_at: Callable[[float, Callable[[], None]], object],
        now_s: Callable[[], float],
        way: Way | None = None,
    ) -> None:
        """An empty line.

        Args:
            call_at: calls back at a time; later is harmless.
            now_s: the clock of these times.
            way: what limits the rate at which things leave; None for no limit.
        """
        self._call_at = call_at
        self._now_s = now_s
        self._way = way or Way()
        self._waiting: deque[_Waiting] = deque()
        self._lost: list[_Waiting] = []
        """Those of them that something later would tell of."""
        self._bytes = 0
        self._left_s = 0.0
        """When the last thing left, by its own time and not by when this was noticed."""
        self._woken_for_s: float | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def full(self) -> bool:
        """Whether the source has to wait."""
        return self._bytes > self._way.queue_bytes

    def add(self, waits: Mapping[str, Wait], size: int, go: Callable[[], None]) -> None:
        """Have `go` called when its time has come and everything before it has gone.

        Args:
            waits: what keeps it, by occurrence.
            size: bytes that it holds back.
            go: called once; never, where the line is dropped.
        """
        waiting = _Waiting(self._now_s(), dict(waits), 0.0, size, go)
        if waiting.lost:
            self._lost.append(waiting)
        elif self._lost and not any(wait.resent_s for wait in waits.values()):
            self._tell_of_losses(waiting.since_s)
        self._set_due(waiting, self._waiting[-1].due_s if self._waiting else self._left_s)
        self._waiting.append(waiting)
        self._bytes += size
        self._wake()

    def forget(self, occurrence: str) -> None:
        """Let everything go when it would have gone without this occurrence: what is late already, now and in order.

        What was lost goes with TCP's next retransmission.
        """
        now_s, before_s = self._now_s(), self._left_s
        for waiting in self._waiting:
            wait = waiting.waits.pop(occurrence, None)
            if wait is not None:
                waiting.left_s = max(waiting.left_s, wait.left_s(now_s - waiting.since_s))
            waiting.has_tokens = False
            before_s = self._set_due(waiting, before_s)
        self._go()

    def drop(self) -> None:
        """Forget what waits: the connection is broken."""
        self._waiting.clear()
        self._lost.clear()
        self._bytes = 0

    def _tell_of_losses(self, now_s: float) -> None:
        """Something has arrived at its first attempt: the other side asks for what is missing before it."""
        for waiting in self._lost:
            waiting.told(now_s)
        self._lost = [waiting for waiting in self._lost if waiting.lost]
        before_s = self._left_s
        for waiting in self._waiting:
            before_s = waiting.due_s if waiting.has_tokens else self._set_due(waiting, before_s)
        if self._waiting:
            self._wake()

    def _set_due(self, waiting: _Waiting, before_s: float) -> float:
        late_s = waiting.left_s + sum(wait.all_s for wait in waiting.waits.values())
        waiting.due_s = max(before_s, waiting.since_s + late_s)
        return waiting.due_s

    def _wake(self) -> None:
        due_s = self._waiting[0].due_s
        if due_s == math.inf:
            return  # until a fault is undone
        if self._woken_for_s is None or due_s < self._woken_for_s:
            self._woken_for_s = due_s
            self._call_at(due_s, self._go)

    def _go(self) -> None:
        self._woken_for_s = None
        while self._waiting and self._may_go(self._waiting[0]):
            first = self._waiting.popleft()
            first.waits.clear()
            self._bytes -= first.size
            self._left_s = first.due_s
            first.go()
        if self._waiting:
            self._wake()

    def _may_go(self, first: _Waiting) -> bool:
        """Whether the first may go now: its time has come, and then its tokens."""
        if first.due_s > self._now_s():
            return False
        if not first.has_tokens:
            # From its own time on, not from now: a clock that is read late must not lower the rate.
            first.due_s = self._way.departure_s(first.size, max(first.due_s, self._left_s))
            first.has_tokens = True
        return first.due_s <= self._now_s()
