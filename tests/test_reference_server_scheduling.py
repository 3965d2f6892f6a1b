"""Policies, chunks, what a step should take and what is reported of it: on a backend of lines, without a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.inference import InferenceMetrics
from reference_server.batch import BackendStatistics, Piece
from reference_server.block_pool import BlockPool
from reference_server.core import Core
from reference_server.instrumentation import Instrumentation, Uninstrumented
from reference_server.policies import Continuous, Policy, Window, policy
from reference_server.sampler import Sampling
from reference_server.scheduler import Limits, Scheduler
from reference_server.sequence import TokenSequence
from reference_server.shaping import NO_LOGPROBS
from reference_server.step_cost import StepCost


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


class Drawn:
    """A step that is computed while somebody waits for it."""

    def __init__(self, clock: Clock, took_s: float, count: int) -> None:
        self._clock, self._took_s, self._count = clock, took_s, count

    logprobs = NO_LOGPROBS

    def tokens(self) -> list[int]:
        self._clock.now_s += self._took_s
        return [65] * self._count


@dataclass
class Timed:
    """A backend that draws the same letter always, and takes `fixed_s` a step and `token_s` a token."""

    clock: Clock
    fixed_s: float = 0.002
    token_s: float = 0.001
    lookahead: int = 0
    shapes: bool = False
    blocks: int = 100
    statistics: BackendStatistics = field(default_factory=BackendStatistics)
    steps: list[int] = field(default_factory=list)
    """Tokens of each."""

    def prepare(self) -> None:
        """Nothing."""

    def submit(self, pieces: Sequence[Piece]) -> Drawn:
        assert len({piece.slot for piece in pieces}) == len(pieces)
        tokens = sum(1 if piece.tokens is None else len(piece.tokens) for piece in pieces)
        self.steps.append(tokens)
        drawing = sum(piece.sampling is not None for piece in pieces)
        return Drawn(self.clock, self.fixed_s + self.token_s * tokens, drawing)


def core_on(
    backend: Timed,
    its_policy: Policy | None = None,
    *,
    instrumentation: Instrumentation | None = None,
    itl_s: float = 1e9,
    running: int = 8,
    step_tokens: int = 64,
) -> Core:
    pool = BlockPool(backend.blocks, cached=backend.blocks, ttl_s=60, clock=backend.clock)
    scheduler = Scheduler(Limits(running, step_tokens), pool, its_policy or Continuous())
    told = instrumentation or Uninstrumented()
    return Core(backend, scheduler, (), told, itl_s=itl_s, clock=backend.clock)


def asked(length: int = 10, max_tokens: int = 4) -> TokenSequence:
    return TokenSequence([65] * length, max_tokens, Sampling(1), salt=str(length))


def run(core: Core, clock: Clock) -> list[set[TokenSequence]]:
    """Who ran in each step, to the end."""
    steps = []
    while core.busy or core.scheduler.waiting:
        if not core.busy:
            clock.now_s += core.opens_in_s() + 1e-6
        core.admit()
        steps.append(set(core.scheduler.running))
        core.step()
    return steps


def test_without_batching_one_request_runs_at_a_time_in_order() -> None:
    clock = Clock()
    core = core_on(Timed(clock), policy("none", window_size=8, window_s=1.0))
    requests = [asked(max_tokens=3) for _ in range(3)]
    for one in requests:
        core.add(one)
    assert run(core, clock) == [{one} for one in requests for _ in range(3)]


def test_a_window_starts_its_batch_when_it_is_full_or_its_first_request_has_waited_long_enough() -> None:
    clock = Clock()
    core = core_on(Timed(clock), Window(size=3, seconds=0.1))
    core.add(asked())
    core.admit()
    assert not core.busy
    assert core.opens_in_s() == pytest.approx(0.1)
    clock.now_s += 0.06
    core.add(asked())
    core.admit()
    assert not core.busy
    assert core.opens_in_s() == pytest.approx(0.04), "of the first request's window"
    clock.now_s += 0.05
    assert core.opens_in_s() == 0
    core.admit()
    assert len(core.scheduler.running) == 2
    full = core_on(Timed(clock), Window(size=3, seconds=0.1))
    for _ in range(4):
        full.add(asked())
    assert full.opens_in_s() == 0
    full.admit()
    assert (len(full.scheduler.running), len(full.scheduler.waiting)) == (3, 1)


def test_nobody_joins_a_windows_batch_on_its_way_not_even_when_somebody_leaves() -> None:
    clock = Clock()
    core = core_on(Timed(clock), Window(size=2, seconds=0.1))
    short, long, late = asked(max_tokens=2), asked(max_tokens=6), asked()
    core.add(short)
    core.add(long)
    core.admit()
    core.add(late)
    steps = run(core, clock)
    assert [len(step) for step in steps[:6]] == [2, 2, 1, 1, 1, 1]
    assert set.union(*steps[:6]) == {short, long}
    assert set.union(*steps[6:]) == {late}


def test_a_windows_batch_that_loses_blocks_is_still_one_batch() -> None:
    clock = Clock()
    core = core_on(Timed(clock, blocks=5), Window(size=2, seconds=9.0))
    batch = [asked(length=17 + i, max_tokens=30) for i in range(2)]
    late = asked()
    for one in (*batch, late):
        core.add(one)
    steps = run(core, clock)
    assert core.scheduler.preemptions > 0
    first_of_late = next(i for i, step in enumerate(steps) if late in step)
    assert not any(one in step for step in steps[first_of_late:] for one in batch)


def test_who_lost_blocks_to_a_batch_waits_for_no_other_window() -> None:
    clock = Clock()
    core = core_on(Timed(clock, blocks=5), Window(size=2, seconds=9.0))
    for i in range(2):
        core.add(asked(length=17 + i, max_tokens=30))
    began_s = clock.now_s
    run(core, clock)
    assert core.scheduler.preemptions > 0
    assert clock.now_s - began_s < 2.0


def test_whoever_fits_joins_a_continuous_batch_at_the_next_step() -> None:
    core = core_on(Timed(Clock()))
    core.add(early := asked(max_tokens=9))
    core.admit()
    core.step()
    core.add(late := asked())
    core.admit()
    core.step()
    assert core.scheduler.running == [early, late]


@pytest.mark.parametrize("lookahead", [0, 1])
def test_prompts_beside_answers_keep_a_step_within_the_objective(lookahead: int) -> None:
    backend = Timed(Clock(), lookahead=lookahead, blocks=1000)
    core = core_on(backend, itl_s=0.032, step_tokens=100)
    core.add(asked(length=1, max_tokens=200))
    core.add(asked(length=300, max_tokens=5))
    core.admit()
    core.step()
    assert core.scheduler.running[1].computed == 99, "nobody's answer waits for this step"
    for _ in range(4):
        core.step()
    core.add(asked(length=600, max_tokens=5))
    backend.steps.clear()
    while core.scheduler.running[-1].computed < 600:
        core.admit()
        core.step()
    assert 29 <= max(backend.steps) <= 30, "2 ms and 30 tokens of 1 ms"


def test_an_objective_that_cannot_be_met_leaves_a_quarter_of_a_step_to_prompts() -> None:
    backend = Timed(Clock(), fixed_s=5.0)
    core = core_on(backend, itl_s=0.1)
    core.add(asked(length=1, max_tokens=50))
    core.admit()
    for _ in range(3):
        core.step()
    core.add(asked(length=60, max_tokens=5))
    core.admit()
    backend.steps.clear()
    core.step()
    assert backend.steps == [1 + 64 // 4]


def test_the_cost_of_steps_is_learned_as_a_line_and_follows_when_it_changes() -> None:
    cost = StepCost()
    assert cost.expected_s(100) == 0
    for tokens in (1, 1, 50, 1, 20):
        cost.observe(tokens, 0.002 + 0.001 * tokens)
    assert cost.expected_s(100) == pytest.approx(0.102)
    assert cost.tokens_within(0.032) == pytest.approx(30)
    for _ in range(300):
        for tokens in (1, 1, 50, 1, 20):
            cost.observe(tokens, 0.004 + 0.002 * tokens)
    assert cost.expected_s(100) == pytest.approx(0.204, rel=0.01)


@given(
    steps=st.lists(st.tuples(st.integers(1, 8192), st.floats(1e-4, 60.0)), min_size=1, max_size=60),
    tokens=st.integers(1, 8192),
)
def test_whatever_steps_took_no_prediction_is_negative_or_beyond_what_a_token_took_at_most(
    steps: list[tuple[int, float]], tokens: int
) -> None:
    cost = StepCost()
    for count, took_s in steps:
        cost.observe(count, took_s)
    highest = max(took_s for _, took_s in steps)
    per_token = max(took_s / count for count, took_s in steps)
    assert -1e-9 <= cost.expected_s(tokens) <= (highest + per_token * tokens) * (1 + 1e-6)


def exposed(metrics: InferenceMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"model": "m"} | labels)


def test_occupancy_launches_and_idle_time_are_counted() -> None:
    metrics = InferenceMetrics("m", cache_tiers=("memory",))
    backend = Timed(Clock())
    core = core_on(backend, instrumentation=metrics)
    core.add(asked(length=10, max_tokens=3))
    core.add(asked(length=20, max_tokens=3))
    core.admit()
    backend.statistics.eager_steps += 1
    core.step()
    backend.clock.now_s += 0.5
    backend.statistics.graph_steps += 1
    core.step()
    core.step()
    backend.clock.now_s += 60.0
    core.add(leaving := asked(max_tokens=9))
    core.admit()
    core.step()
    core.retire(leaving)
    backend.clock.now_s += 60.0
    core.add(asked(max_tokens=1))
    core.admit()
    core.step()
    assert exposed(metrics, "ds_engine_step_sequences_bucket", le="2.0") == 5
    assert exposed(metrics, "ds_engine_step_sequences_bucket", le="1.0") == 2
    assert exposed(metrics, "ds_engine_step_tokens_sum") == 30 + 2 + 2 + 10 + 10
    assert exposed(metrics, "ds_engine_steps_total", result="graph") == 1
    assert exposed(metrics, "ds_engine_steps_total", result="eager") == 1
    assert exposed(metrics, "ds_engine_idle_seconds_total") == pytest.approx(0.5), "not while nobody asked"


def test_a_backend_that_is_ahead_is_not_idle_and_one_that_measures_is_believed() -> None:
    metrics = InferenceMetrics("m", cache_tiers=("memory",))
    backend = Timed(Clock(), lookahead=1)
    core = core_on(backend, instrumentation=metrics)
    core.add(asked(max_tokens=9))
    core.admit()
    for _ in range(3):
        core.step()
        backend.clock.now_s += 0.5
    assert exposed(metrics, "ds_engine_idle_seconds_total") == 0
    backend.statistics.idle_s = 0.25
    core.step()
    assert exposed(metrics, "ds_engine_idle_seconds_total") == 0.25


def test_bandwidth_utilisation_is_what_steps_had_to_read_by_what_a_copy_moves() -> None:
    metrics = InferenceMetrics("m", cache_tiers=("memory",))
    backend = Timed(Clock(), fixed_s=0.01, token_s=0.0)
    backend.statistics.weight_bytes = 1_000_000
    backend.statistics.kv_bytes = 1_000
    core = core_on(backend, instrumentation=metrics)
    core.add(asked(length=50, max_tokens=20))
    core.admit()
    core.step()
    assert exposed(metrics, "ds_engine_bandwidth_utilisation_ratio") is None
    backend.statistics.copy_bytes_per_s = 200e6
    core.step()
    expected = ((1_000_000 + 50_000) * 0.95 + 1_000_000 + 51_000) / (0.01 * 0.95 + 0.01) / 200e6
    assert exposed(metrics, "ds_engine_bandwidth_utilisation_ratio") == pytest.approx(expected)


def test_blocks_are_reported_by_state_with_what_is_reserved_and_unused() -> None:
    metrics = InferenceMetrics("m", cache_tiers=("memory",))
    core = core_on(Timed(Clock(), blocks=10), instrumentation=metrics)
    core.add(one := asked(length=20, max_tokens=30))
    core.admit()
    states = [exposed(metrics, "ds_kv_blocks", state=state) for state in ("used", "cached", "free")]
    assert states == [2, 0, 8]
    core.step()
    assert exposed(metrics, "ds_kv_cache_fragmentation_ratio") == pytest.approx(12 / 32)
    core.retire(one)
    states = [exposed(metrics, "ds_kv_blocks", state=state) for state in ("used", "cached", "free")]
    assert states == [0, 1, 9]
    assert exposed(metrics, "ds_kv_cache_fragmentation_ratio") == 0
    assert exposed(metrics, "ds_kv_cache_usage_ratio") == 0


def test_preemptions_are_counted() -> None:
    metrics = InferenceMetrics("m", cache_tiers=("memory",))
    clock = Clock()
    core = core_on(Timed(clock, blocks=4), instrumentation=metrics)
    for _ in range(2):
        core.add(asked(length=10, max_tokens=50))
    run(core, clock)
    assert core.scheduler.preemptions > 0
    assert exposed(metrics, "ds_engine_preemptions_total") == core.scheduler.preemptions
