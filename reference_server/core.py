"""One engine step, without threads or clocks: admit, compute, draw, retire."""

from collections import deque
from collections.abc import Iterable

import numpy as np

from reference_server.instrumentation import Instrumentation
from reference_server.kv_cache import KVCache
from reference_server.model import Model, Row
from reference_server.prefix_cache import BLOCK_TOKENS, PrefixCache
from reference_server.sampler import sample
from reference_server.scheduler import Chunk, Scheduler
from reference_server.sequence import Output, Sequence

Outputs = list[tuple[Sequence, Output]]


class Core:
    """The model with its caches and its scheduler. Used by one thread at a time."""

    def __init__(
        self,
        model: Model,
        cache: KVCache,
        prefixes: PrefixCache,
        scheduler: Scheduler,
        alphabet: Iterable[int],
        instrumentation: Instrumentation,
    ) -> None:
        self._model = model
        self._cache = cache
        self._prefixes = prefixes
        self._instrumentation = instrumentation
        self._alphabet = np.array(list(alphabet))
        self._alphabet_and_end = np.union1d(self._alphabet, np.array(model.shape.eos, dtype=np.int64))
        self.scheduler = scheduler

    def admit(self, waiting: deque[Sequence]) -> None:
        """Start as many waiting sequences as fit."""
        for sequence in self.scheduler.admit(waiting):
            sequence.events.scheduled()
            self._reuse_prefix(sequence)
            self._report_usage()

    def step(self) -> Outputs:
        """Compute one token for every generating sequence, and the next part of the others' prompts."""
        chunks = self.scheduler.schedule()
        if not chunks:
            return []
        logits = self._model.logits([row for chunk in chunks for row in _rows(chunk)], self._cache).numpy()
        complete = [chunk.sequence for chunk in chunks if chunk.completes]
        for chunk in chunks:
            chunk.sequence.computed += chunk.count
        return [
            (sequence, self._advance(sequence, row)) for sequence, row in zip(complete, logits, strict=True)
        ]

    def retire(self, sequence: Sequence) -> None:
        """A running sequence leaves, finished or not; what it computed stays in the prefix cache."""
        self._remember_prefix(sequence)
        self.scheduler.retire(sequence)
        self._report_usage()

    def _advance(self, sequence: Sequence, logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Output:
        if sequence.generated == 0:
            self._remember_prefix(sequence)
        choices = self._alphabet if sequence.ignore_eos else self._alphabet_and_end
        token = int(choices[sample(logits[choices], sequence.sampling, len(sequence.tokens))])
        sequence.tokens.append(token)
        text = sequence.text.token(token)
        if token in self._model.shape.eos or sequence.text.stopped:
            reason = "stop"
        elif sequence.generated == sequence.max_tokens:
            reason = "length"
        else:
            return Output(text)
        text += sequence.text.finish()
        self.retire(sequence)
        return Output(text, "stop" if sequence.text.stopped else reason)

    def _reuse_prefix(self, sequence: Sequence) -> None:
        # The last prompt token is always computed: its logits give the first token of the answer.
        reusable = sequence.prompt[:-1]
        if len(reusable) < BLOCK_TOKENS:
            return
        for block in self._prefixes.find(reusable, sequence.salt):
            self._cache.copy_in(sequence.slot, sequence.computed, block)
            sequence.computed += BLOCK_TOKENS
        sequence.cached = sequence.computed
        self._instrumentation.cache_lookup(
            "memory", queried_tokens=len(sequence.prompt), hit_tokens=sequence.cached
        )

    def _remember_prefix(self, sequence: Sequence) -> None:
        self._prefixes.store(
            sequence.tokens[: sequence.computed],
            sequence.salt,
            lambda start: self._cache.copy_out(sequence.slot, start, BLOCK_TOKENS),
        )

    def _report_usage(self) -> None:
        self._instrumentation.kv_usage(self.scheduler.reserved_tokens / self.scheduler.limits.kv_tokens)


def _rows(chunk: Chunk) -> Iterable[Row]:
    sequence, start = chunk.sequence, chunk.sequence.computed
    last = len(sequence.tokens) - 1
    for position in range(start, start + chunk.count):
        yield Row(sequence.tokens[position], position, sequence.slot, sampled=position == last)
