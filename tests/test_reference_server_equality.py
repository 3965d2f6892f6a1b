"""A request's answer is its own: equal whatever runs beside it, however it is scheduled, preempted, cut and read ahead.

Small models on the CPU, where equal means equal to the bit.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference_server.batch import Backend, BackendStatistics, Piece
from reference_server.block_pool import BlockPool, blocks_for
from reference_server.core import Core
from reference_server.cpu_backend import CpuBackend
from reference_server.instrumentation import Uninstrumented
from reference_server.kv_cache import KVCache
from reference_server.model import Model
from reference_server.models.shapes import NAMED_SHAPES
from reference_server.models.weights import random_weights
from reference_server.policies import Continuous, Policy, Window, policy
from reference_server.sampler import Sampling
from reference_server.scheduler import Limits, Scheduler
from reference_server.sequence import TokenSequence
from reference_server.shaping import NO_LOGPROBS
from reference_server.small_model import SmallModel
from reference_server.text_stream import TextStream

torch.set_num_threads(1)

SHAPE = replace(NAMED_SHAPES["tiny"], layers=1)
CONTEXT = 128
FEW_LETTERS = tuple(b"abcdefgh")
"""So that EOS is drawn often, and a stop string appears sooner or later."""
POLICIES: dict[str, Callable[[], Policy]] = {
    "none": lambda: policy("none", window_size=3, window_s=1.0),
    "window": lambda: Window(size=3, seconds=0.05),
    "continuous": Continuous,
}


@cache
def model(kind: str) -> Model | SmallModel:
    cpu, weights = torch.device("cpu"), random_weights(SHAPE, 1)
    if kind == "numpy":
        return SmallModel(SHAPE, weights, context=CONTEXT)
    return Model(SHAPE, weights, context=CONTEXT, device=cpu, dtype=torch.float32)


class Step:
    """A step that is computed when somebody waits for it, after all before it."""

    logprobs = NO_LOGPROBS

    def __init__(self, pieces: list[Piece], compute_up_to: Callable[["Step"], None]) -> None:
        self.pieces = pieces
        self.drawn: list[int] | None = None
        self._compute_up_to = compute_up_to

    def tokens(self) -> list[int]:
        self._compute_up_to(self)
        assert self.drawn is not None
        return self.drawn


class Late:
    """The CPU backend as a device behind a queue, as far behind as it may be."""

    shapes = False

    def __init__(self, backend: Backend, lookahead: int) -> None:
        self.lookahead = lookahead
        self.blocks = backend.blocks
        self.statistics = BackendStatistics()
        self._backend = backend
        self._queue: deque[Step] = deque()

    def prepare(self) -> None:
        """Nothing."""

    def submit(self, pieces: Sequence[Piece]) -> Step:
        assert len(self._queue) <= self.lookahead
        copies = [replace(piece, blocks=tuple(piece.blocks)) for piece in pieces]
        step = Step(copies, self._compute_up_to)
        self._queue.append(step)
        return step

    def _compute_up_to(self, wanted: Step) -> None:
        while wanted.drawn is None:
            step = self._queue.popleft()
            step.drawn = self._backend.submit(step.pieces).tokens()


@dataclass(frozen=True)
class Setup:
    """How a core schedules, and what computes for it."""

    model: str = "numpy"
    policy: str = "continuous"
    lookahead: int = 0
    running: int = 4
    step_tokens: int = 64
    kv_tokens: int = 4 * CONTEXT
    cached: int = 1000

    def core(self) -> Core:
        blocks = blocks_for(self.kv_tokens)
        tensors = KVCache(
            SHAPE, blocks=blocks, context=CONTEXT, device=torch.device("cpu"), dtype=torch.float32
        )
        backend: Backend = CpuBackend(model(self.model), tensors, FEW_LETTERS)
        if self.lookahead:
            backend = Late(backend, self.lookahead)
        pool = BlockPool(blocks, cached=self.cached, ttl_s=60)
        limits = Limits(running=self.running, step_tokens=self.step_tokens)
        scheduler = Scheduler(limits, pool, POLICIES[self.policy]())
        ticks = iter(range(1_000_000))
        return Core(backend, scheduler, SHAPE.eos, Uninstrumented(), clock=lambda: next(ticks) * 0.002)


@dataclass(frozen=True)
class Request:
    """What a client asks, when it comes, and when it leaves."""

    length: int
    max_tokens: int
    seed: int
    temperature: float = 1.0
    stop: str = ""
    ignore_eos: bool = False
    shares_prefix: bool = True
    salt: str = ""
    priority: int = 0
    arrives: int = 0
    leaves: int | None = None

    def sequence(self) -> TokenSequence:
        own = 0 if self.shares_prefix else self.seed + 1
        return TokenSequence(
            prompt=[32 + (i * i + 13 * i + own) % 90 for i in range(self.length)],
            max_tokens=self.max_tokens,
            sampling=Sampling(self.seed, self.temperature),
            text=TextStream([self.stop] if self.stop else []),
            ignore_eos=self.ignore_eos,
            salt=self.salt,
            priority=self.priority,
        )


Answer = tuple[str, str | None, int]
"""Text, finish reason, tokens."""


def answers(core: Core, requests: Sequence[Request]) -> list[Answer | None]:
    """What each request got, None for those that left before their end; fails when that takes too many steps."""
    sequences = [request.sequence() for request in requests]
    texts = dict.fromkeys(sequences, "")
    ended: dict[TokenSequence, str | None] = {}
    work = sum(request.length + request.max_tokens for request in requests)
    last_arrival = max(request.arrives for request in requests)
    for step in range(last_arrival + 200 + 20 * work):
        for request, one in zip(requests, sequences, strict=True):
            if request.arrives == step:
                core.add(one)
            if request.leaves is not None and request.arrives + request.leaves == step:
                core.retire(one)
        core.admit()
        for one, output in core.step():
            assert one not in ended, "nothing comes after the end"
            texts[one] += output.text
            if output.finish_reason is not None:
                ended[one] = output.finish_reason
        if step > last_arrival and not core.busy and not core.scheduler.waiting:
            break
    else:
        pytest.fail("not everyone ended")
    assert core.scheduler.pool.usage.used == 0
    return [(texts[one], ended[one], one.generated) if one in ended else None for one in sequences]


@cache
def alone(request: Request, kind: str = "numpy") -> Answer | None:
    return answers(Setup(model=kind).core(), [replace(request, arrives=0, leaves=None, priority=0)])[0]


requests = st.lists(
    st.builds(
        Request,
        length=st.sampled_from([1, 5, 16, 17, 40, 70]),
        max_tokens=st.sampled_from([1, 2, 12, 33, 50]),
        seed=st.integers(0, 5),
        temperature=st.sampled_from([0.0, 1.0]),
        stop=st.sampled_from(["", "a", "bc"]),
        ignore_eos=st.booleans(),
        shares_prefix=st.booleans(),
        salt=st.sampled_from(["", "tenant"]),
        priority=st.sampled_from([0, 0, 1, -1]),
        arrives=st.integers(0, 20),
        leaves=st.none() | st.none() | st.integers(0, 30),
    ),
    min_size=1,
    max_size=8,
)
setups = st.builds(
    Setup,
    model=st.sampled_from(["numpy", "torch"]),
    policy=st.sampled_from(list(POLICIES)),
    lookahead=st.integers(0, 2),
    running=st.integers(1, 5),
    step_tokens=st.sampled_from([5, 16, 33, 64]),
    # The longest request needs 120 positions: here it fits alone, and hardly anyone beside it.
    kv_tokens=st.sampled_from([128, 144, 200, 512]),
    cached=st.sampled_from([0, 3, 1000]),
)


@settings(max_examples=60)
@given(setup=setups, mix=requests)
@example(
    setup=Setup(lookahead=1, kv_tokens=128),
    mix=[Request(length=16, max_tokens=50, seed=seed, ignore_eos=True, arrives=seed) for seed in range(5)],
)
@example(
    setup=Setup(lookahead=2, running=1),
    mix=[
        Request(length=5, max_tokens=20, seed=1, priority=1, ignore_eos=True),
        # It takes the place of the first and leaves before the tokens of the first were all read.
        Request(length=5, max_tokens=20, seed=2, arrives=3, leaves=1, ignore_eos=True),
    ],
)
def test_every_request_of_any_mix_ends_and_gets_the_answer_that_it_gets_alone(
    setup: Setup, mix: list[Request]
) -> None:
    for request, answer in zip(mix, answers(setup.core(), mix), strict=True):
        assert answer == alone(request, setup.model) or (answer is None and request.leaves is not None)


@pytest.mark.parametrize("lookahead", [0, 1, 2])
def test_preempted_sequences_answer_as_if_nothing_had_happened(lookahead: int) -> None:
    core = Setup(lookahead=lookahead, kv_tokens=128).core()
    mix = [Request(length=16, max_tokens=50, seed=seed, ignore_eos=True) for seed in range(4)]
    assert answers(core, mix) == [alone(request) for request in mix]
    assert core.scheduler.preemptions > 0


def test_a_backend_ahead_has_the_next_step_before_the_tokens_of_the_last_are_read() -> None:
    core = Setup(lookahead=1).core()
    one = Request(length=5, max_tokens=3, seed=1, ignore_eos=True).sequence()
    core.add(one)
    core.admit()
    assert core.step() == [], "the first step is under way"
    assert [len(core.step()) for _ in range(3)] == [1, 1, 1]
    assert not core.busy


def test_a_token_too_many_is_dropped_and_its_blocks_are_anothers_at_once() -> None:
    # Both fill the pool: the second can only start in the blocks that the first leaves with a step in flight.
    core = Setup(lookahead=1, kv_tokens=64, running=1).core()
    stopping = Request(length=30, max_tokens=30, seed=1, stop="a", shares_prefix=False)
    follower = Request(length=40, max_tokens=20, seed=2, ignore_eos=True, shares_prefix=False)
    first = alone(stopping)
    assert first is not None
    assert first[1] == "stop"
    assert answers(core, [stopping, follower]) == [first, alone(follower)]


def test_more_urgent_requests_start_first_and_take_the_place_of_less_urgent_ones() -> None:
    core = Setup(running=1).core()
    asked = {
        priority: Request(length=5, max_tokens=9, seed=1, priority=priority).sequence()
        for priority in (1, 2, 0)
    }
    started = []
    for priority in (1, 2, 0):
        core.add(asked[priority])
    while core.scheduler.waiting or core.busy:
        core.admit()
        started += [one.priority for one in core.scheduler.running]
        core.step()
    assert list(dict.fromkeys(started)) == [0, 1, 2]
    core.add(late := Request(length=5, max_tokens=9, seed=2, ignore_eos=True, priority=5).sequence())
    core.admit()
    core.step()
    core.add(urgent := Request(length=5, max_tokens=9, seed=3).sequence())
    core.admit()
    assert core.scheduler.running == [urgent]
    assert core.scheduler.waiting == [late]


def test_the_last_to_arrive_is_the_one_that_is_preempted() -> None:
    core = Setup(kv_tokens=64).core()
    first, last = (
        Request(length=30, max_tokens=34, seed=seed, ignore_eos=True).sequence() for seed in (1, 2)
    )
    core.add(first)
    core.add(last)
    while not core.scheduler.preemptions:
        core.admit()
        core.step()
    assert core.scheduler.running == [first]
    assert core.scheduler.waiting == [last]


def test_a_sequence_starts_only_where_each_that_runs_has_a_block_to_spare() -> None:
    core = Setup(kv_tokens=5 * 16).core()
    for seed in (1, 2):
        core.add(Request(length=32, max_tokens=8, seed=seed, shares_prefix=False).sequence())
    core.admit()
    assert len(core.scheduler.running) == 2, "two and two blocks, and one to spare"
    core = Setup(kv_tokens=4 * 16).core()
    for seed in (1, 2):
        core.add(Request(length=32, max_tokens=8, seed=seed, shares_prefix=False).sequence())
    core.admit()
    assert len(core.scheduler.running) == 1
