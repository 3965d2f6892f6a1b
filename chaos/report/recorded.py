"""A run as its folder tells it: the journal, and the raw records on one timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.judging import records
from chaos.judging.judge import judge_records
from chaos.measuring.evidence import evidence
from chaos.measuring.objectives import Objectives
from chaos.measuring.processor import Sample
from chaos.measuring.slis import Bin, per_second
from chaos.measuring.timeline import Timeline
from chaos.record import journal as journals
from chaos.record.journal import Journal
from chaos.record.observed import KeptSeries
from chaos.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything a report is made of."""

    journal: Journal
    timeline: Timeline
    objectives: Objectives
    bins: tuple[Bin, ...]
    """The run second by second, drain included."""
    series: Mapping[str, KeptSeries]
    """Prometheus series by panel and legend; empty when none were kept."""
    samples: Sequence[Sample] = ()
    """Of the processor, on the run clock; empty when it was not sampled."""


def read(folder: RunFolder) -> Recorded:
    """Read a run folder with its journal.

    Raises:
        InputError: the journal is missing, or is not one; a file is not what a run writes.
    """
    journal = journals.read(folder.journal)
    run = records.read(folder)
    return of(journal, run.timeline, run.observed.series, run.samples)


def judged(folder: RunFolder) -> Recorded:
    """The same with a journal that is made anew from the raw records.

    Raises:
        InputError: a file is not what a run writes.
    """
    run = records.read(folder)
    return of(judge_records(run), run.timeline, run.observed.series, run.samples)


def of(
    journal: Journal,
    timeline: Timeline,
    series: Mapping[str, KeptSeries],
    samples: Sequence[Sample] = (),
) -> Recorded:
    """The same of what was read already."""
    slo = journal.slo
    objectives = Objectives(slo.ttft_s, slo.e2e_s, slo.itl_s, slo.tpot_s)
    return Recorded(
        journal, timeline, objectives, per_second(timeline, evidence(timeline, objectives)), series, samples
    )
