"""The raw files of a run folder, read once: everything that judging it and reporting on it rest on."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaos.ending import LOST, Ending
from chaos.ending import read as read_ending
from chaos.errors import ExitCode, InputError
from chaos.events import Event, read_events
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.experiment.file import ExperimentSpec
from chaos.measuring.processor import Sample, read_samples
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.run_folder import RunFolder
from loadtests.parts import all_rows
from loadtests.rows import CENSORED, Row


@dataclass(frozen=True, slots=True)
class Records:
    """What a run left, however it ended."""

    experiment: Experiment
    target: str
    """The kind of target."""
    rows: Sequence[Row]
    """All of them, of arrivals too that were never sent."""
    timeline: Timeline
    samples: Sequence[Sample]
    """Of the processor."""
    generator: Mapping[str, Any]
    """What the load said of itself; empty when it never began."""
    planned: int
    """Arrivals in the plan, up to where it was closed."""
    counted: Mapping[str, Any]
    """Series, alerts, engine and counts; empty when the run did not come to ask for them."""
    cut_short: Ending | None


def read(folder: RunFolder) -> Records:
    """Read a run folder, whatever of it is there.

    Raises:
        InputError: a file of it is not what a run writes.
    """
    experiment = read_experiment(folder.experiment)
    cut_short = _cut_short(folder)
    generator = _read_json(folder.load)
    try:
        events = read_events(folder.events) if folder.events.is_file() else []
        closed_s = min((event.at_s for event in events if event.kind == "load_closed"), default=math.inf)
        every_row = [*all_rows(folder.requests)]
        rows = [row for row in every_row if row.intended_s < closed_s]
        planned = int(generator.get("planned", 0)) - (len(every_row) - len(rows))
        ends_s = min(float(generator.get("duration_s", 0.0)), closed_s)
        samples = read_samples(folder.processor, float(generator.get("start_monotonic_s", 0.0)))
        target, wanted = _opened(events, experiment)
        timeline = _timeline(rows, experiment.spec, ends_s, events, wanted, cut_short)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder.path}: not the records of a run: {error}") from error
    counted = _read_json(folder.metrics)
    if cut_short is None:
        timeline = replace(timeline, planned=planned)
    return Records(experiment, target, rows, timeline, samples, generator, planned, counted, cut_short)


def _cut_short(folder: RunFolder) -> Ending | None:
    """Why the run did not go on to its end; None when it did."""
    ending = read_ending(folder.ending)
    if ending is None and not folder.metrics.is_file():
        return Ending(LOST, int(ExitCode.INCONCLUSIVE))
    return ending


def _timeline(
    rows: Sequence[Row],
    spec: ExperimentSpec,
    ends_s: float,
    events: Sequence[Event],
    wanted_replicas: int,
    cut_short: Ending | None,
) -> Timeline:
    if cut_short is not None:
        # What was not sent, or was given up because the run ended, says nothing about the server.
        rows = [row for row in rows if row.dispatched_s is not None and row.outcome != CENSORED]
        ends_s = min(ends_s, ends_s if cut_short.at_s is None else cut_short.at_s)
    return Timeline(
        rows=tuple(rows),
        events=tuple(events),
        planned=0,
        warmup_s=spec.phases.warmup_s,
        plan_end_s=ends_s,
        wanted_replicas=wanted_replicas,
        faults=tuple(_fault(event, events) for event in events if event.kind == "fault_injected"),
        observes=spec.observes,
        complete=cut_short is None,
    )


def _fault(injected: Event, events: Sequence[Event]) -> FaultWindow:
    fault = injected.detail
    # A run of an earlier version had one fault, and tied what was seen of it to its name.
    occurrence = fault.get("id", fault["name"])
    mine = [e for e in events if e.detail.get("id", e.detail.get("fault")) == occurrence]
    looked = [e for e in mine if e.kind in ("fault_verified", "fault_unverified")]
    verified = {event.replica for event in looked if event.kind == "fault_verified"}
    ended_s = min((event.at_s for event in mine if event.kind == "fault_ended"), default=None)
    after = [e.kind for e in mine if e.kind in ("end_verified", "end_unverified")]
    return FaultWindow(
        id=occurrence,
        name=fault["name"],
        kind=fault["kind"],
        fidelity=fault["fidelity"],
        fidelity_reason=fault.get("fidelity_reason", ""),
        plane=fault.get("plane", "process"),
        done=fault.get("done", "were killed"),
        started_s=injected.at_s,
        ended_s=ended_s,
        targets=tuple(fault["targets"]),
        candidates=fault["candidates"],
        verified=bool(fault["targets"]) and verified >= set(fault["targets"]),
        evidence=tuple(f"{event.replica}: {event.detail['how']}" for event in looked),
        undone=None if ended_s is None else "end_unverified" not in after,
    )


def _opened(events: Sequence[Event], experiment: Experiment) -> tuple[str, int]:
    """Which kind of target it was, and how many replicas it should have had."""
    opened = next((event.detail for event in events if event.kind == "target_opened"), None)
    if opened is None:  # a run of an earlier version, which had one kind of target
        return "local", experiment.target.wanted_replicas
    return opened["target"], opened["wanted_replicas"]


def _read_json(path: Path) -> dict[str, Any]:
    """What a file of the run holds; nothing where the run did not come to write it."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the records of a run: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object, got {type(value).__name__}")
    return value
