"""What a network fault does to bytes on their way: when each may go on, in order, none lost. Time passes, nothing else.

A proxy stands after TCP: what netem does to packets it can only do to the bytes that they carried. A delay is the same
for both. A lost packet is sent again by TCP, so for the reader loss is a delay as well: of a retransmission timeout
where nothing follows the lost packet to give its loss away, doubled each time it is lost again, and of nothing to
speak of where something does.
Sources: Linux, `net/sched/sch_netem.c` (jitter uniform, correlation of first order), `include/net/tcp.h` (timeouts).
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaos.targets.effects import Traffic

SEGMENT_BYTES = 1448
"""What one packet carries of a stream, on Ethernet."""
TIMEOUT_S = 0.2
"""After which TCP sends a packet again that nothing told it was lost."""
_HANDSHAKE_TIMEOUT_S = 1.0
_FOLLOWERS_THAT_TELL = 3
"""Duplicate acknowledgements that have a lost packet sent again at once."""
_MOST_LOSSES = 10
_QUEUE_BYTES = 4 * 1024 * 1024
"""What one direction holds back before its source has to wait: about the thousand packets of netem's queue."""


class _Correlated:
    """Uniform numbers in 0..1, each of which keeps a share of the one before."""

    def __init__(self, rng: random.Random, correlation: float) -> None:
        self._rng = rng
        self._correlation = correlation
        self._last = rng.random()

    def draw(self) -> float:
        self._last = self._correlation * self._last + (1 - self._correlation) * self._rng.random()
        return self._last


@dataclass(slots=True)
class Counts:
    """What one way did to the packets of one occurrence."""

    packets: int = 0
    delayed: int = 0
    lost: int = 0
    """Each time that one was lost."""


class Shape:
    """The traffic of one occurrence on one way."""

    def __init__(self, traffic: Traffic, seed: str) -> None:
        self.counts = Counts()
        self._traffic = traffic
        rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._jitter = _Correlated(rng, traffic.jitter_correlation)
        self._loss = _Correlated(rng, traffic.loss_correlation)

    def delay_s(self, size: int, *, handshake: bool = False) -> float:
        """How much later this much goes on."""
        packets = max(1, -(-size // SEGMENT_BYTES))
        self.counts.packets += packets
        traffic = self._traffic
        delay_s = traffic.delay_s
        if traffic.jitter_s:
            delay_s = max(0.0, delay_s + traffic.jitter_s * (2 * self._jitter.draw() - 1))
        if traffic.loss:
            timeout_s = _HANDSHAKE_TIMEOUT_S if handshake else TIMEOUT_S
            delay_s += max(
                self._retransmission_s(packets - number, timeout_s) for number in range(1, packets + 1)
            )
        self.counts.delayed += packets if delay_s > 0 else 0
        return delay_s

    def _retransmission_s(self, followers: int, timeout_s: float) -> float:
        losses = 0
        while losses < _MOST_LOSSES and self._loss.draw() < self._traffic.loss:
            losses += 1
        self.counts.lost += losses
        if followers >= _FOLLOWERS_THAT_TELL and losses == 1:
            return 0.0
        return timeout_s * float(2**losses - 1)


@dataclass(slots=True)
class Way:
    """One way through a route: everything that is in force on it, by occurrence."""

    shapes: dict[str, Shape] = field(default_factory=dict)

    def delays_s(self, size: int, *, handshake: bool = False) -> dict[str, float]:
        """How much later this much goes on because of each occurrence: they add up."""
        return {
            occurrence: shape.delay_s(size, handshake=handshake) for occurrence, shape in self.shapes.items()
        }


@dataclass(slots=True)
class _Waiting:
    since_s: float
    delays_s: dict[str, float]
    size: int
    go: Callable[[], None]
    due_s: float = 0.0


class Line:
    """What waits on one direction of one connection: each thing goes at its time, and none before an earlier one."""

    def __init__(
        self, call_at: Callable[[float, Callable[[], None]], object], now_s: Callable[[], float]
    ) -> None:
        self._call_at = call_at
        self._now_s = now_s
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._woken_for_s: float | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def full(self) -> bool:
        """Whether the source has to wait."""
        return self._bytes > _QUEUE_BYTES

    def add(self, delays_s: Mapping[str, float], size: int, go: Callable[[], None]) -> None:
        """Have `go` called when its time has come and everything before it has gone.

        Args:
            delays_s: what keeps it, by occurrence.
            size: bytes that it holds back.
            go: called once; never, where the line is dropped.
        """
        waiting = _Waiting(self._now_s(), dict(delays_s), size, go)
        self._set_due(waiting, self._waiting[-1].due_s if self._waiting else 0.0)
        self._waiting.append(waiting)
        self._bytes += size
        self._wake()

    def forget(self, occurrence: str) -> None:
        """Let everything go when it would have gone without this occurrence: what is late already, now and in order."""
        before_s = 0.0
        for waiting in self._waiting:
            waiting.delays_s.pop(occurrence, None)
            before_s = self._set_due(waiting, before_s)
        self._go()

    def drop(self) -> None:
        """Forget what waits: the connection is broken."""
        self._waiting.clear()
        self._bytes = 0

    def _set_due(self, waiting: _Waiting, before_s: float) -> float:
        waiting.due_s = max(before_s, waiting.since_s + sum(waiting.delays_s.values()))
        return waiting.due_s

    def _wake(self) -> None:
        due_s = self._waiting[0].due_s
        if self._woken_for_s is None or due_s < self._woken_for_s:
            self._woken_for_s = due_s
            self._call_at(due_s, self._go)

    def _go(self) -> None:
        self._woken_for_s = None
        while self._waiting and self._waiting[0].due_s <= self._now_s():
            first = self._waiting.popleft()
            self._bytes -= first.size
            first.go()
        if self._waiting:
            self._wake()
