"""Prompts of an exact length, pure in what the plan says of an arrival, with beginnings in common for caches to hit.

Lengths are in bytes of ASCII text. That is tokens exactly for a byte-level tokenizer, and about four times
the tokens of a subword one; the server's usage block in each row says what was really counted.

A text of some length is the beginning of a longer one of the same key. So all prompts of a load begin with a system
prompt's worth of common text, each turn of a session with the whole prompt of the turn before, and prompts of a trace
that names blocks are alike where their blocks are.
"""

import hashlib
import random
from functools import cache, lru_cache

from loadtests.plan import Arrival
from loadtests.spec import SHARED_PREFIX

_WORDS = """
about after again cold could drive earth every field first found gold great house judge large learn
light line lower metal never night often order place plant point press quick right river round sheet
small sound stand still stone study table their there these thing think three tower under until
water where which while white world
""".split()  # noqa: SIM905 - a list literal would be 60 lines

_HEAD = 1024
"""So many characters are drawn word by word: what a text begins with is like nothing else."""
_PIECE = 64
"""The rest is drawn by pieces: a prompt of 100,000 must not hold up the requests that are due meanwhile."""


def prompt_of(arrival: Arrival) -> str:
    """The text of a planned request: exactly as many ASCII characters as it has tokens."""
    seed, length = arrival.seed, arrival.prompt_tokens
    if arrival.blocks is not None and arrival.block_tokens:
        blocks = "".join([_block(f"{seed}/block/{block}", arrival.block_tokens) for block in arrival.blocks])
        rest = length - len(blocks)
        return blocks[:length] if rest <= 0 else blocks + _text(f"{seed}/{arrival.index}", rest)
    if arrival.shared_tokens is None and arrival.session is None:
        return prompt(seed, arrival.index, length)
    shared = min(arrival.shared_tokens or 0, length)
    common = f"{seed}" if arrival.prefix is None else f"{seed}/prefix/{arrival.prefix}"
    own = f"{seed}/{arrival.index}" if arrival.session is None else f"{seed}/session/{arrival.session}"
    return _text(common, shared) + _text(own, length - shared)


def prompt(seed: int, index: int, length_bytes: int) -> str:
    """The text of arrival `index`: exactly `length_bytes` ASCII characters, half of them shared by all."""
    shared = _text(f"{seed}", round(length_bytes * SHARED_PREFIX))
    return shared + _text(f"{seed}/{index}", length_bytes - len(shared))


def _text(key: str, length_bytes: int) -> str:
    """Of a key: the beginning of each longer text of the same key."""
    head = _words(key, min(length_bytes, _HEAD))
    missing = length_bytes - _HEAD
    if missing <= 0:
        return head
    pieces = _pieces()
    drawn = hashlib.shake_128(key.encode()).digest(-(-missing // _PIECE))
    return head + "".join([pieces[number] for number in drawn])[:missing]


@lru_cache(maxsize=4096)
def _block(key: str, length_bytes: int) -> str:
    """A text that many prompts have."""
    return _text(key, length_bytes)


@cache
def _pieces() -> tuple[str, ...]:
    """One for each byte."""
    return tuple(_words(f"piece/{number}", _PIECE) for number in range(256))


@lru_cache(maxsize=8)
def _words(key: str, length_bytes: int) -> str:
    uniform = random.Random(key).random  # noqa: S311 - repeatable filler, not a secret
    words: list[str] = []
    missing = length_bytes
    while missing > 0:
        words.append(_WORDS[int(uniform() * len(_WORDS))])
        missing -= len(words[-1]) + 1
    return " ".join(words)[:length_bytes].ljust(length_bytes)
