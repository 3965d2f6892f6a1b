"""The memory tier of the prefix cache against a plain model of it: time, size, order and isolation."""

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference_server import prefix_cache
from reference_server.prefix_cache import BLOCK_TOKENS, PrefixCache

BLOCK_BYTES = 64
TTL_S = 60.0


def block_at(start: int) -> Tensor:
    """What stands for keys and values here: where in the prompt the block begins."""
    return torch.full((BLOCK_BYTES // 4,), start, dtype=torch.float32)


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def new_cache(blocks: int = 1000) -> tuple[PrefixCache, Clock]:
    clock = Clock()
    return PrefixCache(capacity_bytes=blocks * BLOCK_BYTES, ttl_s=TTL_S, clock=clock), clock


def hits(cache: PrefixCache, tokens: list[int], salt: str = "") -> int:
    """Number of blocks found, each checked to be the right one."""
    found = cache.find(tokens, salt)
    for index, block in enumerate(found):
        assert torch.equal(block, block_at(index * BLOCK_TOKENS))
    return len(found)


def prompt(*blocks: int, rest: int = 0) -> list[int]:
    """A prompt of whole blocks, each filled with one token, and some more tokens."""
    return [token for token in blocks for _ in range(BLOCK_TOKENS)] + [0] * rest


def test_the_longest_known_prefix_of_full_blocks_is_found() -> None:
    cache, _ = new_cache()
    cache.store(prompt(1, 2, 3, rest=5), "", block_at)
    assert len(cache) == 3
    assert hits(cache, prompt(1, 2, 3, rest=9)) == 3
    assert hits(cache, prompt(1, 2, 9)) == 2
    assert hits(cache, prompt(1)[:-1]) == 0
    assert hits(cache, prompt(2, 3)) == 0, "a block counts only behind the same beginning"


def test_salts_share_nothing() -> None:
    cache, _ = new_cache()
    cache.store(prompt(1, 2), "one", block_at)
    assert hits(cache, prompt(1, 2), "one") == 2
    assert hits(cache, prompt(1, 2), "two") == 0
    assert hits(cache, prompt(1, 2)) == 0


def test_a_block_expires_after_it_was_written_even_if_it_is_used() -> None:
    cache, clock = new_cache()
    cache.store(prompt(1, 2), "", block_at)
    clock.now_s += TTL_S - 0.001
    assert hits(cache, prompt(1, 2)) == 2
    cache.store(prompt(1, 2, 3), "", block_at)
    clock.now_s += 0.001
    assert hits(cache, prompt(1, 2, 3)) == 0
    cache.store(prompt(4), "", block_at)
    assert cache.used_bytes == 2 * BLOCK_BYTES, "the third block and the new one"


def test_the_least_recently_used_prefix_leaves_first_and_from_its_end() -> None:
    cache, _ = new_cache(blocks=4)
    cache.store(prompt(1, 2), "", block_at)
    cache.store(prompt(3, 4), "", block_at)
    assert hits(cache, prompt(1, 2)) == 2
    cache.store(prompt(5), "", block_at)
    assert hits(cache, prompt(3, 4)) == 1
    assert hits(cache, prompt(1, 2)) == 2
    assert hits(cache, prompt(5)) == 1


def test_what_is_larger_than_the_cache_keeps_its_beginning() -> None:
    cache, _ = new_cache(blocks=2)
    cache.store(prompt(1, 2, 3, 4), "", block_at)
    assert hits(cache, prompt(1, 2, 3, 4)) == 2


def test_a_block_that_left_early_and_came_back_lives_its_whole_time() -> None:
    cache, clock = new_cache(blocks=1)
    cache.store(prompt(1), "", block_at)
    cache.store(prompt(2), "", block_at)
    clock.now_s += TTL_S / 2
    cache.store(prompt(1), "", block_at)
    clock.now_s += TTL_S / 2
    cache.store([], "", block_at)
    assert hits(cache, prompt(1)) == 1


def test_equal_keys_of_other_tokens_are_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "block_keys", lambda tokens, _: [(b"collision", tuple(tokens))])
    cache, _ = new_cache()
    cache.store(prompt(1), "", block_at)
    assert hits(cache, prompt(1)) == 1
    assert hits(cache, prompt(2)) == 0


@dataclass
class Plain:
    """The same cache, without care for speed: prefixes in the order of their last use, each with its end of life."""

    capacity: int
    blocks: dict[tuple[str, tuple[int, ...]], float] = field(default_factory=dict)

    def prefixes(self, tokens: list[int], salt: str) -> list[tuple[str, tuple[int, ...]]]:
        return [(salt, tuple(tokens[:end])) for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS)]

    def find(self, tokens: list[int], salt: str, now_s: float) -> int:
        known = []
        for prefix in self.prefixes(tokens, salt):
            if self.blocks.get(prefix, 0.0) <= now_s:
                break
            known.append(prefix)
        self.touch(known)
        return len(known)

    def store(self, tokens: list[int], salt: str, now_s: float) -> None:
        self.blocks = {prefix: until_s for prefix, until_s in self.blocks.items() if until_s > now_s}
        for prefix in self.prefixes(tokens, salt):
            self.blocks.setdefault(prefix, now_s + TTL_S)
        self.touch(self.prefixes(tokens, salt))
        while len(self.blocks) > self.capacity:
            del self.blocks[next(iter(self.blocks))]

    def touch(self, prefixes: list[tuple[str, tuple[int, ...]]]) -> None:
        for prefix in reversed(prefixes):
            self.blocks[prefix] = self.blocks.pop(prefix)


calls = st.lists(
    st.tuples(
        st.sampled_from(["find", "store"]),
        st.lists(st.integers(1, 3), max_size=4),
        st.sampled_from(["", "salt"]),
        st.sampled_from([0.0, 0.0, 1.0, 29.0, 60.0]),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(capacity=st.integers(1, 8), calls=calls)
def test_it_behaves_as_a_plain_cache_does(
    capacity: int, calls: list[tuple[str, list[int], str, float]]
) -> None:
    cache, clock = new_cache(capacity)
    plain = Plain(capacity)
    for call, blocks, salt, wait_s in calls:
        clock.now_s += wait_s
        tokens = prompt(*blocks, rest=3)
        if call == "find":
            assert hits(cache, tokens, salt) == plain.find(tokens, salt, clock.now_s)
        else:
            cache.store(tokens, salt, block_at)
            plain.store(tokens, salt, clock.now_s)
        assert cache.used_bytes == len(cache) * BLOCK_BYTES <= capacity * BLOCK_BYTES
    assert len(cache) == len(plain.blocks)
