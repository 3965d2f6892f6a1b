"""Which sequences run, which of their tokens the next step computes, and whose blocks are taken back.

Everything follows one order: priority, then arrival. A sequence is admitted when what is known of it fits, with
a block to spare for each that runs; it grows block by block. Where a block is missing, the last in the order
loses all of its blocks and waits to be recomputed, which its cached blocks make cheap. The first in the order
is never preempted and fits alone, so it ends; then the next is first: everyone ends.
"""

import bisect
import itertools
import math
from dataclasses import dataclass

from reference_server.batch import BLOCK_TOKENS
from reference_server.block_pool import BlockPool, blocks_for, extend_chain
from reference_server.policies import Policy
from reference_server.sequence import TokenSequence


@dataclass(frozen=True, slots=True)
class Limits:
    """What may run at once."""

    running: int
    step_tokens: int
    """Computed in one step."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `count` tokens of a sequence: all that are left of its given ones, a part of them, or the one drawn."""

    sequence: TokenSequence
    count: int

    @property
    def draws(self) -> bool:
        """Whether the sequence draws its next token after this chunk."""
        return self.sequence.computed + self.count >= self.sequence.given


def _order(sequence: TokenSequence) -> tuple[int, int]:
    return sequence.order


class Scheduler:
    """The waiting and the running sequences, each in order, with their slots and blocks. Used by one thread."""

    def __init__(self, limits: Limits, pool: BlockPool, policy: Policy) -> None:
        self.limits = limits
        self.pool = pool
        self.waiting: list[TokenSequence] = []
        self.running: list[TokenSequence] = []
        self.preemptions = 0
        self._policy = policy
        self._numbers = itertools.count()
        self._free_slots = list(reversed(range(limits.running)))

    def add(self, sequence: TokenSequence, now_s: float) -> None:
        """It waits from now on."""
        sequence.order = (sequence.priority, next(self._numbers))
        sequence.arrived_s = now_s
        bisect.insort(self.waiting, sequence, key=_order)

    def opens_in_s(self, now_s: float) -> float:
        """How long nothing can happen, while nobody runs and no other arrives."""
        if not self.waiting:
            return math.inf
        preempted = any(one.given for one in self.waiting)
        return 0.0 if preempted else self._policy.opens_in_s(len(self.waiting), self._oldest_s(now_s))

    def admit(self, now_s: float) -> list[TokenSequence]:
        """Start waiting sequences in order, as many as the policy lets and as fit; those that start for the first time.

        A preempted one belongs to those that the policy let start before. Nobody overtakes one that does not fit.
        """
        fresh = sum(not one.given for one in self.waiting)
        busy = bool(self.running) or fresh < len(self.waiting)
        quota = self._policy.may_start(fresh, self._oldest_s(now_s), busy=busy)
        started: list[TokenSequence] = []
        for sequence in list(self.waiting):
            if not sequence.given and not quota:
                continue
            if sequence.pending or not self._fits(sequence):
                break
            if not sequence.given:
                quota -= 1
                started.append(sequence)
            self._start(sequence)
        return started

    def plan(self, within: float = math.inf) -> list[Chunk]:
        """The next step: every sequence that draws, then prompts in order, as far as the step's tokens reach.

        Beside sequences that draw, the step has at most `within` tokens, but always room for a quarter of its most
        in prompts, which would else never start. So a sequence that draws waits for one bounded step, never for a
        prompt, however long that is.
        """
        self._grow()
        chunks = [Chunk(sequence, 1) for sequence in self.running if sequence.drawing]
        budget = self.limits.step_tokens - len(chunks)
        if chunks:
            budget = min(budget, max(int(min(within, budget)) - len(chunks), self.limits.step_tokens // 4))
        for sequence in self.running:
            count = min(sequence.given - sequence.computed, budget)
            if count > 0:
                chunks.append(Chunk(sequence, count))
                budget -= count
        return chunks

    def remember(self, sequence: TokenSequence) -> None:
        """Tell the pool of its blocks that have become full of known tokens."""
        full = min(sequence.computed, len(sequence.tokens)) // BLOCK_TOKENS
        if full > sequence.remembered:
            extend_chain(sequence.chain, sequence.tokens, sequence.salt)
            for i in range(sequence.remembered, full):
                self.pool.remember(sequence.blocks[i], sequence.chain[i])
            sequence.remembered = full

    def retire(self, sequence: TokenSequence) -> None:
        """It ends, running or waiting; its slot and its blocks are free for the next step."""
        sequence.ended = True
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        elif sequence in self.running:
            self._stop(sequence)

    def _oldest_s(self, now_s: float) -> float:
        return now_s - min((one.arrived_s for one in self.waiting), default=now_s)

    def _fits(self, sequence: TokenSequence) -> bool:
        """Whether it can start now; where that is enough, less urgent ones make room for it."""
        extend_chain(sequence.chain, sequence.tokens, sequence.salt)
        less_urgent = [one for one in self.running if one.priority > sequence.priority]
        if self._spare(sequence) + sum(len(one.blocks) + 1 for one in less_urgent) < 0:
            return False
        while less_urgent and not (self._free_slots and self._spare(sequence) >= 0):
            self._preempt(less_urgent.pop())
        return bool(self._free_slots) and self._spare(sequence) >= 0

    def _spare(self, sequence: TokenSequence) -> int:
        """Blocks that would be left if it started, beyond one for each that runs already."""
        found = self._found(sequence)
        missing = blocks_for(len(sequence.tokens)) - len(found)
        return self.pool.available(found) - missing - len(self.running)

    def _found(self, sequence: TokenSequence) -> list[int]:
        # The last token is always computed: its logits give the next one.
        return self.pool.find(sequence.chain[: (len(sequence.tokens) - 1) // BLOCK_TOKENS])

    def _start(self, sequence: TokenSequence) -> None:
        found = self._found(sequence)
        self.pool.share(found)
        sequence.blocks.extend(found)
        sequence.blocks.extend(self.pool.take(blocks_for(len(sequence.tokens)) - len(found)))
        sequence.computed = len(found) * BLOCK_TOKENS
        sequence.remembered = len(found)
        if not sequence.given:
            sequence.cached = sequence.computed
        sequence.given = len(sequence.tokens)
        sequence.slot = self._free_slots.pop()
        self.waiting.remove(sequence)
        bisect.insort(self.running, sequence, key=_order)

    def _grow(self) -> None:
        """A block for everyone who needs one; the last in the order give theirs where none is left."""
        for sequence in list(self.running):
            if not (sequence.blocks and sequence.drawing and sequence.needs_block):
                continue
            while not self.pool.available() and self.running[-1] is not sequence:
                self._preempt(self.running[-1])
            if self.pool.available():
                sequence.blocks.extend(self.pool.take(1))
            else:
                self._preempt(sequence)

    def _preempt(self, sequence: TokenSequence) -> None:
        self._stop(sequence)
        self.preemptions += 1
        bisect.insort(self.waiting, sequence, key=_order)

    def _stop(self, sequence: TokenSequence) -> None:
        self.remember(sequence)
        self.pool.release(sequence.blocks)
        del sequence.blocks[:]
        sequence.computed = 0
        self._free_slots.append(sequence.slot)
        self.running.remove(sequence)
