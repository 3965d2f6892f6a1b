"""How far a worker's monotonic clock is from the master's: echoes, as NTP has them, never two readings of a wall clock.

The master sends its time, the worker answers with its own, and each echo says that the difference lies within the way
there and back. On one host all processes read the same clock, the echoes say so, and the difference is none at all;
between hosts it is known as well as the quickest echoes are quick, and drifts by some 10 microseconds a second.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gevent.event import Event

_ECHOES = 20
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Echo:
    """One message there and back: three instants, the middle one on the other's clock."""

    sent_s: float
    answered_s: float
    back_s: float


@dataclass(frozen=True, slots=True)
class Offset:
    """What has to be added to the master's clock for a worker's, and how far that may be wrong."""

    offset_s: float = 0.0
    uncertainty_s: float = 0.0

    @property
    def shared(self) -> bool:
        """Whether both may read one clock: then they do, for those of two hosts agree by no accident."""
        return abs(self.offset_s) <= self.uncertainty_s

    @property
    def applied_s(self) -> float:
        """What is added: nothing to a clock that is the same."""
        return 0.0 if self.shared else self.offset_s

    def report(self, worker: int) -> dict[str, Any]:
        """For the summary."""
        return {"worker": worker, "shared": self.shared, **{k: round(v, 6) for k, v in asdict(self).items()}}


def offset_of(echoes: Iterable[Echo]) -> Offset:
    """What all echoes allow: each says that the offset lies in [answered - back, answered - sent]."""
    every = tuple(echoes)
    least_s = max(echo.answered_s - echo.back_s for echo in every)
    most_s = min(echo.answered_s - echo.sent_s for echo in every)
    # A clock that drifted meanwhile can leave nothing between them: then the gap is what is not known.
    return Offset((least_s + most_s) / 2, abs(most_s - least_s) / 2)


@dataclass
class EchoSounder:
    """Measures the clocks of a master's workers."""

    send: Callable[[str, Mapping[str, Any]], None]
    """Brings something to a worker, who sends it back with `answered_s` added."""
    _back: Event = field(default_factory=Event)
    _echo: Echo | None = None
    _awaited: tuple[str, float] | None = None

    def measure(self, clients: Sequence[str]) -> list[Offset]:
        """The offset of each, in their order; some milliseconds for each, during which nothing else should go on.

        Raises:
            ValueError: one does not answer.
        """
        return [offset_of(self._ask(client) for _ in range(_ECHOES)) for client in clients]

    def _ask(self, client: str) -> Echo:
        self._back.clear()
        sent_s = time.monotonic()
        self._awaited = (client, sent_s)
        self.send(client, {"sent_s": sent_s})
        if not self._back.wait(_PATIENCE_S) or self._echo is None:
            raise ValueError(f"worker {client} has not answered within {_PATIENCE_S:g} s")
        return self._echo

    def take(self, client: str, data: Mapping[str, Any]) -> None:
        """What came back from a worker, at once."""
        back_s = time.monotonic()
        if self._awaited == (client, data["sent_s"]):
            self._echo = Echo(data["sent_s"], data["answered_s"], back_s)
            self._back.set()
