"""The block pool against a plain model of it: who holds what, time, size, order and isolation."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.batch import BLOCK_TOKENS
from reference_server.block_pool import BlockPool, Link, Usage, extend_chain

TTL_S = 60.0


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def new_pool(blocks: int = 100, cached: int = 1000) -> tuple[BlockPool, Clock]:
    clock = Clock()
    return BlockPool(blocks, cached=cached, ttl_s=TTL_S, clock=clock), clock


def chain(*blocks: int, rest: int = 0, salt: str = "") -> list[Link]:
    """The chain of whole blocks, each filled with one token, and some more tokens."""
    tokens = [token for token in blocks for _ in range(BLOCK_TOKENS)] + [0] * rest
    links: list[Link] = []
    extend_chain(links, tokens, salt)
    return links


def run(pool: BlockPool, links: list[Link]) -> list[int]:
    """What a sequence does: share what is known, take the rest, fill it, end. The blocks that it had."""
    found = pool.find(links)
    pool.share(found)
    blocks = found + pool.take(len(links) - len(found))
    for block, link in zip(blocks, links, strict=True):
        pool.remember(block, link)
    pool.release(blocks)
    return blocks


def known(pool: BlockPool, *blocks: int, rest: int = 0, salt: str = "") -> int:
    """How many blocks of a prompt are found; it is used."""
    found = pool.find(chain(*blocks, rest=rest, salt=salt))
    pool.share(found)
    pool.release(found)
    return len(found)


def test_the_longest_known_prefix_of_full_blocks_is_found() -> None:
    pool, _ = new_pool()
    blocks = run(pool, chain(1, 2, 3, rest=5))
    assert pool.find(chain(1, 2, 3, rest=9)) == blocks
    assert pool.find(chain(1, 2, 9)) == blocks[:2]
    assert chain(rest=BLOCK_TOKENS - 1) == []
    assert pool.find(chain(2, 3)) == [], "a block counts only behind the same beginning"


def test_a_chain_that_grows_with_its_tokens_is_the_chain_of_them_all() -> None:
    tokens = list(range(100))
    grown: list[Link] = []
    for end in range(0, 101, 7):
        extend_chain(grown, tokens[:end], "salt")
    whole: list[Link] = []
    extend_chain(whole, tokens, "salt")
    assert grown == whole
    assert len(whole) == 100 // BLOCK_TOKENS


def test_salts_share_nothing() -> None:
    pool, _ = new_pool()
    run(pool, chain(1, 2, salt="one"))
    assert [known(pool, 1, 2, salt=salt) for salt in ("one", "two", "")] == [2, 0, 0]


def test_sequences_share_the_blocks_of_a_common_beginning_while_they_run() -> None:
    pool, _ = new_pool()
    first = pool.take(2)
    pool.remember(first[0], chain(1)[0])
    pool.share(pool.find(chain(1)))
    assert pool.usage == Usage(used=2, cached=0, free=98)
    pool.release(first)
    assert pool.usage == Usage(used=1, cached=0, free=99), "the other still holds the first block"
    pool.release([first[0]])
    assert pool.usage == Usage(used=0, cached=1, free=99)


def test_what_two_sequences_computed_at_the_same_time_is_kept_once() -> None:
    pool, _ = new_pool()
    both = pool.take(1), pool.take(1)
    for blocks in both:
        pool.remember(blocks[0], chain(1)[0])
    for blocks in both:
        pool.release(blocks)
    assert pool.usage.cached == 1
    assert pool.find(chain(1)) == both[0]


def test_a_block_expires_after_it_was_written_even_if_it_is_used() -> None:
    pool, clock = new_pool()
    run(pool, chain(1, 2))
    clock.now_s += TTL_S - 0.001
    assert known(pool, 1, 2) == 2
    run(pool, chain(1, 2, 3))
    clock.now_s += 0.001
    assert known(pool, 1, 2, 3) == 0
    assert pool.usage.cached == 1, "the third block"


def test_a_block_that_expires_while_it_is_held_is_free_afterwards_and_can_be_known_again() -> None:
    pool, clock = new_pool()
    held = pool.take(1)
    pool.remember(held[0], chain(1)[0])
    clock.now_s += TTL_S
    assert pool.find(chain(1)) == []
    run(pool, chain(1))
    pool.release(held)
    assert pool.usage == Usage(used=0, cached=1, free=99)
    assert held != pool.find(chain(1))


def test_the_least_recently_used_prefix_leaves_first_and_from_its_end() -> None:
    pool, _ = new_pool(cached=4)
    run(pool, chain(1, 2))
    run(pool, chain(3, 4))
    assert known(pool, 1, 2) == 2
    run(pool, chain(5))
    assert [known(pool, 3, 4), known(pool, 1, 2), known(pool, 5)] == [1, 2, 1]


def test_blocks_are_taken_from_the_cache_when_none_is_free() -> None:
    pool, _ = new_pool(blocks=4)
    run(pool, chain(1, 2))
    run(pool, chain(3))
    assert pool.available() == 4
    assert pool.available(besides=pool.find(chain(1, 2))) == 2
    held = pool.take(2)
    assert pool.usage == Usage(used=2, cached=2, free=0)
    assert [known(pool, 1, 2), known(pool, 3)] == [1, 1]
    assert not set(held) & {*pool.find(chain(1)), *pool.find(chain(3))}


def test_what_is_larger_than_the_cache_keeps_its_beginning() -> None:
    pool, _ = new_pool(cached=2)
    run(pool, chain(1, 2, 3, 4))
    assert known(pool, 1, 2, 3, 4) == 2


def test_a_block_that_left_early_and_came_back_lives_its_whole_time() -> None:
    pool, clock = new_pool(cached=1)
    run(pool, chain(1))
    run(pool, chain(2))
    clock.now_s += TTL_S / 2
    run(pool, chain(1))
    clock.now_s += TTL_S / 2
    assert known(pool, 1) == 1


def test_equal_keys_of_other_tokens_are_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    class Collision:
        def digest(self) -> bytes:
            return b"always the same"

    monkeypatch.setattr(hashlib, "blake2b", lambda *_, **__: Collision())
    pool, _ = new_pool()
    run(pool, chain(1))
    assert [known(pool, 1), known(pool, 2)] == [1, 0]


Prefix = tuple[str, tuple[int, ...]]


@dataclass
class Plain:
    """The same pool, without care for speed: prefixes in the order of their last use, each with its end of life."""

    most_cached: int
    held: Counter[Prefix] = field(default_factory=Counter)
    known: dict[Prefix, float] = field(default_factory=dict)

    def expire(self, now_s: float) -> None:
        self.known = {prefix: until_s for prefix, until_s in self.known.items() if until_s > now_s}

    def cached(self) -> list[Prefix]:
        return [prefix for prefix in self.known if not self.held[prefix]]

    def start(self, prefixes: list[Prefix], now_s: float) -> tuple[int, list[Prefix]]:
        """How many are found, and those whose block this sequence shares or makes known."""
        self.expire(now_s)
        found = next((i for i, prefix in enumerate(prefixes) if prefix not in self.known), len(prefixes))
        mine = [prefix for i, prefix in enumerate(prefixes) if i < found or prefix not in self.known]
        for prefix in mine:
            self.known.setdefault(prefix, now_s + TTL_S)
        self.held.update(mine)
        return found, mine

    def end(self, mine: list[Prefix], now_s: float) -> None:
        self.expire(now_s)
        self.held.subtract(mine)
        for prefix in reversed(mine):
            if prefix in self.known and not self.held[prefix]:
                self.known[prefix] = self.known.pop(prefix)
        while len(self.cached()) > self.most_cached:
            del self.known[self.cached()[0]]


@settings(max_examples=200)
@given(
    most_cached=st.integers(0, 6),
    calls=st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.integers(1, 2), min_size=1, max_size=4),
            st.sampled_from(["", "salt"]),
            st.sampled_from([0.0, 0.0, 0.0, 1.0, 29.0]),
        ),
        max_size=30,
    ),
)
def test_it_behaves_as_a_plain_pool_does(
    most_cached: int, calls: list[tuple[bool, list[int], str, float]]
) -> None:
    """Sequences start and end, each for less than the time to live: what expires meanwhile is tested above."""
    pool, clock = new_pool(blocks=200, cached=most_cached)
    plain = Plain(most_cached)
    running: list[tuple[list[int], list[Prefix]]] = []
    for starts, blocks, salt, wait_s in calls:
        if running and not starts:
            held, mine = running.pop(0)
            pool.release(held)
            plain.end(mine, clock.now_s)
        elif starts:
            if not running:
                clock.now_s += wait_s
            links = chain(*blocks, salt=salt)
            prefixes = [(salt, tuple(blocks[:end])) for end in range(1, len(blocks) + 1)]
            found = pool.find(links)
            pool.share(found)
            held = found + pool.take(len(links) - len(found))
            for block, link in zip(held, links, strict=True):
                pool.remember(block, link)
            expected, mine = plain.start(prefixes, clock.now_s)
            assert len(found) == expected
            running.append((held, mine))
        assert pool.usage.cached == len(plain.cached())
        assert pool.usage.used == len({block for held, _ in running for block in held})
        assert sum(pool.usage) == pool.blocks


@given(tokens=st.lists(st.integers(0, 300), min_size=32, max_size=64))
def test_every_link_stands_for_all_before_it(tokens: list[int]) -> None:
    links: list[Link] = []
    extend_chain(links, tokens, "")
    changed: list[Link] = []
    extend_chain(changed, [tokens[0] + 1, *tokens[1:]], "")
    assert all(one.key != other.key for one, other in zip(links, changed, strict=True))
    assert all(one.key != other.key for one, other in pairwise(links))
