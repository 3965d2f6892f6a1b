"""The backend that computes at once, on the CPU: rows of the decoder, and numpy's draw from their logits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference_server.batch import BackendStatistics, Piece
from reference_server.kv_cache import KVCache
from reference_server.model import Model, Row
from reference_server.sampler import sample_rows
from reference_server.shaping import NO_LOGPROBS, TokenLogprobs, draw_shaped
from reference_server.small_model import SmallModel


@dataclass(frozen=True, slots=True)
class Computed:
    """A step that is done: its tokens, and what was asked about them."""

    drawn: list[int]
    logprobs: Mapping[int, TokenLogprobs]

    def tokens(self) -> list[int]:
        """One per piece that draws, in their order."""
        return self.drawn


class CpuBackend:
    """The decoder with its paged cache; `alphabet` are the tokens that may be drawn besides EOS."""

    lookahead = 0
    shapes = True

    def __init__(self, model: Model | SmallModel, cache: KVCache, alphabet: Iterable[int]) -> None:
        self._model = model
        self._cache = cache
        self._alphabet = np.array(list(alphabet))
        self._alphabet_and_end = np.union1d(self._alphabet, np.array(model.shape.eos, dtype=np.int64))
        self._last_drawn: dict[int, int] = {}
        self.blocks = cache.blocks
        self.statistics = BackendStatistics()

    def prepare(self) -> None:
        """Nothing: what a first step takes longer, the engine's own warm-up pays."""

    def submit(self, pieces: Sequence[Piece]) -> Computed:
        """Compute the step, to its last token."""
        rows = [row for piece in pieces for row in self._rows(piece)]
        logits = np.asarray(self._model.logits(rows, self._cache))
        drawing = [piece for piece in pieces if piece.sampling is not None]
        drawn: dict[int, int] = {}
        for endless, choices in ((True, self._alphabet), (False, self._alphabet_and_end)):
            chosen = [
                i for i, piece in enumerate(drawing) if piece.ignore_eos is endless and piece.history is None
            ]
            if chosen:
                theirs = logits if len(chosen) == len(drawing) else logits[chosen]
                for i, index in zip(
                    chosen, self._draw(theirs, choices, [drawing[i] for i in chosen]), strict=True
                ):
                    drawn[i] = int(choices[index])
        logprobs = self._draw_shaped(logits, drawing, drawn) if len(drawn) < len(drawing) else NO_LOGPROBS
        self._last_drawn |= {piece.slot: drawn[i] for i, piece in enumerate(drawing)}
        self.statistics.eager_steps += 1
        return Computed([drawn[i] for i in range(len(drawing))], logprobs)

    def _draw_shaped(
        self, logits: NDArray[np.float32], pieces: Sequence[Piece], drawn: dict[int, int]
    ) -> dict[int, TokenLogprobs]:
        """Draw one by one for those that look back; what they asked about it."""
        logprobs: dict[int, TokenLogprobs] = {}
        for i, piece in enumerate(pieces):
            history, sampling = piece.history, piece.sampling
            if history is None or sampling is None:
                continue
            early = sampling.shaping is not None and history.generated < sampling.shaping.min_tokens
            choices = self._alphabet if piece.ignore_eos or early else self._alphabet_and_end
            drawn[i], told = draw_shaped(logits[i], choices, sampling, history, _position(piece))
            if told is not None:
                logprobs[i] = told
        return logprobs

    @staticmethod
    def _draw(logits: NDArray[np.float32], choices: NDArray[np.int64], pieces: Sequence[Piece]) -> list[int]:
        """Indices of the choices."""
        samplings = [piece.sampling for piece in pieces if piece.sampling is not None]
        return sample_rows(logits[:, choices], samplings, [_position(piece) for piece in pieces])

    def _rows(self, piece: Piece) -> Iterable[Row]:
        tokens = (self._last_drawn[piece.slot],) if piece.tokens is None else piece.tokens
        last = len(tokens) - 1
        for i, token in enumerate(tokens):
            yield Row(token, piece.start + i, piece.blocks, piece.sampling is not None and i == last)


def _position(piece: Piece) -> int:
    """Of the token that it draws."""
    return piece.start + (1 if piece.tokens is None else len(piece.tokens))
