"""Everything that is measured of a run, in one value: phases with SLIs, both recoveries, lost requests."""

from dataclasses import dataclass

from chaos.measuring.disturbances import Disturbances, disturbances
from chaos.measuring.quantiles import quantile, quantile_interval, wilson_interval
from chaos.measuring.recovery import (
    Criteria,
    RecoveryTime,
    capacity_recovery,
    phases,
    service_recovery,
    service_recovery_after_end,
)
from chaos.measuring.slis import Objectives, failures, good_count, samples
from chaos.measuring.timeline import Phase, Timeline


@dataclass(frozen=True, slots=True)
class PhaseSlis:
    """The indicators of one phase; None where it has no planned arrival."""

    phase: Phase
    n: int
    """Planned arrivals."""
    good: int
    failed: int
    """Requests that failed in the phase, whenever they arrived."""
    goodput: float | None
    """Good per planned arrivals."""
    goodput_interval: tuple[float, float] | None
    """Wilson's 95 % interval."""
    goodput_rate: float | None
    """Good arrivals per second; None for a phase without length."""
    error_ratio: float | None
    """Failures per planned arrivals."""
    ttft_p50_s: float | None
    ttft_p99_s: float | None
    ttft_p99_interval_s: tuple[float, float] | None
    """Distribution-free 95 % interval; None below 368 arrivals."""
    e2e_p99_s: float | None


@dataclass(frozen=True, slots=True)
class Measurements:
    """What assertions are evaluated on and the journal tells."""

    timeline: Timeline
    objectives: Objectives
    criteria: Criteria
    phases: tuple[PhaseSlis, ...]
    service: RecoveryTime
    service_after_end: RecoveryTime | None
    capacity: RecoveryTime
    lost_requests: int | None
    """Arrivals after the warm-up that failed once the fault had started; None when nothing was injected."""
    disturbances: Disturbances

    def phase(self, name: str) -> PhaseSlis | None:
        """A phase by name, `all` being everything after the warm-up; None when the run had no such phase."""
        if name == "all":
            return phase_slis(
                self.timeline,
                self.objectives,
                Phase("all", self.timeline.warmup_s, max(self.timeline.warmup_s, self.timeline.plan_end_s)),
            )
        return next((slis for slis in self.phases if slis.phase.name == name), None)


def measure(timeline: Timeline, objectives: Objectives, criteria: Criteria) -> Measurements:
    """Measure a whole run; never fails for lack of data, which becomes None or `unknown` with its reason."""
    return Measurements(
        timeline=timeline,
        objectives=objectives,
        criteria=criteria,
        phases=tuple(
            phase_slis(timeline, objectives, phase) for phase in phases(timeline, objectives, criteria)
        ),
        service=service_recovery(timeline, objectives, criteria),
        service_after_end=service_recovery_after_end(timeline, objectives, criteria),
        capacity=capacity_recovery(timeline, criteria),
        lost_requests=_lost_requests(timeline),
        disturbances=disturbances(timeline, objectives, criteria),
    )


def phase_slis(timeline: Timeline, objectives: Objectives, phase: Phase) -> PhaseSlis:
    """The indicators of any stretch of the run."""
    rows = timeline.within(phase)
    n, good, failed = len(rows), good_count(rows, objectives), failures(timeline, phase)
    ttft_s, e2e_s = samples(rows, "ttft"), samples(rows, "e2e")
    return PhaseSlis(
        phase=phase,
        n=n,
        good=good,
        failed=failed,
        goodput=good / n if n else None,
        goodput_interval=wilson_interval(good, n),
        goodput_rate=good / phase.length_s if phase.length_s > 0 else None,
        error_ratio=failed / n if n else None,
        ttft_p50_s=quantile(ttft_s, 50) if n else None,
        ttft_p99_s=quantile(ttft_s, 99) if n else None,
        ttft_p99_interval_s=quantile_interval(ttft_s, 99),
        e2e_p99_s=quantile(e2e_s, 99) if n else None,
    )


def _lost_requests(timeline: Timeline) -> int | None:
    start_s = timeline.fault_start_s
    if start_s is None:
        return None
    return sum(
        row.failed_at_s is not None and row.failed_at_s >= start_s
        for row in timeline.rows
        if row.intended_s >= timeline.warmup_s
    )
