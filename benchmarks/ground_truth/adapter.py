"""The analysis as this bench sees it: a timeline goes in, what it states comes out. What knows its types is here."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.ground_truth.columns import timeline
from benchmarks.ground_truth.play import Run
from chaos.assertions.grammar import parse
from chaos.judging.evaluation import evaluate
from chaos.judging.verdict import unsound
from chaos.measuring.measurements import Measurements, measure
from chaos.measuring.recovery_time import Criteria, RecoveryTime, Status
from chaos.record.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Stated:
    """What the analysis says of a run."""

    measurements: Measurements
    unsound: tuple[str, ...]
    recovery: RecoveryTime

    @property
    def status(self) -> Status:
        """Of the service's recovery."""
        return self.recovery.status

    @property
    def value_s(self) -> float | None:
        """The one number."""
        return self.recovery.value_s

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """Where the recovery lies; None where the analysis says that it does not know."""
        if self.status is Status.UNKNOWN:
            return None
        return self.recovery.interval_s

    def phase_end_s(self, name: str) -> float:
        """Where a phase ends, on the run clock."""
        slis = self.measurements.phase(name)
        return math.nan if slis is None else slis.phase.end_s

    def requests_in(self, name: str) -> int:
        """Requests that count in a phase."""
        slis = self.measurements.phase(name)
        return 0 if slis is None else slis.n

    def interval_of(self, phase: str, indicator: str) -> tuple[float, float] | None:
        """The stated interval of a phase's indicator, such as `goodput`; None where there is none."""
        slis = self.measurements.phase(phase)
        found: tuple[float, float] | None = None if slis is None else getattr(slis, indicator, None)
        return found

    def verdicts(self, assertions: Iterable[str]) -> list[Verdict]:
        """On each assertion; data that is not sound makes all of them inconclusive, as in a run."""
        if self.unsound:
            return [Verdict.INCONCLUSIVE for _ in assertions]
        return [evaluate(parse(text), self.measurements).verdict for text in assertions]


def stated(run: Run, criteria: Criteria) -> Stated:
    """What the whole analysis says of a simulated run."""
    measurements = measure(timeline(run.columns, run.frame, run.token_gap_s), run.objectives, criteria)
    return Stated(measurements, tuple(unsound(measurements)), measurements.service)
