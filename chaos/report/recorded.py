"""A run as its folder tells it: the journal, and the raw records on one timeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaos.judging import journal as journals
from chaos.judging import records
from chaos.measuring.slis import Bin, Objectives, per_second
from chaos.measuring.timeline import Timeline
from chaos.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything a report is made of."""

    journal: Mapping[str, Any]
    timeline: Timeline
    objectives: Objectives
    bins: tuple[Bin, ...]
    """The run second by second, drain included."""
    series: Mapping[str, Any]
    """Prometheus series by name, as in metrics.json; empty when none were kept."""


def read(folder: RunFolder) -> Recorded:
    """Read a run folder.

    Raises:
        InputError: the journal is missing, not JSON, or of another schema.
        ValueError: a row or an event is not what a run writes.
    """
    journal = journals.read(folder.journal)
    run = records.read(folder)
    return of(journal, run.timeline, run.counted.get("series", {}))


def of(journal: Mapping[str, Any], timeline: Timeline, series: Mapping[str, Any]) -> Recorded:
    """The same of what was read already."""
    slo = journal["slo"]
    objectives = Objectives(slo["ttft_s"], slo["e2e_s"], slo["itl_s"])
    return Recorded(journal, timeline, objectives, per_second(timeline, objectives), series)
