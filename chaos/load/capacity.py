"""How much the cluster carries: short open-loop ramps before a run, each ended as soon as its answer is known.

Closed-loop load would wait with an overloaded cluster and call its pace a capacity. A ramp does not wait: its rate
grows by the same factor each second, until most requests miss the objectives.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from chaos.collecting.counts import left_in_flight
from chaos.display.live import Latest
from chaos.display.progress import Progress
from chaos.errors import InconclusiveError, RefusedError
from chaos.load.process import Load, LoadConfig
from chaos.measuring.capacity import Estimate, estimate, is_overloaded
from chaos.measuring.objectives import Objectives
from chaos.run_folder import RunFolder
from loadtests.spec import Timeouts
from loadtests.traffic.steady import steady

MOST_PER_S = 2000.0
"""Where a ramp ends that nothing stops: what one process can offer."""
LEAST_PER_S = 1.0
"""Where the first ramp begins."""
_SLOWEST_PER_S = 0.2
_GROWTH_PER_S = 0.6
_GENTLE_BELOW, _GENTLE_ABOVE = 0.7, 2.0
"""Where the second ramp begins and ends, in parts of what the first one estimated."""
_GENTLE_S, _GENTLE_ANSWERS, _GENTLE_REQUESTS = 6.0, 5.0, 16.0
"""The second ramp lasts for so long, so many answers one after another, or so many requests at the estimate."""
_OFFERED_S = 20.0
"""Both ramps together, the ends of what they had under way not counted."""
_LEAST_OF_A_RAMP_S = 4.0
_GIVE_UP_TTFT, _GIVE_UP_E2E = 4.0, 2.0
"""The client gives up after so many times the objective: what is bad already must not keep the cluster busy."""
_LOOK_EVERY_S = 0.1
_SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the cluster carries within the objectives, and what that rests on."""

    rate_per_s: float
    at_least: bool
    """Whether the highest rate that was tried did not overload it."""
    arrivals: int
    good: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Ramps:
    """What all ramps of one measurement have in common."""

    load: LoadConfig
    """As the run's own, its rate the highest that a ramp may reach."""
    folder: RunFolder
    objectives: Objectives
    progress: Progress
    gateway_metrics_url: str | None

    def measure(self, what: str) -> Capacity:
        """Measure, and wait until the cluster is idle again.

        Raises:
            RefusedError: nearly nothing met the objectives, however slowly the requests came.
            InconclusiveError: the load died, or the cluster did not become idle.
        """
        began_s = time.monotonic()
        self.progress.phase("capacity", what)
        found = tuple(self._estimates())
        arrivals, good = sum(one.arrivals for one in found), sum(one.good for one in found)
        took_s = time.monotonic() - began_s
        best = found[-1]
        if not best.broke or best.rate_per_s is None:  # a gentler ramp that ran out of time tells less
            best = max(found, key=lambda one: one.rate_per_s or 0.0)
        if best.rate_per_s is None:
            raise RefusedError(
                f"the cluster has no capacity within the objectives, nothing was injected: of {arrivals} requests "
                f"sent in {took_s:.0f} s, from {_SLOWEST_PER_S:g}/s up, {good} met them",
                hint="widen slo, or look into logs/ in the run folder: every process's output is there",
            )
        broke = any(one.broke for one in found)
        return Capacity(best.rate_per_s, not broke, arrivals, good, took_s)

    def _estimates(self) -> Iterator[Estimate]:
        """What one ramp says, and a gentler one where the first was too steep to say it well."""
        top_per_s = self.load.rate_per_s
        low_per_s = min(LEAST_PER_S, top_per_s / 4)
        lasts_s = math.log(top_per_s / low_per_s) / _GROWTH_PER_S
        began_s = time.monotonic()
        first = self._ramp(1, low_per_s, top_per_s, lasts_s)
        yield first
        left_s = _OFFERED_S - (time.monotonic() - began_s)
        if first.rate_per_s is None:
            yield self._ramp(2, _SLOWEST_PER_S * low_per_s, low_per_s, max(left_s, _LEAST_OF_A_RAMP_S))
        elif left_s < _LEAST_OF_A_RAMP_S:
            return
        elif not first.broke and top_per_s < MOST_PER_S:
            # At its very top a ramp is too short to fill a queue: whether that rate is carried shows by staying there.
            yield self._ramp(2, _GENTLE_BELOW * top_per_s, top_per_s, left_s)
        elif first.is_coarse(_GROWTH_PER_S):
            about_per_s = first.rate_per_s
            wanted_s = max(_GENTLE_S, _GENTLE_ANSWERS * first.answer_s, _GENTLE_REQUESTS / about_per_s)
            high_per_s = min(_GENTLE_ABOVE * about_per_s, top_per_s)
            yield self._ramp(2, _GENTLE_BELOW * about_per_s, high_per_s, min(left_s, wanted_s))

    def _ramp(self, number: int, low_per_s: float, high_per_s: float, lasts_s: float) -> Estimate:
        config = self._config(number, low_per_s, high_per_s, lasts_s)
        settles_s = config.timeouts.deadline_s + _SETTLE_S
        rows, latest = [], Latest(over_s=1.0)
        with Load(config) as load:
            zero_s = load.start().start_monotonic_s
            while load.poll():
                fresh = load.new_rows()
                rows += fresh
                now_s = time.monotonic() - zero_s
                self.progress.update(**latest.facts(fresh, now_s))
                if is_overloaded(rows, load.plan.offsets_s, now_s, self.objectives):
                    load.close()
                    break
                time.sleep(_LOOK_EVERY_S)
            load.wait(settles_s)
            rows += load.new_rows()
        self._until_idle(settles_s)
        return estimate(rows, self.objectives)

    def _config(self, number: int, low_per_s: float, high_per_s: float, lasts_s: float) -> LoadConfig:
        ttft_s, e2e_s = _GIVE_UP_TTFT * self.objectives.ttft_s, _GIVE_UP_E2E * self.objectives.e2e_s
        timeouts = self.load.timeouts
        return self.load.but(
            **steady(
                self.load
            ),  # constant gaps: what is measured is the cluster, not the luck of a few arrivals
            rate_from_per_s=low_per_s,
            rate_per_s=high_per_s,
            duration_s=lasts_s,
            seed=self.load.seed + number,  # the run's own prompts must not be in any cache yet
            timeouts=Timeouts(
                ttft_s=min(timeouts.ttft_s, ttft_s),
                stall_s=timeouts.stall_s,
                deadline_s=min(timeouts.deadline_s, e2e_s),
            ),
            drain_s=min(self.load.drain_s, e2e_s),
            plan_path=self.folder.capacity_plan(number),
            rows_path=self.folder.capacity_rows(number),
            summary_path=self.folder.capacity_load(number),
            log_path=self.folder.logs / f"capacity-{number}.log",
        )

    def _until_idle(self, within_s: float) -> None:
        if self.gateway_metrics_url is None:
            return
        if left := left_in_flight(self.gateway_metrics_url, within_s):
            raise InconclusiveError(
                f"the cluster is not idle {within_s:g} s after its capacity was measured: {left} requests in flight"
            )
