"""A cluster as a queue: so many slots, each busy for one answer; who waits too long is given up by the client."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.rows import Row

_FIRST_TOKEN = 0.05
"""Of an answer's time."""


@dataclass(frozen=True)
class Queue:
    slots: int
    service_s: float
    spread: float = 0.0
    """Answers take up to this part longer or shorter."""
    stall: tuple[float, float] = (0.0, 0.0)
    """From one instant to another no answer begins or goes on."""
    patience_s: float = 2.0

    @property
    def capacity_per_s(self) -> float:
        return self.slots / self.service_s

    def serve(self, offsets_s: Sequence[float], seed: int = 1) -> list[Row]:
        """The rows of these arrivals, first come, first served."""
        lengths = random.Random(seed)
        free_s = [0.0] * self.slots
        rows = []
        for index, at_s in enumerate(offsets_s):
            takes_s = self.service_s * (1 + self.spread * (2 * lengths.random() - 1))
            begins_s = max(at_s, free_s[0])
            if begins_s - at_s > self.patience_s:
                ended_s = at_s + self.patience_s
                rows.append(Row(index, at_s, "ttft_timeout", at_s, ended_s=ended_s))
                continue
            first_s, ended_s = (self._stalled(begins_s, part * takes_s) for part in (_FIRST_TOKEN, 1))
            heapq.heapreplace(free_s, ended_s)
            rows.append(Row(index, at_s, "ok", at_s, token_s=(first_s,), ended_s=ended_s))
        return rows

    def _stalled(self, begins_s: float, lasts_s: float) -> float:
        from_s, until_s = self.stall
        late_s = (
            until_s - max(from_s, begins_s) if begins_s < until_s and begins_s + lasts_s > from_s else 0.0
        )
        return begins_s + lasts_s + late_s
