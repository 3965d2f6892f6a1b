"""What a network fault does to bytes on their way: how long each has to wait, and why. Time passes, nothing else.

A proxy stands after TCP: what netem does to packets it can only do to the bytes that they carried. A delay is the same
for both. A lost packet is sent again by TCP, so for the reader loss is a delay as well: of a retransmission timeout
where nothing follows the lost packet to give its loss away, doubled each time it is lost again; where something does,
until that has arrived. A damaged packet fails its checksum, which is a loss; one that comes twice is discarded.
Sources: Linux, `net/sched/sch_netem.c` (jitter uniform, correlation of first order, reordering), `net/sched/sch_tbf.c`,
`include/net/tcp.h` (timeouts), `net/ipv4/tcp_recovery.c` (a later packet that has arrived tells of a loss: RACK).
"""

import math
import random
from dataclasses import dataclass, field, replace

from chaos.targets.effects import Bucket, Traffic

SEGMENT_BYTES = 1448
"""What one packet carries of a stream, on Ethernet."""
HEADER_BYTES = 66
"""What Ethernet, IP and TCP add to a packet: a limit on bytes counts them too."""
TIMEOUT_S = 0.2
"""After which TCP sends a packet again that nothing told it was lost."""
_HANDSHAKE_TIMEOUT_S = 1.0
_MOST_LOSSES = 10
QUEUE_BYTES = 4 * 1024 * 1024
"""What one direction holds back before its source has to wait: about the thousand packets of netem's queue."""
_PIECE_S = 0.005
"""So much of a limited rate goes on at once."""


class _Correlated:
    """Uniform numbers in 0..1, each of which keeps a share of the one before."""

    def __init__(self, rng: random.Random, correlation: float) -> None:
        self._rng = rng
        self._correlation = correlation
        self._last = rng.random()

    def draw(self) -> float:
        self._last = self._correlation * self._last + (1 - self._correlation) * self._rng.random()
        return self._last


@dataclass(frozen=True, slots=True)
class Wait:
    """What keeps one thing from going on."""

    delay_s: float
    """However it is undone, no longer than that."""
    resent_s: float = 0.0
    """How much later it comes because it was lost: at one of TCP's retransmissions; infinite where all are lost."""
    losses: int = 0
    """How often it is lost, as long as nothing has told of it."""
    timeout_s: float = TIMEOUT_S
    """Before the first of these retransmissions, where nothing tells of the loss."""

    @property
    def all_s(self) -> float:
        """Everything."""
        return self.delay_s + self.resent_s

    def told(self, waited_s: float) -> "Wait":
        """The same once something later has arrived after so long: what is missing is sent again at once.

        If that is lost too, it takes a timeout: so the kernel does in most cases, its window having shrunk.
        """
        resent_s = min(self.resent_s, waited_s + timeouts_s(self.losses - 1, self.timeout_s))
        return replace(self, resent_s=resent_s, losses=0)

    def left_s(self, waited_s: float) -> float:
        """How late it still is when nothing is lost any more after it has waited so long.

        TCP does not know that the network is well again: the next retransmission tells.
        """
        if not self.resent_s:
            return 0.0
        due_s = self.timeout_s
        while due_s < waited_s:
            due_s = 2 * due_s + self.timeout_s
        return min(due_s, self.resent_s)


def timeouts_s(losses: int, timeout_s: float) -> float:
    """After how long a packet comes that is lost so often, and of which nothing tells but TCP's timeouts, doubling."""
    return timeout_s * float(2**losses - 1)


class TokenBucket:
    """When bytes may go on that share one limit. All connections of one way share it, as the packets of a pod do."""

    def __init__(self, bucket: Bucket) -> None:
        rates = [(bucket.rate_bytes_per_s, bucket.burst_bytes)]
        if bucket.peak_bytes_per_s:
            rates.append((bucket.peak_bytes_per_s, bucket.peak_burst_bytes))
        self._rates = rates
        self._full_s = [0.0] * len(rates)
        """When each of the limits will have all its tokens again."""
        self.queue_bytes = bucket.queue_bytes
        self.piece_bytes = max(SEGMENT_BYTES, int(_PIECE_S * min(rate for rate, _ in rates)))

    def departure_s(self, size: int, at_s: float) -> float:
        """When so many bytes may go that could go now but for the limit; they have their tokens from then on."""
        packets = max(1, -(-size // SEGMENT_BYTES))
        goes_s = at_s
        for index, (rate, burst) in enumerate(self._rates):
            self._full_s[index] = max(self._full_s[index], at_s) + (size + packets * HEADER_BYTES) / rate
            goes_s = max(goes_s, self._full_s[index] - burst / rate)
        return goes_s


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
        self.bucket = TokenBucket(traffic.bucket) if traffic.bucket is not None else None
        self.cut = traffic.cut
        self._traffic = traffic
        rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._jitter = _Correlated(rng, traffic.jitter_correlation)
        self._loss = _Correlated(rng, traffic.loss_correlation)
        self._corruption = _Correlated(rng, traffic.corruption_correlation)
        self._reorder = _Correlated(rng, traffic.reorder_correlation)
        self._since_reordered = 0

    def wait(self, size: int, *, handshake: bool = False) -> Wait:
        """What keeps so much from going on, its turn in the order and its bucket left out."""
        packets = max(1, -(-size // SEGMENT_BYTES))
        self.counts.packets += packets
        timeout_s = _HANDSHAKE_TIMEOUT_S if handshake else TIMEOUT_S
        if self.cut:  # the kernel drops what comes now: this had come already, or was on its way
            self.counts.delayed += packets
            return Wait(0.0, math.inf, 0, timeout_s)
        losses = self._losses(packets) if self._traffic.loss or self._traffic.corruption else 0
        wait = Wait(self._delay_s(), timeouts_s(losses, timeout_s), losses, timeout_s)
        self.counts.delayed += packets if wait.all_s > 0 else 0
        return wait

    def _delay_s(self) -> float:
        traffic = self._traffic
        if traffic.reorder and traffic.delay_s and self._overtakes():
            return 0.0
        if not traffic.jitter_s:
            return traffic.delay_s
        return max(0.0, traffic.delay_s + traffic.jitter_s * (2 * self._jitter.draw() - 1))

    def _overtakes(self) -> bool:
        if (
            self._since_reordered < self._traffic.reorder_gap - 1
            or self._reorder.draw() > self._traffic.reorder
        ):
            self._since_reordered += 1
            return False
        self._since_reordered = 0
        return True

    def _losses(self, packets: int) -> int:
        """The most that one of so many packets is lost without a later one that tells."""
        most, told = 0, False
        for _ in range(packets):  # from the last to the first
            losses = 0
            while losses < _MOST_LOSSES and self._lost():
                losses += 1
            self.counts.lost += losses
            most = max(most, losses - told)
            told = told or not losses
        return most

    def _lost(self) -> bool:
        # Both are drawn every time: each has a correlation of its own.
        lost, damaged = (
            self._loss.draw() < self._traffic.loss,
            self._corruption.draw() < self._traffic.corruption,
        )
        return lost or damaged


@dataclass(slots=True)
class Way:
    """One way through a route: everything that is in force on it, by occurrence."""

    shapes: dict[str, Shape] = field(default_factory=dict)

    @property
    def cut(self) -> bool:
        """Whether nothing at all gets through."""
        return any(shape.cut for shape in self.shapes.values())

    @property
    def queue_bytes(self) -> int:
        """How much may wait in one direction of a connection before its source has to."""
        return min([QUEUE_BYTES, *(bucket.queue_bytes for bucket in self._buckets())])

    def pieces(self, data: bytes) -> list[bytes]:
        """The data in pieces that a limit lets pass one by one."""
        size = min((bucket.piece_bytes for bucket in self._buckets()), default=len(data))
        return [data[at : at + size] for at in range(0, len(data), size)] if size < len(data) else [data]

    def waits(self, size: int, *, handshake: bool = False) -> dict[str, Wait]:
        """What keeps so much from going on because of each occurrence: it adds up."""
        return {
            occurrence: shape.wait(size, handshake=handshake) for occurrence, shape in self.shapes.items()
        }

    def departure_s(self, size: int, at_s: float) -> float:
        """When so many bytes may go that could go now but for the limits on rates."""
        for bucket in self._buckets():
            at_s = bucket.departure_s(size, at_s)
        return at_s

    def _buckets(self) -> list[TokenBucket]:
        return [shape.bucket for shape in self.shapes.values() if shape.bucket is not None]


@dataclass(slots=True)
class Ways:
    """Both ways of a route, and what is in force on each."""

    up: Way = field(default_factory=Way)
    """Toward the replica."""
    down: Way = field(default_factory=Way)
    """Toward the client."""
