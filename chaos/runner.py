"""One run as one sentence: start the target, load it, gate on a healthy baseline, inject, observe, recover, judge.

What the run learns goes to its folder as it is learnt; the verdict is made from that folder alone.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np

from chaos.collecting import alerts, claims
from chaos.collecting import counts as reconciliation
from chaos.collecting import series as kept_series
from chaos.collecting.counts import GatewayCounts, counts_before
from chaos.collecting.engine import RecognisedEngine
from chaos.collecting.processor import ProcessorWatch
from chaos.conduct import Conductor, watching
from chaos.display.live import LiveView
from chaos.display.progress import Progress
from chaos.ending import Ending, deciding
from chaos.errors import AbortedError, AftershockError, InconclusiveError, RefusedError
from chaos.events import Event, EventKind, write_events
from chaos.experiment.experiment import Experiment
from chaos.faults.agenda import Agenda
from chaos.faults.injection import Injector, require_possible
from chaos.faults.timetable import Timetable
from chaos.interrupts import Interrupted
from chaos.judging import judge
from chaos.load import rate
from chaos.load.config import load_config, served_model
from chaos.load.process import Load
from chaos.measuring.timeline import align
from chaos.publishing.annotations import GrafanaAnnotations
from chaos.publishing.broadcast import Broadcast
from chaos.record.details import Detail, FaultDetail, LoadStarted, TargetOpened
from chaos.record.journal import Journal
from chaos.record.observed import Observed
from chaos.record.rows_file import read_columns
from chaos.run_folder import RunFolder
from chaos.staying import Stay, addresses
from chaos.steady_state import overdue, require_healthy_baseline
from chaos.targets import Target
from chaos.targets.options import Opening

_LOOK_EVERY_S = 0.2
_DRAIN_SLACK_S = 10.0


@dataclass(slots=True)
class Run:
    """One run from its experiment to its journal."""

    experiment: Experiment
    """As run: with its seed."""
    folder: RunFolder
    progress: Progress
    grafana: GrafanaAnnotations | None = None
    open_target: Callable[[Opening], Target] | None = None
    """How to come by the target; None for the experiment's own."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set by somebody who has seen enough: the load ends, and what was seen is judged."""
    stay: Stay | None = None
    """Holds it up once the load is over; None: it ends at once."""
    under_load: bool = False
    """Whether there is something to be seen yet."""
    _events: list[Event] = field(default_factory=list)
    _done: str = ""
    """What the latest fault did to whom."""
    _started_s: float = field(default_factory=time.monotonic)
    _zero_s: float | None = None
    """When the run clock began; None before the load did."""
    _cut_s: float | None = None
    """When the run was cut short; None while it is not."""

    def run(self) -> Journal:
        """Run the experiment and return its journal.

        Raises:
            AftershockError: a guard refused or aborted, or something could not be measured; the target is
                gone, and the folder holds what was recorded, with its journal.
            Interrupted: somebody stopped it; the same.
        """
        try:
            with ExitStack() as stack:
                stack.callback(self.progress.close)
                self.progress.phase("target", self.experiment.target.about)
                name = self.experiment.spec.experiment
                broadcast = stack.enter_context(
                    Broadcast(name, self.grafana, self.progress, self.experiment.objectives)
                )
                open_target = self.open_target or self.experiment.target.open
                opening = self.experiment.opening(self.folder.path, broadcast.address, self._starting)
                target = stack.enter_context(open_target(opening))
                endpoints = target.endpoints()
                watched = broadcast.dashboard(endpoints, self.grafana.url if self.grafana else None)
                where = addresses(self.folder, endpoints, broadcast.address, watched)
                self.progress.note(where)
                self._under_load(target, broadcast)
                if self.stay is not None:
                    broadcast.judged(judge.judge_folder(self.folder))
                    self.stay.until_released(self.progress, where)
                self.progress.phase("cleanup", "ending every process of the run")
        except (AftershockError, Interrupted) as error:
            decides = deciding(error)
            self._end_early(decides)
            raise decides from None
        except Exception as error:
            mistake = f"a mistake of aftershock itself: {type(error).__name__}: {error}"
            self._end_early(InconclusiveError(mistake))
            raise
        return self._judge()

    def _starting(self, ready: int, wanted: int) -> None:
        self.progress.update(ready=ready, wanted=wanted)

    def _under_load(self, target: Target, broadcast: Broadcast) -> None:
        opened = TargetOpened(target=target.kind, wanted_replicas=target.wanted_replicas)
        self._note(EventKind.TARGET_OPENED, time.monotonic(), opened)
        try:
            for planned in self.experiment.faults:
                require_possible(target, planned)
            engine = broadcast.target_started(target, self.folder)
            endpoints = target.endpoints()
            claims.require_understood(endpoints.prometheus_url, self._asked)
            model = served_model(endpoints, self.experiment.spec.load)
            self.experiment = rate.known(self.experiment, self.folder, target, model, self.progress)
            before = counts_before(endpoints, used=self.folder.capacity_rows(1).is_file())
            self._play(target, model, broadcast)
            self._count(target, before, engine)
        except BaseException:
            self._cut_s = self._cut_s or time.monotonic()
            raise
        finally:
            events = [*target.events(), *self._events]
            write_events(self.folder.events, align(events, self._zero_s or self._started_s))

    def _play(self, target: Target, model: str, broadcast: Broadcast) -> None:
        """Everything that happens while the load goes on."""
        plan = self.experiment.timetable()
        plan.write(self.folder.timetable)
        config = load_config(self.experiment, self.folder, target, model, rate.of(self.experiment))
        with (
            Load(config) as load,
            ProcessorWatch(self.folder.processor, partial(_pids, target, load)),
        ):
            shown = broadcast.load_planned(config)
            zero_s = self._zero_s = load.start().start_monotonic_s
            wall = datetime.now(UTC).isoformat(timespec="seconds")
            self._note(EventKind.LOAD_STARTED, zero_s, LoadStarted(wall=wall))
            shown.begin(zero_s)
            try:
                self.under_load = True
                self._through_phases(target, load, zero_s, plan, broadcast)
                if self.stopping.is_set():
                    self._note(EventKind.LOAD_CLOSED, time.monotonic())
                    load.close()
                load.wait(config.timeouts.deadline_s + _DRAIN_SLACK_S)
            except BaseException:
                self._cut_s = time.monotonic()
                raise
            self._note(EventKind.LOAD_FINISHED, time.monotonic())

    def _through_phases(
        self, target: Target, load: Load, zero_s: float, plan: Timetable, broadcast: Broadcast
    ) -> None:
        spec = self.experiment.spec
        view = LiveView(load, target, self.progress, broadcast.capacity_restored)
        warmup_s, baseline_s = spec.phases.warmup_s, spec.phases.baseline_s
        self._watch("warm-up", view, zero_s, zero_s + warmup_s)
        if spec.observes:
            view.tell_disturbances(judge.objectives(spec), judge.criteria(spec), from_s=warmup_s)
            self._watch("observe", view, zero_s, zero_s + load.config.duration_s, "Ctrl-C ends it early")
            return
        rate.require_carried(self.experiment, self.folder, target, load, view.rows, self.progress)
        self._watch("baseline", view, zero_s, zero_s + warmup_s + baseline_s)
        objectives = judge.objectives(spec)
        rows = [row for row in view.rows if row.intended_s >= warmup_s]
        require_healthy_baseline(
            rows,
            overdue(
                rows, load.plan.offsets_s, warmup_s, time.monotonic() - zero_s, objectives, load.plan.waiting
            ),
            objectives,
            spec.recovery.goodput,
            spec.recovery.error_ratio,
        )
        self._inject(target, load, view, plan, broadcast)

    def _inject(
        self, target: Target, load: Load, view: LiveView, plan: Timetable, broadcast: Broadcast
    ) -> None:
        """Everything from the end of the baseline to the end of the load."""
        zero_s = self._zero_s or 0.0
        began = partial(self._fault_began, broadcast)
        injector = Injector(
            target, self.experiment.faults, plan.seed, self.folder, began, broadcast.fault_ended, self._events
        )
        with watching(self.experiment, load, view, target.endpoints(), self._events) as looks, injector:

            def look_on(until_s: float, over: Callable[[float], bool]) -> None:
                self.progress.update(victims=injector.hit)
                self._watch("observe", view, zero_s, zero_s + until_s, self._done, over)

            conductor = Conductor(injector, *looks, look_on, zero_s, self.stopping)
            try:
                conductor.carry_out(Agenda(plan.steps))
                look_on(load.config.duration_s, conductor.safe)
            except (InconclusiveError, RefusedError) as error:
                if not injector.hit:
                    raise
                raise AbortedError(f"aborted after injection: {error}", hint=error.hint) from error

    def _fault_began(self, broadcast: Broadcast, injected: Event) -> None:
        fault = FaultDetail.of_event(injected)
        self._done = f"{', '.join(fault.targets)} {fault.done}"
        broadcast.fault_began(injected)

    def _watch(
        self,
        name: str,
        view: LiveView,
        zero_s: float,
        until_s: float,
        detail: str = "",
        over: Callable[[float], bool] = lambda _: False,
    ) -> None:
        """Look on until an instant, or until it is over before."""
        if until_s <= time.monotonic():
            return
        self.progress.phase(name, detail)
        self.progress.update(total_s=until_s - time.monotonic())
        while (left_s := until_s - time.monotonic()) > 0 and not self.stopping.is_set():
            view.look(now_s := time.monotonic() - zero_s)
            if over(now_s):
                return
            self.stopping.wait(min(_LOOK_EVERY_S, left_s))

    @property
    def _asked(self) -> tuple[str, ...]:
        """The expressions of assertions, each once."""
        return (*dict.fromkeys(each.term.promql for each in self.experiment.assertions if each.term.promql),)

    def _count(self, target: Target, before: GatewayCounts | None, engine: RecognisedEngine) -> None:
        """Keep what only the living cluster can tell."""
        self.progress.phase("counts", "client, gateway and replicas, side by side")
        endpoints, zero_s, now_s = target.endpoints(), self._zero_s or 0.0, time.monotonic()
        gone = {
            event.replica
            for event in target.events()
            if event.kind == EventKind.REPLICA_GONE and event.replica
        }
        url, since_s = endpoints.prometheus_url, self._started_s
        Observed(
            series=kept_series.keep(url, zero_s, now_s, self.experiment.objectives) if url else {},
            alerts=alerts.fired(url, since_s, zero_s, now_s) if url else None,
            promql=claims.keep(url, self._asked, zero_s, now_s) if url else None,
            engine=engine.journaled(),
            reconciliation=reconciliation.reconcile(
                _sent(self.folder), before, endpoints, gone, now_s - since_s
            ),
        ).write(self.folder)

    def _end_early(self, error: AftershockError | Interrupted) -> None:
        """A run that was cut short leaves a journal too, and says in it why it proves nothing."""
        known = self._zero_s is not None and self._cut_s is not None
        at_s = (self._cut_s or 0.0) - (self._zero_s or 0.0) if known else None
        Ending.of(error, at_s).write(self.folder.ending)
        try:
            self._judge()
        except AftershockError as second:  # the first one says what happened
            self.progress.note(f"the folder cannot be judged: {second}")

    def _judge(self) -> Journal:
        journal = judge.judge_folder(self.folder)
        journal.write(self.folder.journal)
        return journal

    def _note(self, kind: EventKind, at_s: float, detail: Detail | None = None) -> None:
        self._events.append(Event(at_s, kind, detail={} if detail is None else detail.model_dump()))


def _sent(folder: RunFolder) -> int:
    """How many requests left; InconclusiveError when the load left no readable rows."""
    try:
        return int(np.sum(~np.isnan(read_columns(folder.requests).sent_s)))
    except (OSError, ValueError) as error:
        raise InconclusiveError(f"the load left no readable rows: {error}") from error


def _pids(target: Target, load: Load) -> Mapping[str, Sequence[int]]:
    """Whose processor time belongs to the run, by role."""
    return {"runner": [os.getpid()], "load": load.pids, **target.pids()}
