"""What a run came to, as series: its verdict, both recoveries, and how long replacements took to start, step by step.

Read off the journal, so that a dashboard never says otherwise than the report.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric

from chaos.record.cold_start import ColdStart
from chaos.record.journal import Journal
from exporters.registry import gauge_snapshot
from exporters.series.run import COLD_START_STEPS, RUN_COLD_START, RUN_RECOVERY, RUN_VERDICT


class Outcome:
    """A collector over one journal."""

    def __init__(self, experiment: str, journal: Journal) -> None:
        self._experiment = experiment
        self._journal = journal

    def collect(self) -> Iterable[Metric]:
        """All three families; a recovery or a step that is null in the journal has no sample."""
        verdict = gauge_snapshot(RUN_VERDICT)
        verdict.add_metric([self._experiment, str(self._journal.verdict)], 1)
        recovery = gauge_snapshot(RUN_RECOVERY)
        found = self._journal.recovery
        for of, value_s in (("service", found.service_s), ("capacity", found.capacity_s)):
            if value_s is not None:
                recovery.add_metric([self._experiment, of], value_s)
        steps = gauge_snapshot(RUN_COLD_START)
        for one in found.cold_starts or ():
            for step, took_s in _steps(one):
                steps.add_metric([self._experiment, one.replica, step], took_s)
        return verdict, recovery, steps


def _steps(one: ColdStart) -> Iterator[tuple[str, float]]:
    """How long each step took that was told, since the one before that was."""
    ends_s = (one.scheduled_s, one.pulled_s, one.running_s, one.ready_s, one.first_token_s)
    before_s = 0.0
    for step, end_s in zip(COLD_START_STEPS, ends_s, strict=True):
        if end_s is not None:
            yield step, max(end_s - before_s, 0.0)
            before_s = end_s
