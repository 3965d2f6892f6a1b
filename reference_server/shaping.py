"""Draws that few requests ask for: biased, penalised, cut, or told about. The plain ones are `sampler`'s.

In this order: the repetition penalty on the model's own logits, bias, presence and frequency penalties, then the
temperature, and of what is left by `min_p` the `top_k`, and of these the nucleus. The noise is that of any draw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from reference_server.sampler import Sampling, Shaping, outside_nucleus, uniform


@dataclass(frozen=True, slots=True)
class History:
    """What was said before a draw."""

    tokens: Sequence[int]
    """Prompt and answer; stands still only while the step is submitted."""
    prompt: int
    """How many of them are the prompt's."""

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """How likely a token was that was drawn, and which were likeliest.

    By the model's own word, of all that might be drawn, before bias, penalties and temperature.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    """Tokens and their logarithms, the likeliest first."""


NO_LOGPROBS: Mapping[int, TokenLogprobs] = MappingProxyType({})
"""What a step tells where nobody asked."""


def draw_shaped(
    logits: NDArray[np.float32],
    choices: NDArray[np.int64],
    sampling: Sampling,
    history: History,
    position: int,
) -> tuple[int, TokenLogprobs | None]:
    """The token at `position`, one of `choices`, and what was asked about it; `logits` has the whole vocabulary."""
    shaping = sampling.shaping or Shaping()
    shaped = shaped_logits(logits, shaping, history)[choices]
    place = _drawn(shaped, sampling, shaping, position)
    told = None if shaping.logprobs is None else _logprobs(logits[choices], choices, place, shaping.logprobs)
    return int(choices[place]), told


def shaped_logits(logits: NDArray[np.float32], shaping: Shaping, history: History) -> NDArray[np.float64]:
    """With penalties and bias, and nothing that would end the answer too early."""
    shaped = logits.astype(np.float64)
    if shaping.repetition != 1.0:
        seen = np.unique(np.asarray(history.tokens, dtype=np.int64))
        shaped[seen] = np.where(
            shaped[seen] > 0, shaped[seen] / shaping.repetition, shaped[seen] * shaping.repetition
        )
    for token, more in shaping.bias:
        shaped[token] += more
    if shaping.presence or shaping.frequency:
        said, times = np.unique(
            np.asarray(history.tokens[history.prompt :], dtype=np.int64), return_counts=True
        )
        shaped[said] -= shaping.presence + shaping.frequency * times
    if history.generated < shaping.min_tokens and shaping.barred:
        shaped[list(shaping.barred)] = -np.inf
    return shaped


def _drawn(shaped: NDArray[np.float64], sampling: Sampling, shaping: Shaping, position: int) -> int:
    if sampling.temperature == 0:
        return int(shaped.argmax())
    weights = np.exp((shaped - shaped.max()) / sampling.temperature)
    weights[weights < shaping.min_p] = 0.0  # the likeliest weighs 1
    if shaping.top_k:
        weights[np.argsort(-weights, kind="stable")[shaping.top_k :]] = 0.0
    if sampling.top_p < 1:
        weights[outside_nucleus(weights, sampling.top_p)] = 0.0
    cumulative = weights.cumsum()
    return int(cumulative.searchsorted(uniform(sampling.seed, position) * cumulative[-1], side="right"))


def _logprobs(
    logits: NDArray[np.float32], choices: NDArray[np.int64], place: int, count: int
) -> TokenLogprobs:
    below = logits.astype(np.float64) - logits.max()
    logs = below - np.log(np.exp(below).sum())
    top = np.argsort(-below, kind="stable")[:count]
    return TokenLogprobs(
        int(choices[place]), float(logs[place]), tuple((int(choices[i]), float(logs[i])) for i in top)
    )
