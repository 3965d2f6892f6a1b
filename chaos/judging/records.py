"""The raw files of a run folder, read once: everything that judging it and reporting on it rest on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chaos.ending import LOST, Ending
from chaos.ending import read as read_ending
from chaos.errors import ExitCode, InputError
from chaos.events import Event, EventKind, read_events
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.judging import delivery
from chaos.measuring.columns import CODES, Columns, Flags, taken
from chaos.measuring.parts import Labels, Parts
from chaos.measuring.processor import Sample, read_samples
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record import observed
from chaos.record.details import (
    ConditionDetail,
    FaultDetail,
    FaultEnded,
    LoadStarted,
    Looked,
    ReplicaReadiness,
    TargetOpened,
    told,
)
from chaos.record.load import Generator
from chaos.record.observed import Observed
from chaos.record.plan_file import read_instants
from chaos.record.rows_file import read_columns
from chaos.run_folder import RunFolder
from loadtests.rows import CENSORED


@dataclass(frozen=True, slots=True)
class Records:
    """What a run left, however it ended."""

    experiment: Experiment
    target: str
    """The kind of target."""
    started_at: str
    """UTC, ISO 8601; empty when the load never began."""
    rows: Columns
    """All of them, of arrivals too that were never sent."""
    timeline: Timeline
    samples: Sequence[Sample]
    """Of the processor."""
    generator: Generator
    """What the load said of itself."""
    planned: int
    """Arrivals in the plan, up to where it was closed."""
    observed: Observed
    """Series, alerts, engine and counts; empty when the run did not come to ask for them."""
    measured_capacity: bool
    """Whether the run found out itself what the cluster carries."""
    cut_short: Ending | None
    discord: tuple[str, ...]
    """What of the rows cannot be, by the plan or by itself."""


def read(folder: RunFolder) -> Records:
    """Read a run folder, whatever of it is there.

    Raises:
        InputError: a file of it is not what a run writes.
    """
    experiment = read_experiment(folder.experiment)
    found = observed.read(folder)
    cut_short = _cut_short(folder, found)
    try:
        return _read(folder, experiment, found, cut_short)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder.path}: not the records of a run: {error}") from error


def _read(
    folder: RunFolder, experiment: Experiment, found: Observed | None, cut_short: Ending | None
) -> Records:
    generator = _generator(folder.load)
    events = read_events(folder.events) if folder.events.is_file() else []
    closed_s = min((event.at_s for event in events if event.kind == EventKind.LOAD_CLOSED), default=math.inf)
    every_row = read_columns(folder.requests)
    rows = taken(every_row, np.flatnonzero(every_row.intended_s < closed_s))
    target, wanted = _opened(events, experiment)
    planned = generator.planned - (len(every_row) - len(rows))
    timeline = Timeline(
        rows=rows if cut_short is None else taken(rows, np.flatnonzero(_says_something(rows))),
        events=tuple(events),
        planned=planned,
        warmup_s=experiment.spec.phases.warmup_s,
        plan_end_s=min(generator.duration_s, closed_s, _cut_at_s(cut_short)),
        wanted_replicas=wanted,
        faults=tuple(_faults(events)),
        observes=experiment.spec.observes,
        stalls=tuple((float(each["start_s"]), float(each["length_s"])) for each in generator.stalls or ()),
        parts=_parts(folder, experiment, generator.planned),
        complete=cut_short is None,
    )
    return Records(
        experiment=experiment,
        target=target,
        started_at=_started_at(events),
        rows=rows,
        timeline=timeline,
        samples=read_samples(folder.processor, generator.start_monotonic_s or 0.0),
        generator=generator,
        planned=planned,
        observed=found or Observed(),
        measured_capacity=folder.capacity_rows(1).is_file(),
        cut_short=cut_short,
        discord=tuple(_discord(folder, every_row, generator)),
    )


def _parts(folder: RunFolder, experiment: Experiment, planned: int) -> Parts:
    """Whose each arrival is: as the plan says, or, where all are of one profile, as the experiment does."""
    load = experiment.spec.load
    if load.mix is not None and folder.plan.is_file():
        return read_instants(folder.plan).parts
    return Parts(Labels.of([load.profile] * planned))


def _discord(folder: RunFolder, rows: Columns, generator: Generator) -> Iterator[str]:
    """Whether the rows are an account of their plan; a folder from before there were plans has none to ask."""
    if not folder.plan.is_file():
        return
    known = [float(each.get("uncertainty_s", 0.0)) for each in generator.clocks or ()]
    tolerance_s = delivery.TOLERANCE_S + max(known, default=0.0)
    yield from delivery.check(read_instants(folder.plan), rows, generator.plan_sha256, tolerance_s)


def _cut_short(folder: RunFolder, found: Observed | None) -> Ending | None:
    """Why the run did not go on to its end; None when it did."""
    ending = read_ending(folder.ending)
    if ending is not None:
        return ending
    why = LOST if found is None else found.cut_short
    return None if why is None else Ending(why, int(ExitCode.INCONCLUSIVE))


def _cut_at_s(cut_short: Ending | None) -> float:
    return math.inf if cut_short is None or cut_short.at_s is None else cut_short.at_s


def _says_something(rows: Columns) -> Flags:
    """Not what was never sent, or was given up because the run ended: that is no word about the server."""
    return ~np.isnan(rows.dispatched_s) & np.not_equal(rows.outcome, CODES[CENSORED])


def _faults(events: Sequence[Event]) -> Iterator[FaultWindow]:
    """The window of each occurrence, with what was seen of it."""
    seen = [*told(events, Looked, EventKind.FAULT_VERIFIED, EventKind.FAULT_UNVERIFIED)]
    ends = [*told(events, FaultEnded, EventKind.FAULT_ENDED)]
    after = [*told(events, Looked, EventKind.END_VERIFIED, EventKind.END_UNVERIFIED)]
    met = {detail.id: detail for _, detail in told(events, ConditionDetail, EventKind.CONDITION_MET)}
    # A replica that is to be killed gets no more requests from a moment before on: that is the first effect.
    withdrawn_s: dict[str, float] = {}
    for event, unready in told(events, ReplicaReadiness, EventKind.REPLICA_UNREADY):
        withdrawn_s[unready.why] = min(event.at_s, withdrawn_s.get(unready.why, math.inf))
    for injected, fault in told(events, FaultDetail, EventKind.FAULT_INJECTED):
        occurrence = fault.occurrence
        looked = [(event, detail) for event, detail in seen if detail.id == occurrence]
        verified = {event.replica for event, _ in looked if event.kind == EventKind.FAULT_VERIFIED}
        ended_s = min((event.at_s for event, detail in ends if detail.id == occurrence), default=None)
        still = [e for e, d in after if d.id == occurrence and e.kind == EventKind.END_UNVERIFIED]
        yield FaultWindow(
            id=occurrence,
            name=fault.name,
            kind=fault.kind,
            fidelity=fault.fidelity,
            fidelity_reason=fault.fidelity_reason,
            plane=fault.plane,
            lasts=fault.lasts,
            done=fault.done,
            started_s=min(injected.at_s, withdrawn_s.get(occurrence, math.inf)),
            ended_s=ended_s,
            targets=fault.targets,
            candidates=fault.candidates,
            verified=bool(fault.targets) and verified >= set(fault.targets),
            evidence=tuple(f"{event.replica}: {detail.how}" for event, detail in looked),
            undone=None if ended_s is None else not still,
            condition=f"{met[occurrence].condition}: it was {met[occurrence].value:g}"
            if occurrence in met
            else None,
        )


def _opened(events: Sequence[Event], experiment: Experiment) -> tuple[str, int]:
    """Which kind of target it was, and how many replicas it should have had."""
    for _, opened in told(events, TargetOpened, EventKind.TARGET_OPENED):
        return opened.target, opened.wanted_replicas
    # A run of an earlier version, which had one kind of target, or one whose target never opened.
    return experiment.target.kind, experiment.target.wanted_replicas


def _started_at(events: Sequence[Event]) -> str:
    return next((said.wall for _, said in told(events, LoadStarted, EventKind.LOAD_STARTED)), "")


def _generator(path: Path) -> Generator:
    """What the load said of itself; nothing where the run did not come to begin it."""
    if not path.is_file():
        return Generator()
    try:
        return Generator.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the records of a run: {error}") from error
