"""The memory tier of the prefix cache: keys and values of prompt beginnings that were computed before.

A block is BLOCK_TOKENS consecutive tokens. Its key is a hash over its parent's key and its tokens, so a key
stands for the whole prefix up to there; the chain begins with the salt, so requests with different salts
never share. The tokens are compared again on a hit: doubt is a miss. A block expires a fixed time after it
was written, used or not.
"""

import hashlib
import time
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Block:
    """One stored block."""

    tokens: tuple[int, ...]
    keys_values: Tensor
    expires_s: float


def block_keys(tokens: Sequence[int], salt: str) -> Iterator[tuple[bytes, tuple[int, ...]]]:
    """Key and tokens of each full block, in order."""
    key = hashlib.blake2b(salt.encode(), digest_size=16).digest()
    for start in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        block = tuple(tokens[start : start + BLOCK_TOKENS])
        key = hashlib.blake2b(key + array("q", block).tobytes(), digest_size=16).digest()
        yield key, block


class PrefixCache:
    """Bounded in bytes and in time; the least recently used block leaves first, and of one prefix its end."""

    def __init__(
        self, *, capacity_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._expiring: deque[tuple[float, bytes]] = deque()
        """Every write in order; an entry whose block left early, or was written again, is stale."""
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def find(self, tokens: Sequence[int], salt: str) -> list[Tensor]:
        """The stored blocks of the longest known prefix of `tokens`, in order."""
        now_s = self._clock()
        found: list[tuple[bytes, Block]] = []
        for key, block_tokens in block_keys(tokens, salt):
            block = self._blocks.get(key)
            if block is None or block.expires_s <= now_s or block.tokens != block_tokens:
                break
            found.append((key, block))
        self._touch([key for key, _ in found])
        return [block.keys_values for _, block in found]

    def store(self, tokens: Sequence[int], salt: str, copy_block: Callable[[int], Tensor]) -> None:
        """Remember every full block of `tokens` that is not known; `copy_block(start)` gives its keys and values."""
        now_s = self._clock()
        self._drop_expired(now_s)
        keys: list[bytes] = []
        for index, (key, block_tokens) in enumerate(block_keys(tokens, salt)):
            keys.append(key)
            if key not in self._blocks:
                block = Block(block_tokens, copy_block(index * BLOCK_TOKENS), now_s + self._ttl_s)
                self._blocks[key] = block
                self._expiring.append((block.expires_s, key))
                self.used_bytes += block.keys_values.nbytes
        self._touch(keys)
        while self.used_bytes > self._capacity_bytes:
            self._drop(next(iter(self._blocks)))

    def _touch(self, keys: list[bytes]) -> None:
        for key in reversed(keys):
            self._blocks.move_to_end(key)

    def _drop_expired(self, now_s: float) -> None:
        while self._expiring and self._expiring[0][0] <= now_s:
            expires_s, key = self._expiring.popleft()
            if key in self._blocks and self._blocks[key].expires_s == expires_s:
                self._drop(key)

    def _drop(self, key: bytes) -> None:
        self.used_bytes -= self._blocks.pop(key).keys_values.nbytes
