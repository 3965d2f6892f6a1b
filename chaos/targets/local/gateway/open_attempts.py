"""Attempts that are under way: which of them have been silent for too long, and what became of each in the end.

Silence is counted in looks that this process lived through, so that a gateway that stood still itself does not take
what waits in its own sockets for silence. And it says something about a replica only while others speak: where most
are silent, nobody is told apart.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from chaos.targets.local.gateway.ejection import Ejector, Ending, Kind
from chaos.targets.local.gateway.paces import Paces
from chaos.targets.local.gateway.spec import EjectionSpec

LOOK_EVERY_S = 0.25
_REFRESH_EVERY = 4
_LEAST_GAPS = 8
"""Of an answer, before its pace says anything."""


@dataclass(slots=True, eq=False)
class OpenAttempt:
    """One attempt at a replica."""

    replica: str
    generates: bool
    """Whether it asks for tokens: what else an engine answers says nothing about its generating."""
    streams: bool
    """Whether the answer was asked for as a stream, so that silence means something."""
    trial: bool
    began_s: float
    may_try_again: Callable[[], bool]
    """Takes leave to try another replica."""
    patience: asyncio.Timeout | None = None
    """Of whoever waits for its first bytes."""
    given_up: bool = False
    """It has not begun, and leave was taken to try another replica."""
    silent_looks: int = 0
    struck: bool = False
    """Its silence was counted as a failure already."""
    first_s: float | None = None
    latest_s: float = 0.0
    chunks: int = 0

    def spoke(self, now_s: float) -> None:
        """Bytes came that are more than a comment."""
        self.silent_looks = 0
        self.first_s = self.first_s or now_s
        self.latest_s = now_s
        self.chunks += 1


class OpenAttempts:
    """All that are under way, and the replicas that they tell of."""

    def __init__(self, ejector: Ejector, spec: EjectionSpec) -> None:
        self._ejector = ejector
        self._spec = spec
        self._open: dict[OpenAttempt, None] = {}
        self._looks = 0
        self._spoke_at: dict[str, int] = {}
        """The look at which each replica last had said something."""
        self._paces = Paces(spec.slow_factor)
        self._first_looks = ceil(spec.first_token_s / LOOK_EVERY_S)
        self._stall_looks = ceil(spec.stall_s / LOOK_EVERY_S)

    def begin(self, attempt: OpenAttempt) -> None:
        """One more is under way."""
        self._open[attempt] = None

    def spoke(self, attempt: OpenAttempt, now_s: float) -> None:
        """Its replica sent something that is more than a comment."""
        first = attempt.first_s is None
        attempt.spoke(now_s)
        self._spoke_at[attempt.replica] = self._looks
        if first and self._spec.latency and attempt.streams:
            self._compare(attempt, Kind.FIRST_TOKEN, now_s - attempt.began_s, now_s)

    def end(self, attempt: OpenAttempt, ending: Ending, now_s: float) -> None:
        """It is over; a failure that its silence has told of already is not told again."""
        del self._open[attempt]
        if not attempt.generates:
            return
        if not attempt.struck or ending is Ending.GOOD:
            self._ejector.ended(attempt.replica, ending, now_s, trial=attempt.trial)
        if self._spec.latency and attempt.streams and attempt.chunks > _LEAST_GAPS:
            gap_s = (attempt.latest_s - (attempt.first_s or 0.0)) / (attempt.chunks - 1)
            self._compare(attempt, Kind.PACE, gap_s, now_s)

    def look(self, now_s: float) -> None:
        """Count silences, and give up on attempts that have not begun, where something else may be tried."""
        self._looks += 1
        if self._spec.latency and self._looks % _REFRESH_EVERY == 0:
            self._paces.refresh()
        if not self._spec.broken_streams:
            return
        late = [attempt for attempt in self._open if self._is_late(attempt)]
        if not late or not self._others_speak(late):
            return
        for attempt in late:
            if attempt.struck:
                continue
            attempt.struck = True
            self._ejector.ended(attempt.replica, Ending.BROKEN, now_s, trial=attempt.trial)
            if attempt.patience is not None and self._ejector.silence_is_rare and attempt.may_try_again():
                attempt.given_up = True
                attempt.patience.reschedule(asyncio.get_running_loop().time())

    def keep(self, replicas: set[str]) -> None:
        """Forget all others."""
        self._paces.keep(replicas)
        for gone in self._spoke_at.keys() - replicas:
            del self._spoke_at[gone]

    def _is_late(self, attempt: OpenAttempt) -> bool:
        if not attempt.streams:
            return False
        attempt.silent_looks += 1
        limit = self._first_looks if attempt.first_s is None else self._stall_looks
        return attempt.silent_looks > limit

    def _others_speak(self, late: list[OpenAttempt]) -> bool:
        """Whether as many replicas have said something lately as are silent."""
        since = self._looks - min(self._first_looks, self._stall_looks)
        speaking = {name for name, at in self._spoke_at.items() if at >= since}
        silent = {attempt.replica for attempt in late} - speaking
        return len(speaking - silent) >= len(silent) and bool(speaking)

    def _compare(self, attempt: OpenAttempt, kind: Kind, seconds: float, now_s: float) -> None:
        slow = self._paces.is_slow(attempt.replica, kind, seconds)
        if slow is not None:
            self._ejector.paced(attempt.replica, kind, now_s, slow=slow)
