"""The engine's step: equal requests give equal text whatever happens around them, and limits hold at every step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.batch import BLOCK_TOKENS
from reference_server.block_pool import BlockPool, blocks_for
from reference_server.config import Settings
from reference_server.core import Core
from reference_server.cpu_backend import CpuBackend
from reference_server.instrumentation import Uninstrumented
from reference_server.kv_cache import KVCache
from reference_server.loading import load_core
from reference_server.model import Model
from reference_server.models.served_model import served_model
from reference_server.models.shapes import NAMED_SHAPES
from reference_server.models.tokenizer import ANY_BYTE, EOS
from reference_server.models.weights import random_weights
from reference_server.policies import Continuous
from reference_server.sampler import Sampling
from reference_server.scheduler import Limits, Scheduler
from reference_server.sequence import TokenSequence
from reference_server.text_stream import TextStream

torch.set_num_threads(1)

SETTINGS = Settings(max_running=8, step_tokens=48, max_context=256, torch_threads=1)


class Lookups(Uninstrumented):
    """Keeps what the core reports about its caches."""

    def __init__(self) -> None:
        self.looked_up: list[tuple[int, int]] = []
        self.usage: list[float] = []
        self.fragmentation: list[float] = []

    def cache_lookup(self, tier: str, *, queried_tokens: int, hit_tokens: int) -> None:
        assert tier == "memory"
        self.looked_up.append((queried_tokens, hit_tokens))

    def kv_usage(self, ratio: float) -> None:
        self.usage.append(ratio)

    def kv_fragmentation(self, ratio: float) -> None:
        self.fragmentation.append(ratio)


def new_core(lookups: Lookups | None = None, **changes: Any) -> Core:
    its_settings = replace(SETTINGS, **changes)
    return load_core(its_settings, served_model(its_settings), lookups or Lookups())


def prompt(length: int, salt: int = 0) -> list[int]:
    return [32 + (i * i + 13 * i + salt) % 90 for i in range(length)]


def sequence(
    length: int = 20, max_tokens: int = 12, *, temperature: float = 1.0, stop: str = ""
) -> TokenSequence:
    text = TextStream([stop] if stop else [])
    return TokenSequence(prompt(length), max_tokens, Sampling(7, temperature), text)


def drain(core: Core, waiting: Sequence[TokenSequence]) -> dict[TokenSequence, str]:
    """Step until all have finished; the text of each."""
    texts: dict[TokenSequence, str] = {}
    for one in waiting:
        core.add(one)
    while core.scheduler.waiting or core.busy:
        core.admit()
        for one, output in core.step():
            texts[one] = texts.get(one, "") + output.text
    return texts


def text_of(core: Core, one: TokenSequence) -> str:
    return drain(core, [one])[one]


@dataclass(frozen=True)
class Guest:
    """Another request: when it arrives, what it asks, and whether it is dropped halfway."""

    arrives: int
    length: int
    max_tokens: int
    shares_prefix: bool
    dropped_after: int | None


guests = st.lists(
    st.builds(
        Guest,
        arrives=st.integers(0, 15),
        length=st.integers(1, 120),
        max_tokens=st.integers(1, 20),
        shares_prefix=st.booleans(),
        dropped_after=st.none() | st.integers(1, 10),
    ),
    max_size=12,
)


@cache
def shared_core() -> Core:
    return new_core()


@cache
def text_alone(length: int, temperature: float) -> str:
    return text_of(new_core(), sequence(length, temperature=temperature))


def text_in_company(core: Core, subject: TokenSequence, arrives: int, company: Sequence[Guest]) -> str:
    """Run the subject among guests that come, go and are dropped at their own steps."""
    plan = [(guest.arrives, visitor(guest), guest.dropped_after) for guest in company]
    plan.insert(len(plan) // 2, (arrives, subject, None))
    text, step = "", 0
    while not text or core.busy or core.scheduler.waiting or step <= max(at for at, _, _ in plan):
        for at, one, dropped_after in plan:
            if at == step:
                core.add(one)
            if dropped_after is not None and at + dropped_after == step:
                core.retire(one)
        core.admit()
        text += "".join(output.text for one, output in core.step() if one is subject)
        step += 1
    return text


def visitor(guest: Guest) -> TokenSequence:
    tokens = prompt(guest.length, salt=0 if guest.shares_prefix else guest.length)
    return TokenSequence(tokens, guest.max_tokens, Sampling(seed=guest.length, temperature=0.8))


@settings(max_examples=40, deadline=None)
@given(
    company=guests,
    arrives=st.integers(0, 15),
    length=st.sampled_from([1, 5, 47, 100]),
    temperature=st.sampled_from([0.0, 1.0]),
    fresh=st.booleans(),
)
def test_text_is_the_same_in_any_company_with_any_prefix_cached(
    company: list[Guest], arrives: int, length: int, temperature: float, fresh: bool
) -> None:
    core = new_core() if fresh else shared_core()
    subject = sequence(length, temperature=temperature)
    assert text_in_company(core, subject, arrives, company) == text_alone(length, temperature)


def test_a_stream_that_is_continued_from_what_was_sent_goes_on_as_if_nothing_had_happened() -> None:
    whole = text_alone(20, 1.0)
    continued = TokenSequence(prompt(20) + list(whole[:5].encode()), 7, Sampling(7))
    assert text_of(new_core(), continued) == whole[5:]


def test_temperature_and_seed_change_the_text() -> None:
    core = new_core()
    samplings = [Sampling(seed, temperature) for seed in (1, 2) for temperature in (0.5, 1.5)]
    assert len({text_of(core, TokenSequence(prompt(20), 12, sampling)) for sampling in samplings}) == 4


def test_every_token_of_random_weights_is_one_printable_character() -> None:
    text = text_of(new_core(), sequence(max_tokens=200))
    assert len(text) == 200
    assert text.isascii()
    assert text.isprintable()


def test_lookups_and_hits_are_counted_in_tokens_of_the_prompt() -> None:
    lookups = Lookups()
    core = new_core(lookups)
    first, again, longer = sequence(50), sequence(50), TokenSequence(prompt(50) + prompt(30), 4, Sampling(1))
    for one in (first, again, longer):
        text_of(core, one)
    assert lookups.looked_up == [(50, 0), (50, 48), (80, 48)]
    assert [first.cached, again.cached, longer.cached] == [0, 48, 48]


def test_an_answer_is_remembered_with_its_prompt() -> None:
    lookups = Lookups()
    core = new_core(lookups)
    text = text_of(core, sequence(20, max_tokens=28))
    text_of(core, TokenSequence([*prompt(20), *text.encode(), 32], 1, Sampling(1)))
    # The last of the 48 tokens was never computed: the block that it completes is not there.
    assert lookups.looked_up == [(20, 0), (49, 32)]


def test_a_whole_prompt_that_is_known_is_still_computed_from_its_last_block() -> None:
    core = new_core()
    text_of(core, sequence(2 * BLOCK_TOKENS))
    again = sequence(2 * BLOCK_TOKENS)
    assert text_of(core, again) == text_alone(2 * BLOCK_TOKENS, 1.0)
    assert again.cached == BLOCK_TOKENS


def test_other_salts_share_nothing() -> None:
    core = new_core()
    for salt in ("a", "b"):
        one = TokenSequence(prompt(50), 2, Sampling(1), salt=salt)
        text_of(core, one)
        assert one.cached == 0


def check_limits(core: Core) -> None:
    """What must hold after every step."""
    scheduler, limits, pool = core.scheduler, core.scheduler.limits, core.scheduler.pool
    slots = [one.slot for one in scheduler.running]
    assert len(slots) == len(set(slots)) <= limits.running
    assert all(0 <= slot < limits.running for slot in slots)
    assert all(one.computed <= len(one.blocks) * BLOCK_TOKENS for one in scheduler.running)
    assert pool.usage.used == len({block for one in scheduler.running for block in one.blocks})
    assert sum(chunk.count for chunk in scheduler.plan()) <= limits.step_tokens


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9)), min_size=1, max_size=14),
    running=st.integers(1, 5),
    kv_tokens=st.integers(70, 200),
)
def test_limits_hold_at_every_step_and_everyone_is_served_in_order(
    lengths: list[tuple[int, int]], running: int, kv_tokens: int
) -> None:
    core = new_core(max_running=running, kv_tokens=kv_tokens)
    everyone = [
        TokenSequence(prompt(length, i), most, Sampling(i)) for i, (length, most) in enumerate(lengths)
    ]
    for one in everyone:
        core.add(one)
    started: list[TokenSequence] = []
    while core.scheduler.waiting or core.busy:
        core.admit()
        started += [one for one in core.scheduler.running if one not in started]
        check_limits(core)
        core.step()
    assert started == everyone
    assert [one.generated for one in everyone] == [most for _, most in lengths]
    assert core.scheduler.pool.usage.used == 0


def test_generating_sequences_come_before_prompts() -> None:
    core = new_core(step_tokens=48)
    early, long_prompt = sequence(10, max_tokens=20), sequence(200, max_tokens=2)
    core.add(early)
    core.admit()
    core.step()
    core.add(long_prompt)
    core.admit()
    for _ in range(4):
        assert [one for one, _ in core.step()] == [early]
        assert long_prompt.computed <= 4 * 47


def test_usage_of_the_kv_cache_is_reported_as_it_changes() -> None:
    lookups = Lookups()
    core = new_core(lookups, kv_tokens=256)
    text_of(core, sequence(20, max_tokens=12))
    assert lookups.usage == [32 / 256, 0.0]


def test_positions_held_without_a_token_are_reported_after_each_step() -> None:
    lookups = Lookups()
    core = new_core(lookups)
    first, second = sequence(20, max_tokens=4), sequence(12, max_tokens=12)
    core.add(first)
    core.add(second)
    core.admit()
    assert lookups.fragmentation[-1] == 1.0, "blocks are held, and nothing is computed"
    for held in (20 + 12, 21 + 13, 22 + 14):
        core.step()
        assert lookups.fragmentation[-1] == (48 - held) / 48, "three blocks of sixteen"
    core.step()
    assert lookups.fragmentation[-1] == 1 / 16, "the first has left, and its blocks with it"
    core.retire(second)
    assert lookups.fragmentation[-1] == 0.0, "nothing is held, so nothing is wasted"


def trained_core() -> Core:
    """A core that may draw any byte and EOS, as a trained model does."""
    shape = NAMED_SHAPES["tiny"]
    cpu = torch.device("cpu")
    blocks = blocks_for(1024)
    model = Model(shape, random_weights(shape, 1), context=256, device=cpu, dtype=torch.float32)
    cache = KVCache(shape, blocks=blocks, context=256, device=cpu, dtype=torch.float32)
    pool = BlockPool(blocks, cached=blocks, ttl_s=60)
    scheduler = Scheduler(Limits(running=4, step_tokens=64), pool, Continuous())
    return Core(CpuBackend(model, cache, ANY_BYTE), scheduler, shape.eos, Uninstrumented())


def test_eos_ends_an_answer_unless_it_is_to_be_ignored() -> None:
    core = trained_core()
    ends = [TokenSequence(prompt(9), 240, Sampling(seed, 2.0)) for seed in range(12)]
    drain(core, ends)
    assert any(one.tokens[-1] == EOS and one.generated < 240 for one in ends)
    ignoring = [TokenSequence(prompt(9), 240, Sampling(seed, 2.0), ignore_eos=True) for seed in range(12)]
    drain(core, ignoring)
    assert {one.generated for one in ignoring} == {240}
    assert all(EOS not in one.tokens for one in ignoring)


def test_a_stop_string_ends_an_answer_before_itself() -> None:
    whole = text_alone(20, 1.0)
    core = new_core()
    assert text_of(core, sequence(20, stop=whole[4:7])) == whole[: whole.index(whole[4:7])]
    assert core.scheduler.running == []


def test_what_only_looked_like_a_stop_string_is_sent_at_the_end() -> None:
    whole = text_alone(20, 1.0)
    assert text_of(new_core(), sequence(20, stop=whole[-1] + "never")) == whole
