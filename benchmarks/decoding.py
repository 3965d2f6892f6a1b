"""Sequences that decode side by side on a backend, driven as the engine drives it: what the benchmarks time."""

import time
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from reference_server.batch import Backend, Drawn, Piece
from reference_server.block_pool import blocks_for
from reference_server.sampler import Sampling

GREEDY = Sampling(seed=0, temperature=0.0)
WARM_STEPS = 16
"""Decoded before any step is timed."""


def prompts(count: int, tokens: int, vocabulary: int) -> list[tuple[int, ...]]:
    """Different prompts of equal length for random weights."""
    return [
        tuple(1 + (slot * 131 + i * 7919) % (vocabulary - 1) for i in range(tokens)) for slot in range(count)
    ]


class Decoder:
    """Sequences of equal length, one per slot, that go on for as long as they are stepped, within `room` tokens."""

    def __init__(self, backend: Backend, prompts: Sequence[tuple[int, ...]], room: int) -> None:
        self._backend = backend
        self._prompts = prompts
        self._blocks_each = blocks_for(room)
        self.position = 0
        """Where each sequence's next token stands."""

    def fill(self, at_once: int = 1) -> list[int]:
        """Compute the prompts, so many in a step; the first tokens."""
        drawn: list[int] = []
        slots = range(len(self._prompts))
        for first in range(0, len(slots), at_once):
            pieces = [self._piece(slot, 0, self._prompts[slot]) for slot in slots[first : first + at_once]]
            drawn += self._backend.submit(pieces).tokens()
        self.position = len(self._prompts[0])
        return drawn

    def follow(self, tokens: Sequence[int]) -> list[int]:
        """Decode one token of each, after these tokens instead of those that were drawn last."""
        return self._submit([(token,) for token in tokens]).tokens()

    def step(self, count: int) -> list[float]:
        """Decode so many tokens of each; seconds between the arrivals of those read while others were computed."""
        in_flight: deque[Drawn] = deque()
        arrived_s: list[float] = []
        for _ in range(count):
            in_flight.append(self._submit([None] * len(self._prompts)))
            if len(in_flight) > self._backend.lookahead:
                in_flight.popleft().tokens()
                arrived_s.append(time.perf_counter())
        for step in in_flight:
            step.tokens()
        return [later - earlier for earlier, later in pairwise(arrived_s)]

    def _submit(self, tokens: Sequence[tuple[int] | None]) -> Drawn:
        step = self._backend.submit(
            [self._piece(slot, self.position, given) for slot, given in enumerate(tokens)]
        )
        self.position += 1
        return step

    def _piece(self, slot: int, start: int, tokens: tuple[int, ...] | None) -> Piece:
        blocks = range(slot * self._blocks_each, (slot + 1) * self._blocks_each)
        return Piece(slot, start, tokens, blocks, GREEDY, ignore_eos=True)
