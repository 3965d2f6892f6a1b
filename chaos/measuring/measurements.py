"""Everything that is measured of a run, in one value: phases with SLIs, both recoveries, lost requests."""

import math
from dataclasses import dataclass

import numpy as np

from chaos.measuring.capacity_recovery import capacity_recovery
from chaos.measuring.columns import CODES, Ints
from chaos.measuring.disturbances import Disturbances, disturbances
from chaos.measuring.evidence import Evidence, evidence
from chaos.measuring.intervals import Interval, quantile_interval, share_interval
from chaos.measuring.objectives import Objectives
from chaos.measuring.phases import phases
from chaos.measuring.quantiles import quantile
from chaos.measuring.recovery import after_end, service_recovery
from chaos.measuring.recovery_time import Criteria, RecoveryTime
from chaos.measuring.slis import samples
from chaos.measuring.timeline import Phase, Timeline
from loadtests.rows import CLIENT_DROPPED


@dataclass(frozen=True, slots=True)
class PhaseSlis:
    """The indicators of one phase; None where it has no request."""

    phase: Phase
    n: int
    """Requests that count in the phase."""
    good: int
    failed: int
    """Those of them that failed."""
    goodput: float | None
    """Good per planned arrivals."""
    goodput_interval: tuple[float, float] | None
    """With at least 95 % confidence."""
    goodput_rate: float | None
    """Good arrivals per second; None for a phase without length."""
    error_ratio: float | None
    """Failures per planned arrivals."""
    error_ratio_interval: tuple[float, float] | None
    """With at least 95 % confidence."""
    ttft_p50_s: float | None
    ttft_p99_s: float | None
    ttft_p99_interval_s: tuple[float, float] | None
    """Distribution-free, with at least 95 % confidence; None below 368 requests."""
    e2e_p99_s: float | None


@dataclass(frozen=True, slots=True)
class Measurements:
    """What assertions are evaluated on and the journal tells."""

    timeline: Timeline
    objectives: Objectives
    criteria: Criteria
    evidence: Evidence
    phases: tuple[PhaseSlis, ...]
    service: RecoveryTime
    service_after_end: RecoveryTime | None
    capacity: RecoveryTime
    lost_requests: int | None
    """Requests that failed: struck or broken off by the fault, or planned later; None without a fault."""
    disturbances: Disturbances

    def phase(self, name: str) -> PhaseSlis | None:
        """A phase by name, `all` being everything after the warm-up; None when the run had no such phase."""
        if name == "all":
            timeline = self.timeline
            whole = Phase("all", timeline.warmup_s, max(timeline.warmup_s, timeline.plan_end_s))
            return phase_slis(self.evidence, whole)
        return next((slis for slis in self.phases if slis.phase.name == name), None)

    def after(self, name: str, from_s: float, to_s: float, *, ends: bool) -> PhaseSlis | None:
        """The stretch [from_s, to_s) after the first fault began, or after the last one ended; None without such.

        What is not in the plan any more is not in the stretch.
        """
        faults = self.timeline.faults
        ended_s = [fault.ended_s for fault in faults if fault.ended_s is not None]
        if not faults or (ends and len(ended_s) < len(faults)):
            return None
        origin_s = max(ended_s) if ends else min(fault.started_s for fault in faults)
        end_s = min(origin_s + to_s, max(origin_s, self.timeline.plan_end_s))
        return phase_slis(self.evidence, Phase(name, min(origin_s + from_s, end_s), end_s))


def measure(timeline: Timeline, objectives: Objectives, criteria: Criteria) -> Measurements:
    """Measure a whole run; never fails for lack of data, which becomes None or `unknown` with its reason."""
    found = evidence(timeline, objectives)
    service = service_recovery(timeline, found, objectives, criteria)
    return Measurements(
        timeline=timeline,
        objectives=objectives,
        criteria=criteria,
        evidence=found,
        phases=tuple(phase_slis(found, phase) for phase in phases(timeline, found, criteria)),
        service=service,
        service_after_end=after_end(timeline, service),
        capacity=capacity_recovery(timeline, criteria),
        lost_requests=_lost_requests(timeline, found),
        disturbances=disturbances(timeline, found, objectives, criteria),
    )


def phase_slis(found: Evidence, phase: Phase) -> PhaseSlis:
    """The indicators of any stretch of the run."""
    places: Ints = found.within(phase)
    n, good, failed = len(places), int(np.sum(found.good[places])), int(np.sum(found.failed[places]))
    in_order_s = np.round(samples(found.rows, "ttft", places), 6)
    ttft_s, e2e_s = np.sort(in_order_s), np.sort(samples(found.rows, "e2e", places))
    steady = is_steady(phase)
    shares = [
        share_interval(flags[places], in_order_s, steady=steady) for flags in (found.good, found.failed)
    ]
    return PhaseSlis(
        phase=phase,
        n=n,
        good=good,
        failed=failed,
        goodput=good / n if n else None,
        goodput_interval=_ends(shares[0]),
        goodput_rate=good / phase.length_s if phase.length_s > 0 else None,
        error_ratio=failed / n if n else None,
        error_ratio_interval=_ends(shares[1]),
        ttft_p50_s=quantile(ttft_s, 50) if n else None,
        ttft_p99_s=quantile(ttft_s, 99) if n else None,
        ttft_p99_interval_s=_both_ends(quantile_interval(in_order_s, 99, steady=steady)),
        e2e_p99_s=quantile(e2e_s, 99) if n else None,
    )


def is_steady(phase: Phase) -> bool:
    """Whether a phase is a sample of a service that goes on like that, and not what it was in this very stretch."""
    return phase.name in ("baseline", "observation")


def _ends(interval: Interval) -> tuple[float, float] | None:
    return None if interval.reason else (interval.low, interval.high)


def _both_ends(interval: Interval) -> tuple[float, float] | None:
    ends = _ends(interval)
    return None if ends is None or ends[0] == -math.inf or interval.high == math.inf else ends


def _lost_requests(timeline: Timeline, found: Evidence) -> int | None:
    start_s = timeline.fault_start_s
    if start_s is None:
        return None
    rows = found.rows
    dropped = rows.outcome == CODES[CLIENT_DROPPED]  # the generator's, and no word about the service
    # One that was late already, and would have come: what was silent before the fault is not known to be its loss.
    broken_off = (rows.ended_s >= start_s) & ~rows.silent & (rows.intended_s >= timeline.warmup_s)
    return int(np.sum(found.failed & ~dropped & ((found.at_s >= start_s) | broken_off)))
