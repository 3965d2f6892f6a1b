"""One run of a world: its plan, what became of each request, and what was true of the service all along."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.ground_truth.columns import Columns, Frame, disturbed_s
from benchmarks.ground_truth.queueing import queued, queued_service
from benchmarks.ground_truth.truth import STEP_S, Flags, Floats, Service
from benchmarks.ground_truth.worlds import NOISES, Episode, World
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from loadtests.rows import CLIENT_DROPPED, OK

SPREAD = 0.25
"""Of the logarithm of TTFT."""
SLOW_S = 0.7
"""What a slow answer takes longer."""
TTFT_TIMEOUT_S = 10.0
_STALL_TIMEOUT_S = 10.0
_BASELINE_S = 28.0
_WARMUP_S = 5.0
_OUTCOMES = {
    "refused": ("connect_refused", 0.001),
    "reset": ("reset_before_headers", 0.01),
    "http_503": ("http_503", 0.02),
}


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of one run."""

    world: World
    rate: float
    columns: Columns
    frame: Frame
    objectives: Objectives
    service: Service
    harmed: int
    """Requests that were in flight at F and never ended well because of it."""
    token_gap_s: float


@dataclass(frozen=True, slots=True)
class _Draws:
    """Chance, in an order that no world changes: the worse of two worlds meets the same requests."""

    instants_s: Floats
    speed: Floats
    """Standard normal: of the TTFT."""
    length: Floats
    """Standard normal: of the rest of the answer."""
    fate: Floats
    """Uniform: what the background does to it."""
    luck: Floats
    """Uniform: whether an episode hits it."""
    more: Floats
    """Uniform: whatever else."""


def play(world: World, rate: float, seed: int, criteria: Criteria) -> Run:
    """The run of a world that a seed describes."""
    rng = np.random.default_rng(seed)
    e2e_s = 40.0 if world.long_streams else 6.0
    # The instant of the fault is jittered, as the instant of a real one is.
    fault_s = _WARMUP_S + _BASELINE_S + e2e_s + rng.uniform(0, 1)
    observed_s = criteria.within_s + criteria.hold_s + (e2e_s if world.long_streams else 1.0)
    frame = Frame(_WARMUP_S, fault_s, fault_s + observed_s, world.lasts_s, world.capacity_s)
    draws = _draws(rng, world, rate, frame.end_s)
    objectives = Objectives(ttft_s=0.5, e2e_s=e2e_s, itl_s=2.0 if world.long_streams else None)
    if world.queue is not None:
        columns, waits = queued(world.queue, rate, draws.instants_s, draws.length, frame)
        service = queued_service(waits, frame, objectives, disturbed_s(columns, frame))
        return Run(world, rate, columns, frame, objectives, service, _harmed(columns, frame), 5.0)
    columns = _answered(world, draws, frame)
    harmed = _strike(world, columns, draws.more, frame)
    service = _service(world, frame, objectives, disturbed_s(columns, frame))
    return Run(world, rate, columns, frame, objectives, service, harmed, 1.0 if world.long_streams else 5.0)


def _draws(rng: np.random.Generator, world: World, rate: float, end_s: float) -> _Draws:
    most = int(rate * end_s + 8 * math.sqrt(rate * end_s) + 8)
    if world.arrivals == "constant":
        instants_s = np.arange(most) / rate
        rng.exponential(1 / rate, most)
    else:
        instants_s = np.cumsum(rng.exponential(1 / rate, most))
    n = int(np.searchsorted(instants_s, end_s))
    speed, length = rng.standard_normal(most)[:n], rng.standard_normal(most)[:n]
    fate, luck, more = (rng.random(most)[:n] for _ in range(3))
    return _Draws(instants_s[:n], speed, length, fate, luck, more)


def _answered(world: World, draws: _Draws, frame: Frame) -> Columns:
    """Every request answered as its instant, the background and the episodes have it."""
    slow, failed = NOISES[world.noise]
    intended_s = draws.instants_s
    dispatched_s = intended_s + 0.0005
    for from_s, length_s in world.stalls:
        begin_s = frame.fault_s + from_s
        stalled = (intended_s >= begin_s) & (intended_s < begin_s + length_s)
        dispatched_s[stalled] = begin_s + length_s
    ttft_s = np.exp(SPREAD * draws.speed) * (world.ttft_s + world.trend_s_per_s * intended_s)
    ttft_s[draws.fate < slow] += SLOW_S
    outcome: NDArray[np.object_] = np.full(len(intended_s), OK, dtype=object)
    fails_after_s = np.full(len(intended_s), np.nan)
    _fail(outcome, fails_after_s, draws.fate > 1 - failed, "http_503")
    for episode in world.episodes:
        hit = draws.luck < share_hit(episode, dispatched_s - frame.fault_s)
        if episode.how == "slow":
            ttft_s[hit] += SLOW_S
        elif episode.how == "silent":
            waits_s = frame.fault_s + episode.end_s - dispatched_s
            ttft_s[hit] += waits_s[hit]
        else:
            _fail(outcome, fails_after_s, hit, episode.how)
    late = (outcome == OK) & (ttft_s > TTFT_TIMEOUT_S)
    outcome[late] = "ttft_timeout"
    fails_after_s[late] = TTFT_TIMEOUT_S
    first_s = np.where(outcome == OK, dispatched_s + ttft_s, np.nan)
    lasts_s = (30.0 if world.long_streams else 0.4) * np.exp(
        (0.05 if world.long_streams else 0.3) * draws.length
    )
    last_s = first_s + lasts_s
    ended_s = np.where(outcome == OK, last_s + 0.001, dispatched_s + fails_after_s)
    for from_s, length_s in world.drops:
        begin_s = frame.fault_s + from_s
        outcome[(intended_s >= begin_s) & (intended_s < begin_s + length_s)] = CLIENT_DROPPED
    return Columns(intended_s, dispatched_s, first_s, last_s, ended_s, outcome.tolist())


def _fail(outcome: NDArray[np.object_], fails_after_s: Floats, hit: Flags, how: str) -> None:
    fresh = hit & (outcome == OK)
    outcome[fresh], fails_after_s[fresh] = _OUTCOMES[how]


def share_hit(episode: Episode, at_s: Floats) -> Floats:
    """The share of an episode's requests that fare badly at instants from F."""
    inside = (at_s >= episode.begin_s) & (at_s < episode.end_s)
    height = np.ones_like(at_s)
    if episode.down_s:
        height = np.minimum(height, (at_s - episode.begin_s) / episode.down_s)
    if episode.up_s:
        height = np.minimum(height, (episode.end_s - at_s) / episode.up_s)
    return np.where(inside, episode.share * np.clip(height, 0, 1), 0.0)


def _strike(world: World, columns: Columns, more: Floats, frame: Frame) -> int:
    """What the fault does to requests that it finds in flight; how many."""
    at_s = frame.fault_s
    in_flight = (columns.dispatched_s < at_s) & (columns.ended_s > at_s)
    in_flight &= np.array([outcome == OK for outcome in columns.outcome])
    victims = np.flatnonzero(in_flight & (more < world.silenced))
    if world.reset_at_fault:
        victims = np.flatnonzero(in_flight)[: world.reset_at_fault]
    for index in victims.tolist():
        begun = columns.first_s[index] < at_s
        if not begun:
            columns.first_s[index] = np.nan
        seen_s = _last_token_before(columns, index, at_s, 1.0 if world.long_streams else 0.02)
        columns.last_s[index] = seen_s if begun else np.nan
        if world.reset_at_fault:
            columns.outcome[index] = "reset_mid_stream" if begun else "reset_before_headers"
            columns.ended_s[index] = at_s + 0.002
        elif begun:
            columns.outcome[index], columns.ended_s[index] = "stall_timeout", seen_s + _STALL_TIMEOUT_S
        else:
            columns.outcome[index] = "ttft_timeout"
            columns.ended_s[index] = columns.dispatched_s[index] + TTFT_TIMEOUT_S
    return len(victims)


def _last_token_before(columns: Columns, index: int, at_s: float, gap_s: float) -> float:
    first_s = columns.first_s[index]
    return float(first_s + gap_s * math.floor((at_s - first_s) / gap_s)) if first_s < at_s else math.nan


def _harmed(columns: Columns, frame: Frame) -> int:
    return sum(
        outcome != OK and intended_s < frame.fault_s <= ended_s
        for outcome, intended_s, ended_s in zip(
            columns.outcome, columns.intended_s, columns.ended_s, strict=True
        )
    )


def _service(world: World, frame: Frame, objectives: Objectives, until_s: float) -> Service:
    slow, failed = NOISES[world.noise]
    at_s = np.arange(0, frame.end_s - frame.fault_s, STEP_S)
    median_s = world.ttft_s + world.trend_s_per_s * (at_s + frame.fault_s)
    usual = float(_in_time(objectives.ttft_s, np.array([world.ttft_s + world.trend_s_per_s * 19]))[0])
    in_time, fails = _in_time(objectives.ttft_s, median_s), np.full_like(at_s, failed)
    for episode in world.episodes:
        hit = share_hit(episode, at_s)
        if episode.how == "silent":
            waits_s = np.maximum(episode.end_s - at_s, 0)
            of_those = _in_time(np.maximum(objectives.ttft_s - waits_s, 1e-9), median_s)
            fails = np.maximum(fails, np.where(waits_s > TTFT_TIMEOUT_S, hit, 0))
        else:
            of_those = np.zeros_like(at_s)
            fails = (
                fails
                if episode.how == "slow"
                else failed + (1 - failed) * np.maximum(hit, (fails - failed) / (1 - failed))
            )
        in_time = np.where(hit > 0, in_time * (1 - hit) + hit * of_those, in_time)
    if world.trend_s_per_s:
        # What would have come without the fault is not the fault's.
        in_time, usual = np.ones_like(at_s), 1.0
    return Service((1 - slow - failed) * in_time, fails, (1 - slow - failed) * usual, failed, until_s)


def _in_time(bound_s: float | Floats, median_s: Floats) -> Floats:
    """The share of lognormal times within a bound."""
    z = np.log(bound_s / median_s) / SPREAD
    return np.asarray(0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))))
