"""What a run came to as series in Prometheus' text format: for a Prometheus that outlives the run's own."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric

from chaos.measuring.evidence import decisions, met
from chaos.publishing.budgets import left_of
from chaos.publishing.outcome import Outcome
from chaos.report.recorded import Recorded
from exporters.registry import Registry
from exporters.slo import GOODPUT


def render(run: Recorded) -> str:
    """Verdict, recoveries, cold starts and what is left of the error budgets, under the names that a run has live."""
    registry = Registry()
    registry.register(_Series(run))
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """A collector over one recorded run."""

    run: Recorded

    def collect(self) -> Iterator[Metric]:
        """The families, those too that have no sample."""
        yield from Outcome(self.run.journal.experiment, self.run.journal).collect()
        yield self._budgets_left()

    def _budgets_left(self) -> Metric:
        """Of the whole run, as while it went on: what ended and missed an objective, of what may."""
        journal, rows = self.run.journal, self.run.timeline.rows
        wanted = {one.objective: one.wanted for one in journal.attained if one.wanted is not None}
        good, _ = decisions(rows, self.run.objectives)
        flags = {**met(rows, self.run.objectives), GOODPUT.name: good}
        missed = {name: len(rows) - int(flags[name].sum()) for name in wanted}
        return left_of(journal.experiment, wanted, missed, journal.load.planned)
