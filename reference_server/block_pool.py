"""The KV blocks by number, without their tensors: who holds each, what prefix it stands for, which is given up first.

A full block has a key: a hash over its parent's key and its tokens, so a key stands for the whole prefix up to
there; the chain begins with the tenant's salt, so tenants never share. The tokens are compared again on a hit:
doubt is a miss. Sequences share a block by holding it together. A known block that nobody holds stays findable
until it is the least recently used and its place is needed, or until a fixed time after it was written.
"""

import hashlib
import time
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from reference_server.batch import BLOCK_TOKENS


class Link(NamedTuple):
    """One full block in the chain of a sequence."""

    key: bytes
    tokens: bytes


class Usage(NamedTuple):
    """The blocks by state."""

    used: int
    cached: int
    """Held by nobody, findable."""
    free: int


def blocks_for(tokens: int) -> int:
    """How many blocks that many positions take."""
    return -(-tokens // BLOCK_TOKENS)


def extend_chain(chain: list[Link], tokens: Sequence[int], salt: str) -> None:
    """Append the links of those full blocks of `tokens` that the chain lacks."""
    parent = chain[-1].key if chain else hashlib.blake2b(salt.encode(), digest_size=16).digest()
    for start in range(len(chain) * BLOCK_TOKENS, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        content = array("q", tokens[start : start + BLOCK_TOKENS]).tobytes()
        parent = hashlib.blake2b(parent + content, digest_size=16).digest()
        chain.append(Link(parent, content))


class BlockPool:
    """All blocks of one backend. Used by one thread at a time.

    Args of the constructor:
        blocks: how many there are.
        cached: how many known blocks that nobody holds are kept, at most.
        ttl_s: a block is findable for this long after it was written, used or not.
    """

    def __init__(
        self, blocks: int, *, cached: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.blocks = blocks
        self._most_cached = cached
        self._ttl_s = ttl_s
        self._clock = clock
        self._holders = [0] * blocks
        self._free = list(reversed(range(blocks)))
        self._cached: OrderedDict[int, None] = OrderedDict()
        """Least recently used first."""
        self._by_key: dict[bytes, int] = {}
        self._links: dict[int, Link] = {}
        """Of the findable blocks."""
        self._expiring: deque[tuple[float, int, Link]] = deque()
        """Every write in order; an entry whose block was given up meanwhile is stale."""

    @property
    def usage(self) -> Usage:
        """How many blocks are in each state now."""
        cached, free = len(self._cached), len(self._free)
        return Usage(self.blocks - cached - free, cached, free)

    def find(self, chain: Iterable[Link]) -> list[int]:
        """The known blocks of the longest known beginning of the chain, in order."""
        self._expire()
        found: list[int] = []
        for link in chain:
            block = self._by_key.get(link.key)
            if block is None or self._links[block] != link:
                break
            found.append(block)
        return found

    def available(self, besides: Iterable[int] = ()) -> int:
        """How many blocks can be taken now, without giving up those `besides`."""
        return len(self._free) + len(self._cached) - sum(block in self._cached for block in besides)

    def take(self, count: int) -> list[int]:
        """Hold that many blocks, whose content is nobody's; as many must be available."""
        while len(self._free) < count:
            self._give_up(next(iter(self._cached)))
        taken = [self._free.pop() for _ in range(count)]
        for block in taken:
            self._holders[block] = 1
        return taken

    def share(self, blocks: Iterable[int]) -> None:
        """Hold known blocks together with whoever holds them."""
        for block in blocks:
            self._cached.pop(block, None)
            self._holders[block] += 1

    def remember(self, block: int, link: Link) -> None:
        """A held block is full now: it can be found, unless another with the same content can."""
        if link.key not in self._by_key:
            self._by_key[link.key] = block
            self._links[block] = link
            self._expiring.append((self._clock() + self._ttl_s, block, link))

    def release(self, blocks: Sequence[int]) -> None:
        """Hold them no longer. Of one prefix, the end is given up first."""
        self._expire()
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block] == 0:
                if block in self._links:
                    self._cached[block] = None
                else:
                    self._free.append(block)
        while len(self._cached) > self._most_cached:
            self._give_up(next(iter(self._cached)))

    def _expire(self) -> None:
        now_s = self._clock()
        while self._expiring and self._expiring[0][0] <= now_s:
            _, block, link = self._expiring.popleft()
            if self._links.get(block) is link:
                self._give_up(block)

    def _give_up(self, block: int) -> None:
        """It can be found no longer; where nobody holds it, it is free."""
        del self._by_key[self._links.pop(block).key]
        if block in self._cached:
            del self._cached[block]
            self._free.append(block)
