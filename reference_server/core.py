"""One engine step, without threads: admit, plan, submit, take what was drawn, retire.

A backend with lookahead is given the next step before the tokens of the last are read, so that the device
never waits for this code. A sequence that turns out to have ended by then has one token too many in flight,
which is dropped when it is read; its blocks may be another's at once, because steps are computed in order.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable

from reference_server.batch import BLOCK_TOKENS, Backend, Drawn, Piece
from reference_server.instrumentation import Instrumentation
from reference_server.scheduler import Chunk, Scheduler
from reference_server.sequence import Output, Sequence
from reference_server.tokenizer import to_bytes

Outputs = list[tuple[Sequence, Output]]


class Core:
    """A backend with the scheduler of its blocks; `eos` are the tokens that end an answer. Used by one thread."""

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        eos: Iterable[int],
        instrumentation: Instrumentation,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self.scheduler = scheduler
        self._eos = frozenset(eos)
        self._instrumentation = instrumentation
        self._clock = clock
        self._in_flight: deque[tuple[list[Sequence], Drawn]] = deque()
        """Submitted steps, oldest first: who draws, and what."""
        self._reported_used = 0

    @property
    def busy(self) -> bool:
        """Whether a step would do anything, unless those that wait may not start yet."""
        return bool(self.scheduler.running or self._in_flight)

    def opens_in_s(self) -> float:
        """How long nothing can happen, while the core is not busy and nobody is added."""
        return self.scheduler.opens_in_s(self._clock())

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self.scheduler.add(sequence, self._clock())

    def admit(self) -> None:
        """Start waiting sequences, as many as may."""
        for sequence in self.scheduler.admit(self._clock()):
            sequence.events.scheduled()
            if len(sequence.prompt) > BLOCK_TOKENS:
                self._instrumentation.cache_lookup(
                    "memory", queried_tokens=len(sequence.prompt), hit_tokens=sequence.cached
                )
        self._report_usage()

    def step(self) -> Outputs:
        """Submit one more step, where there is work, and read those that the backend need not have ahead."""
        chunks = self.scheduler.plan()
        if chunks:
            self._submit(chunks)
        outputs: Outputs = []
        while len(self._in_flight) > (self.backend.lookahead if chunks else 0):
            outputs += self._read(*self._in_flight.popleft())
        self._report_usage()
        return outputs

    def retire(self, sequence: Sequence) -> None:
        """A sequence ends, finished or not; what it computed can be found by others."""
        self.scheduler.retire(sequence)
        self._report_usage()

    def _submit(self, chunks: list[Chunk]) -> None:
        drawing = [chunk.sequence for chunk in chunks if chunk.draws]
        drawn = self.backend.submit([_piece(chunk) for chunk in chunks])
        self._in_flight.append((drawing, drawn))
        for sequence in drawing:
            sequence.pending += 1
        for chunk in chunks:
            chunk.sequence.computed += chunk.count
            self.scheduler.remember(chunk.sequence)

    def _read(self, drawing: list[Sequence], drawn: Drawn) -> Outputs:
        outputs: Outputs = []
        for sequence, token in zip(drawing, drawn.tokens(), strict=True):
            sequence.pending -= 1
            if not sequence.ended:
                outputs.append((sequence, self._advance(sequence, token)))
        return outputs

    def _advance(self, sequence: Sequence, token: int) -> Output:
        sequence.tokens.append(token)
        text = sequence.text.push(to_bytes(token))
        if token in self._eos or sequence.text.stopped:
            reason = "stop"
        elif sequence.generated == sequence.max_tokens:
            reason = "length"
        else:
            return Output(text)
        text += sequence.text.finish()
        self.scheduler.retire(sequence)
        return Output(text, "stop" if sequence.text.stopped else reason)

    def _report_usage(self) -> None:
        used = self.scheduler.pool.usage.used
        if used != self._reported_used:
            self._reported_used = used
            self._instrumentation.kv_usage(used / self.scheduler.pool.blocks)


def _piece(chunk: Chunk) -> Piece:
    sequence, start = chunk.sequence, chunk.sequence.computed
    return Piece(
        slot=sequence.slot,
        start=start,
        tokens=tuple(sequence.tokens[start : start + chunk.count]) if start < sequence.given else None,
        blocks=sequence.blocks,
        sampling=sequence.sampling if chunk.draws else None,
        ignore_eos=sequence.ignore_eos,
    )
