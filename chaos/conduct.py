"""The timetable carried out while the load goes on: each step at its instant, or as soon as its condition holds.

Guards are looked at from the first injection on.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from chaos.collecting.figures import Figures
from chaos.collecting.promql import PromqlPoller
from chaos.display.live import LiveView
from chaos.events import Event, EventKind
from chaos.experiment.experiment import Experiment
from chaos.faults.agenda import Agenda
from chaos.faults.injection import Injector
from chaos.faults.timetable import Step
from chaos.judging import judge
from chaos.load.process import Load
from chaos.record.details import ConditionDetail
from chaos.status_checks import StatusChecks, asking
from chaos.targets import Endpoints
from chaos.watching import Watching, figure


@contextmanager
def watching(
    experiment: Experiment, load: Load, view: LiveView, endpoints: Endpoints, events: list[Event]
) -> Iterator[tuple[Watching, StatusChecks]]:
    """What the conditions, the guards and the StatusChecks of an experiment are looked at with.

    `events` takes in what happens to StatusChecks.

    Raises:
        InconclusiveError: Prometheus cannot be reached, or refuses an expression.
    """
    spec, injections = experiment.spec, experiment.injections
    conditions = {
        number: one.entry.when for number, one in enumerate(injections) if one.entry.when is not None
    }
    figures = Figures(load.plan.offsets_s, load.plan.waiting, judge.objectives(spec))
    figures.take(view.rows, 0.0)
    view.followers.append(figures.take)
    asked = [each.promql for each in (*conditions.values(), *spec.abort) if each.promql is not None]
    with (
        PromqlPoller(endpoints.prometheus_url, asked) as poller,
        asking(experiment, endpoints, events) as checks,
    ):
        yield Watching(conditions, spec.abort, partial(figure, figures, poller)), checks


@dataclass(slots=True)
class Conductor:
    """Carries out the steps of one run."""

    injector: Injector
    watching: Watching
    checks: StatusChecks
    look_on: Callable[[float, Callable[[float], bool]], None]
    """Look on until an instant of the run clock, or until it is over before: asked at each look."""
    zero_s: float
    """Monotonic seconds at which the run clock began."""
    stopping: threading.Event
    _met: Sequence[Step] = ()
    _agenda: Agenda = field(default_factory=lambda: Agenda(()))

    def carry_out(self, agenda: Agenda) -> None:
        """Everything on the agenda.

        Raises:
            RefusedError: a guard objects to a fault, which was not injected.
            CleanupError: one was to be undone, and is not.
            AbortedError: a guard ended the run.
        """
        self._agenda = agenda
        while (next_s := agenda.next_s) is not None and not self.stopping.is_set():
            self._met = []
            self.look_on(next_s, partial(self._holds, agenda))
            self._laid_out_anew()
            for step in self._met:
                self._note(EventKind.CONDITION_MET, step)
                agenda.begin(step, self._now_s())
                self.injector.apply(step)
            while (due := agenda.due(self._now_s())) is not None:
                self.injector.apply(due)
            for late in agenda.give_up(self._now_s()):
                self._note(EventKind.CONDITION_UNMET, late)

    def safe(self, now_s: float) -> bool:
        """Look at guards, StatusChecks and ends of faults; False, for nothing is over.

        Raises:
            AbortedError: a guard has tripped.
            CleanupError: a fault was undone, and is still to be seen.
        """
        self._laid_out_anew()
        self.injector.note_what_was_seen()
        if self.injector.hit:
            self.watching.require_safe(now_s)
        return False

    def _holds(self, agenda: Agenda, now_s: float) -> bool:
        next_s = agenda.next_s
        self.safe(now_s)
        self._met = self.watching.met(agenda.open(now_s), now_s)
        return bool(self._met) or agenda.next_s != next_s

    def _laid_out_anew(self) -> None:
        self.checks.look(self._now_s(), self._agenda.lay_out_anew)

    def _now_s(self) -> float:
        return time.monotonic() - self.zero_s

    def _note(self, kind: EventKind, step: Step) -> None:
        stood = self.watching.standing(step)
        said = ConditionDetail(
            id=step.occurrence, condition=str(stood.watched), value=stood.value, why=stood.why
        )
        self.injector.events.append(Event(time.monotonic(), kind, detail=said.model_dump()))
