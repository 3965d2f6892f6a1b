"""One engine step, without threads: admit, plan, submit, take what was drawn, retire.

A backend with lookahead is given the next step before the tokens of the last are read, so that the device
never waits for this code. A sequence that turns out to have ended by then has one token too many in flight,
which is dropped when it is read; its blocks may be another's at once, because steps are computed in order.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reference_server.batch import BLOCK_TOKENS, Backend, Drawn, Piece
from reference_server.instrumentation import Instrumentation
from reference_server.scheduler import Chunk, Scheduler
from reference_server.sequence import Output, TokenSequence
from reference_server.shaping import History, TokenLogprobs
from reference_server.step_cost import StepCost
from reference_server.step_reports import StepReporter

Outputs = list[tuple[TokenSequence, Output]]


@dataclass(frozen=True, slots=True)
class InFlight:
    """A step that was submitted and whose tokens were not read yet."""

    drawing: list[TokenSequence]
    drawn: Drawn
    tokens: int
    positions: int
    """Keys and values that it reads, in positions."""
    submitted_s: float
    expected_s: float


class Core:
    """A backend with the scheduler of its blocks; `eos` are the tokens that end an answer. Used by one thread.

    `itl_s` is how long a step with generating sequences should take at most.
    """

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        eos: Iterable[int],
        instrumentation: Instrumentation,
        *,
        itl_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self.scheduler = scheduler
        self.steps = 0
        """Submitted so far: progress, while there is work."""
        self.expected_s = 0.0
        """What the steps that were in progress since the last call of `step` should take; read by any thread."""
        self._eos = frozenset(eos)
        self._cost = StepCost()
        self._warm = False
        """Whether a step was read: the first one takes what no other does."""
        self._itl_s = itl_s
        self._clock = clock
        self._report = StepReporter(instrumentation, backend.statistics)
        self._instrumentation = instrumentation
        self._in_flight: deque[InFlight] = deque()
        """Oldest first."""
        self._read_s: float | None = None
        """When the last step was read, while there was work since then."""

    @property
    def busy(self) -> bool:
        """Whether a step would do anything, unless those that wait may not start yet."""
        return bool(self.scheduler.running or self._in_flight)

    def opens_in_s(self) -> float:
        """How long nothing can happen, while the core is not busy and nobody is added."""
        return self.scheduler.opens_in_s(self._clock())

    def add(self, sequence: TokenSequence) -> None:
        """Queue a sequence."""
        self.scheduler.add(sequence, self._clock())

    def admit(self) -> None:
        """Start waiting sequences, as many as may."""
        if not self.busy:
            self._read_s = None
        if not self.scheduler.waiting:
            return
        for sequence in self.scheduler.admit(self._clock()):
            sequence.events.scheduled()
            if len(sequence.prompt) > BLOCK_TOKENS:
                self._instrumentation.cache_lookup(
                    "memory", queried_tokens=len(sequence.prompt), hit_tokens=sequence.cached
                )
        self._report.blocks(self.scheduler)

    def step(self) -> Outputs:
        """Submit one more step, where there is work, and read those that the backend need not have ahead."""
        self.expected_s = sum(step.expected_s for step in self._in_flight)
        chunks = self.scheduler.plan(self._cost.tokens_within(self._itl_s))
        if chunks:
            self._submit(chunks)
        outputs: Outputs = []
        while len(self._in_flight) > (self.backend.lookahead if chunks else 0):
            outputs += self._read()
        self._report.blocks(self.scheduler)
        return outputs

    def retire(self, sequence: TokenSequence) -> None:
        """A sequence ends, finished or not; what it computed can be found by others."""
        self.scheduler.retire(sequence)
        self._report.blocks(self.scheduler)

    def recount(self) -> None:
        """Tell the instrumentation who holds the blocks now: somebody else took or gave back some."""
        self._report.blocks(self.scheduler)

    def _submit(self, chunks: list[Chunk]) -> None:
        drawing = [chunk.sequence for chunk in chunks if chunk.draws]
        tokens = sum(chunk.count for chunk in chunks)
        positions = sum(chunk.sequence.computed + chunk.count for chunk in chunks)
        now_s, expected_s = self._clock(), self._cost.expected_s(tokens)
        if self._read_s is not None and not self._in_flight:
            self._report.idle(now_s - self._read_s)
        self.expected_s += expected_s
        self.steps += 1
        drawn = self.backend.submit([_piece(chunk) for chunk in chunks])
        self._in_flight.append(InFlight(drawing, drawn, tokens, positions, now_s, expected_s))
        for sequence in drawing:
            sequence.pending += 1
        for chunk in chunks:
            chunk.sequence.computed += chunk.count
            self.scheduler.remember(chunk.sequence)

    def _read(self) -> Outputs:
        step = self._in_flight.popleft()
        tokens = step.drawn.tokens()
        now_s = self._clock()
        took_s = now_s - max(step.submitted_s, self._read_s or 0.0)
        self._read_s = now_s
        if self._warm:
            self._cost.observe(step.tokens, took_s)
        self._warm = True
        self._report.step(len(self.scheduler.running), step.tokens, step.positions, took_s)
        outputs: Outputs = []
        logprobs = step.drawn.logprobs
        for i, (sequence, token) in enumerate(zip(step.drawing, tokens, strict=True)):
            sequence.pending -= 1
            if not sequence.ended:
                outputs.append((sequence, self._advance(sequence, token, logprobs.get(i))))
        return outputs

    def _advance(self, sequence: TokenSequence, token: int, logprobs: TokenLogprobs | None) -> Output:
        sequence.tokens.append(token)
        ends = token in self._eos or token in sequence.stop_ids
        shaping = sequence.sampling.shaping
        if shaping is None and not sequence.stop_ids:
            text = sequence.text.token(token)
        elif token in sequence.stop_ids:
            text = ""
        elif shaping is not None and sequence.generated <= shaping.min_tokens:
            text = sequence.text.unguarded(token)
        else:
            text = sequence.text.token(token)
        if ends or sequence.text.stopped:
            reason = "stop"
        elif sequence.generated == sequence.max_tokens:
            reason = "length"
        else:
            return Output(text, None, logprobs)
        text += sequence.text.finish()
        self.scheduler.retire(sequence)
        return Output(text, "stop" if sequence.text.stopped else reason, logprobs)


def _piece(chunk: Chunk) -> Piece:
    sequence, start = chunk.sequence, chunk.sequence.computed
    return Piece(
        slot=sequence.slot,
        start=start,
        tokens=tuple(sequence.tokens[start : start + chunk.count]) if start < sequence.given else None,
        blocks=sequence.blocks,
        sampling=sequence.sampling if chunk.draws else None,
        ignore_eos=sequence.ignore_eos,
        history=History(sequence.tokens, len(sequence.prompt))
        if sequence.sampling.shaping and chunk.draws
        else None,
    )
