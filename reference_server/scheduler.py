"""Which sequences run, and which of their tokens the next step computes: continuous batching, first come first served.

A sequence is admitted when a slot is free and all it may ever need fits, so a running one is never preempted.
"""

from collections import deque
from dataclasses import dataclass

from reference_server.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """What may run at once."""

    running: int
    kv_tokens: int
    """Reserved by all running sequences together."""
    step_tokens: int
    """Computed in one step."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `count` tokens of a sequence: all that are left of its prompt, a part of them, or the one just drawn."""

    sequence: Sequence
    count: int

    @property
    def completes(self) -> bool:
        """Whether the sequence draws its next token after this chunk."""
        return self.sequence.computed + self.count == len(self.sequence.tokens)


class Scheduler:
    """The running sequences and their slots. Used by the engine's thread alone."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.running: list[Sequence] = []
        self.reserved_tokens = 0
        self._free_slots = list(range(limits.running))

    def admit(self, waiting: deque[Sequence]) -> list[Sequence]:
        """Move sequences from the front of the queue to the running ones, as many as fit."""
        admitted: list[Sequence] = []
        while (
            waiting
            and self._free_slots
            and self.reserved_tokens + waiting[0].reserved <= self.limits.kv_tokens
        ):
            sequence = waiting.popleft()
            sequence.slot = self._free_slots.pop()
            self.reserved_tokens += sequence.reserved
            admitted.append(sequence)
        self.running += admitted
        return admitted

    def schedule(self) -> list[Chunk]:
        """The next step: running sequences in order of admission, as far as the step's tokens reach.

        No prompt delays a sequence that generates: those were admitted earlier, and need one token each.
        """
        budget = self.limits.step_tokens
        chunks: list[Chunk] = []
        for sequence in self.running:
            count = min(len(sequence.tokens) - sequence.computed, budget)
            if count:
                chunks.append(Chunk(sequence, count))
                budget -= count
        return chunks

    def retire(self, sequence: Sequence) -> None:
        """The sequence leaves; its slot and its reservation are free for the next step."""
        self.running.remove(sequence)
        self.reserved_tokens -= sequence.reserved
        self._free_slots.append(sequence.slot)
