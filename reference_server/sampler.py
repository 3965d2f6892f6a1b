"""Logits to token.

The noise is a pure function of the seed and the token's position in its sequence, of nothing else: what ran beside
a request, and which replica continues it, cannot change its text.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shaping:
    """What a request asks of the distribution before it is drawn from, and of what is said about the draw."""

    bias: tuple[tuple[int, float], ...] = ()
    """Added to the logits of these tokens."""
    presence: float = 0.0
    """Taken from the logit of each token that the answer has already."""
    frequency: float = 0.0
    """Taken likewise, once for each time that the answer has it."""
    repetition: float = 1.0
    """Divides the logit of each token that prompt or answer has, or multiplies it where it is negative."""
    top_k: int = 0
    """Draw from so many likeliest tokens; 0 from all."""
    min_p: float = 0.0
    """Draw from tokens that are at least this times as likely as the likeliest."""
    min_tokens: int = 0
    """Nothing that ends the answer is drawn, and no stop string is looked for, before it has so many tokens."""
    barred: frozenset[int] = frozenset()
    """What is not drawn before then, besides the tokens that end any answer."""
    logprobs: int | None = None
    """Tell the probability of the token that was drawn, and of so many likeliest; None: of none."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a request asks of the sampler."""

    seed: int
    """64 bits, of either sign."""
    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Draw from the smallest set of likeliest tokens whose probability reaches this."""
    shaping: Shaping | None = None
    """What few requests ask for; None costs nothing. A backend that cannot says so (`Backend.shapes`)."""


def sample(logits: NDArray[np.float32], sampling: Sampling, position: int) -> int:
    """The index of the token at `position`: the likeliest, or one drawn by inverting the distribution."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    weights = np.exp(np.subtract(logits, logits.max(), dtype=np.float64) / sampling.temperature)
    if sampling.top_p < 1:
        weights[outside_nucleus(weights, sampling.top_p)] = 0.0
    cumulative = weights.cumsum()
    return int(cumulative.searchsorted(uniform(sampling.seed, position) * cumulative[-1], side="right"))


def sample_rows(
    logits: NDArray[np.float32], samplings: Sequence[Sampling], positions: Sequence[int]
) -> list[int]:
    """What `sample` gives for each row of (rows, tokens); in one go where all are drawn from all tokens."""
    if len(samplings) == 1 or any(one.temperature == 0 or one.top_p < 1 for one in samplings):
        return [sample(*row) for row in zip(logits, samplings, positions, strict=True)]
    weights = np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float64)
    weights /= np.array([[one.temperature] for one in samplings])
    cumulative = np.exp(weights, out=weights).cumsum(axis=1)
    draws = [[uniform(one.seed, position)] for one, position in zip(samplings, positions, strict=True)]
    drawn: list[int] = (cumulative <= np.array(draws) * cumulative[:, -1:]).sum(axis=1).tolist()
    return drawn


def outside_nucleus(weights: NDArray[np.float64], top_p: float) -> NDArray[np.intp]:
    """All but the smallest set of largest weights whose share reaches `top_p`; of equals, the earlier is in first.

    Nucleus sampling, arXiv 1904.09751. At least one token is always in.
    """
    order = np.argsort(-weights, kind="stable")
    cumulative = weights[order].cumsum()
    return order[int(cumulative.searchsorted(top_p * cumulative[-1])) + 1 :]


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) with 53 random bits: the keyed hash BLAKE2b (RFC 7693) as a counter-based generator."""
    counter = position.to_bytes(8, "little")
    key = (seed % (1 << 64)).to_bytes(8, "little")
    return (
        int.from_bytes(hashlib.blake2b(counter, key=key, digest_size=8).digest(), "little") >> 11
    ) * 2.0**-53
