"""What the indicators of a world truly are: of its baseline in the long run, and its counts exactly."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.ground_truth.play import SLOW_S, SPREAD, Run
from benchmarks.ground_truth.queueing import steady_ttft_s
from benchmarks.ground_truth.truth import STEP_S
from benchmarks.ground_truth.worlds import NOISES, Queue, World
from loadtests.rows import OK

_LONG = 400_000
"""Requests of the long run that stands for a queue's steady state."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The steady state before F."""

    goodput: float
    p99_s: float
    share_above_2_s: float
    """A bound on TTFT that 2 % are above: its P99 is above it."""
    share_above_half_s: float
    """A bound that 0.5 % are above: its P99 is below it."""


@cache
def true_baseline(world: World, rate: float) -> Baseline | None:
    """The steady state of a world; None where it has none, or where a P99 lies at the edge of infinity."""
    slow, failed = NOISES[world.noise]
    if world.trend_s_per_s or world.long_streams or 0 < failed <= 0.02 <= slow + failed:
        return None
    if world.queue is not None:
        return _of_queue(world.queue.load, rate)

    def above(ttft_s: float) -> float:
        return failed + (1 - failed) * (
            (1 - slow) * _tail(ttft_s, world.ttft_s) + slow * _tail(ttft_s - SLOW_S, world.ttft_s)
        )

    if failed >= 0.005:
        return None
    p99_s, loose_s, tight_s = (_solve(above, share) for share in (0.01, 0.02, 0.005))
    return Baseline(1 - above(0.5), p99_s, loose_s, tight_s)


def _tail(ttft_s: float, median_s: float) -> float:
    if ttft_s <= 0:
        return 1.0
    return 0.5 * math.erfc(math.log(ttft_s / median_s) / SPREAD / math.sqrt(2))


def _solve(above: Callable[[float], float], share: float) -> float:
    low_s, high_s = 0.0, 60.0
    for _ in range(60):
        middle_s = (low_s + high_s) / 2
        low_s, high_s = (middle_s, high_s) if above(middle_s) > share else (low_s, middle_s)
    return high_s


@cache
def _of_queue(load: float, rate: float) -> Baseline | None:
    """What is lost at F, and for how long, is no matter before it."""
    rng = np.random.default_rng(12345)
    arrivals_s = np.cumsum(rng.exponential(1 / rate, _LONG))
    waited_s = steady_ttft_s(Queue(load, 0.0), rate, arrivals_s, rng.standard_normal(_LONG))
    ttft_s = np.sort(waited_s[1000:])
    p99_s, loose_s, tight_s = (float(ttft_s[math.ceil(q * len(ttft_s)) - 1]) for q in (0.99, 0.98, 0.995))
    if p99_s - loose_s < 1e-6:  # nobody waits: every quantile is the same number
        return None
    return Baseline(float(np.mean(ttft_s <= 0.5)), p99_s, loose_s, tight_s)


def expected_counts(run: Run) -> int | None:
    """How many requests the fault cost; None where background failures are among them, or none can be told apart."""
    if run.world.noise != "0" or run.world.drops:
        return None
    columns = run.columns
    return sum(
        outcome != OK and bool(ended_s >= run.frame.fault_s)
        for outcome, ended_s in zip(columns.outcome, columns.ended_s.tolist(), strict=True)
    )


def expected_ratios(run: Run, phase_end_s: float, requests: int) -> tuple[float, float] | None:
    """The goodput and error ratio that a fault phase has to expect, given what was planned in it.

    The phase has the arrivals from F on, and those that F found in flight, as usual as any. None where requests in
    flight were harmed, and where a queue or the generator decides.
    """
    world, service = run.world, run.service
    if world.queue is not None or world.long_streams or run.harmed or world.drops or world.stalls:
        return None
    intended_s = run.columns.intended_s - run.frame.fault_s
    planned_s = intended_s[(intended_s >= 0) & (intended_s < phase_end_s - run.frame.fault_s)]
    in_flight = requests - len(planned_s)
    if not requests or in_flight < 0:
        return None
    at = np.minimum((planned_s / STEP_S).astype(np.int64), len(service.good) - 1)
    goodput = (float(service.good[at].sum()) + in_flight * service.usual_good) / requests
    errors = (float(service.failed[at].sum()) + in_flight * service.usual_failed) / requests
    return goodput, errors
