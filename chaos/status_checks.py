"""The StatusChecks of a run's Workflows while it goes on: asked in their turn, and what follows from answers."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chaos.collecting.status_answers import StatusAsker
from chaos.events import Event, EventKind
from chaos.experiment.experiment import Experiment
from chaos.experiment.injections import PlannedCheck
from chaos.faults.status_asking import Asking, Over
from chaos.faults.timetable import Step, later_s
from chaos.faults.workflow_course import Check, Known
from chaos.record.details import StatusCheckDetail
from chaos.targets import Endpoints


@dataclass(slots=True)
class _Going:
    """One that goes on."""

    planned: PlannedCheck
    asking: Asking
    asker: StatusAsker


@dataclass(slots=True)
class StatusChecks:
    """All of one run."""

    experiment: Experiment
    endpoints: Endpoints
    events: list[Event] = field(default_factory=list)
    _known: dict[int, Known] = field(default_factory=dict)
    """By the number of the Workflow's first injection."""
    _going: dict[str, _Going] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)

    def look(self, now_s: float, lay_out_anew: Callable[[Collection[str], Sequence[Step]], None]) -> None:
        """Begin those whose time has come, and end those that are over: what follows is laid out anew."""
        self._begin(now_s)
        for id_, going in [*self._going.items()]:
            going.asking.answers[:] = going.asker.answers
            over = going.asking.over(now_s - self._origin_s(going.planned.first))
            if over is not None and id_ in self._going:
                self._end(going, over, lay_out_anew)

    def close(self) -> None:
        """Ask no more."""
        for going in [*self._going.values()]:
            self._note_over(going, Over(0.0, "the run ended before it was over", aborts=False))

    def _begin(self, now_s: float) -> None:
        for planned in self.experiment.checks:
            if planned.id in self._begun:
                continue
            check = self._as_known(planned)
            if check is not None and self._origin_s(planned.first) + check.at_s <= now_s:
                self._begun.add(planned.id)
                asker = StatusAsker(check.spec, self.endpoints)
                self._going[planned.id] = _Going(planned, Asking(check), asker)
                self._note(EventKind.STATUS_CHECK_BEGAN, self._detail(self._going[planned.id]))

    def _end(
        self, going: _Going, over: Over, lay_out_anew: Callable[[Collection[str], Sequence[Step]], None]
    ) -> None:
        first, experiment = going.planned.first, self.experiment
        before = self._known.get(first, Known())
        occurrences = {
            step.occurrence
            for step in experiment.timetable().steps
            if experiment.injections[step.fault].timed.later_as == first
        }
        known = replace(before, over_s={**before.over_s, going.asking.check.place: over.at_s})
        if over.aborts:
            known = replace(known, aborted_s=over.at_s)
        self._known[first] = known
        steps = experiment.timetable(self._known).steps
        withheld = occurrences - {step.occurrence for step in steps}
        self._note_over(going, over, tuple(sorted(withheld)))
        if over.aborts:
            for other in [each for each in self._going.values() if each.planned.first == first]:
                self._note_over(other, Over(over.at_s, "its Workflow was aborted", aborts=False))
        lay_out_anew(occurrences, steps)

    def _as_known(self, planned: PlannedCheck) -> Check | None:
        """When it is, as far as is known by now; None: never."""
        known = self._known.get(planned.first)
        if known is None:
            return planned.check
        entry = self.experiment.injections[planned.first].entry
        checks = planned.source.course(entry.at_s, entry.until_s, known).checks
        return next((check for check in checks if check.place == planned.check.place), None)

    def _origin_s(self, first: int) -> float:
        """The end of the baseline on the run clock, later by the jitter of this injection."""
        jitter_s = self.experiment.injections[first].entry.jitter_s
        return self.experiment.baseline_ends_s + later_s(self.experiment.spec.seed or 0, first, jitter_s)

    def _note_over(self, going: _Going, over: Over, withheld: tuple[str, ...] = ()) -> None:
        going.asker.stop()
        del self._going[going.planned.id]
        detail = self._detail(going)
        ended = {"how": over.how, "aborted": over.aborts, "withheld": withheld}
        self._note(EventKind.STATUS_CHECK_OVER, detail.model_copy(update=ended))

    def _detail(self, going: _Going) -> StatusCheckDetail:
        answers = going.asking.answers
        return StatusCheckDetail(
            id=going.planned.id,
            workflow=going.planned.source.name,
            asks=going.asking.check.asks,
            good=going.asking.good,
            bad=len(answers) - going.asking.good,
            saw=answers[-1].saw if answers else "",
        )

    def _note(self, kind: EventKind, detail: StatusCheckDetail) -> None:
        self.events.append(Event(time.monotonic(), kind, detail=detail.model_dump(mode="json")))


@contextmanager
def asking(experiment: Experiment, endpoints: Endpoints, events: list[Event]) -> Iterator[StatusChecks]:
    """The StatusChecks of a run, which is told what happened to them."""
    checks = StatusChecks(experiment, endpoints, events)
    try:
        yield checks
    finally:
        checks.close()
