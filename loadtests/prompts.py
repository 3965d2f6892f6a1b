"""Prompts of an exact length, pure in (seed, index), with a common beginning for prefix caches to hit.

Lengths are in bytes of ASCII text. That is tokens exactly for a byte-level tokenizer, and about four times
the tokens of a subword one; the server's usage block in each row says what was really counted.
"""

import random
from functools import lru_cache

SHARED_PREFIX_RATIO = 0.5
"""Share of every prompt that all prompts of a seed begin with, as a system prompt would."""

_WORDS = """
about after again cold could drive earth every field first found gold great house judge large learn
light line lower metal never night often order place plant point press quick right river round sheet
small sound stand still stone study table their there these thing think three tower under until
water where which while white world
""".split()  # noqa: SIM905 - a list literal would be 60 lines


def prompt(seed: int, index: int, length_bytes: int) -> str:
    """The text of arrival `index`: exactly `length_bytes` ASCII characters, half of them shared by all."""
    shared = _words(f"{seed}", round(length_bytes * SHARED_PREFIX_RATIO))
    return shared + _words(f"{seed}/{index}", length_bytes - len(shared))


@lru_cache(maxsize=8)
def _words(key: str, length_bytes: int) -> str:
    uniform = random.Random(key).random  # noqa: S311 - repeatable filler, not a secret
    words: list[str] = []
    missing = length_bytes
    while missing > 0:
        words.append(_WORDS[int(uniform() * len(_WORDS))])
        missing -= len(words[-1]) + 1
    return " ".join(words)[:length_bytes].ljust(length_bytes)
