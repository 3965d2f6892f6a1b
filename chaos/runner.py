"""One run as one sentence: start the target, load it, gate on a healthy baseline, inject, observe, recover, judge.

What the run learns goes to its folder as it is learnt; the verdict is made from that folder alone.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from chaos import kept_series, rate, reconciliation
from chaos.errors import AbortedError, AftershockError, InconclusiveError
from chaos.events import Event, write_events
from chaos.fault import injection
from chaos.judging import journal, judgement
from chaos.live import LiveView
from chaos.load import Load
from chaos.local_run import load_config, local_target, served_model
from chaos.measuring.timeline import align
from chaos.observing import alerts
from chaos.observing.annotations import GrafanaAnnotations
from chaos.observing.broadcast import Broadcast
from chaos.observing.engine import Engine
from chaos.observing.processor import ProcessorWatch
from chaos.progress import Progress
from chaos.reading.experiment import Experiment
from chaos.reconciliation import GatewayCounts, counts_before
from chaos.run_folder import RunFolder
from chaos.steady_state import require_healthy_baseline
from chaos.targets import Target

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
    _events: list[Event] = field(default_factory=list)
    _started_s: float = field(default_factory=time.monotonic)

    def run(self) -> dict[str, Any]:
        """Run the experiment and return its journal.

        Raises:
            AftershockError: a guard refused or aborted, or something could not be measured; the target is
                gone, and the folder holds what was recorded.
        """
        try:
            with ExitStack() as stack:
                stack.callback(self.progress.close)
                self.progress.phase(
                    "target", f"{self.experiment.spec.target.local.replicas} replicas starting"
                )
                name = self.experiment.spec.experiment
                told = stack.enter_context(Broadcast(name, self.grafana, self.progress))
                target = stack.enter_context(
                    local_target(self.experiment, self.folder, self.progress, told.address)
                )
                self._under_load(target, told)
                self.progress.phase("cleanup", "ending every process of the run")
        except AftershockError as error:
            self._keep_what_there_is(error)
            raise
        return self._judge()

    def _under_load(self, target: Target, told: Broadcast) -> None:
        spec = self.experiment.spec
        injection.candidates(target, self.experiment.kill, spec.fault.blast_radius)
        engine = told.target_started(target)
        endpoints = target.endpoints()
        model = served_model(endpoints.url)
        self.experiment = rate.known(self.experiment, self.folder, target, model, self.progress)
        before = counts_before(endpoints, used=self.folder.capacity_rows(1).is_file())
        zero_s = None
        try:
            offered = rate.of(self.experiment)
            with (
                Load(load_config(self.experiment, self.folder, target, model, offered)) as load,
                ProcessorWatch(self.folder.processor, partial(_pids, target, load)),
            ):
                shown = told.load_planned(load.config)
                zero_s = load.start().start_monotonic_s
                self._note("load_started", zero_s, wall=datetime.now(UTC).isoformat(timespec="seconds"))
                shown.begin(zero_s)
                self._through_phases(target, load, zero_s, told)
                load.wait(spec.load.timeouts.deadline_s + _DRAIN_SLACK_S)
                self._note("load_finished", time.monotonic())
            self._count(target, before, zero_s, engine)
        finally:
            if zero_s is not None:
                write_events(self.folder.events, align([*target.events(), *self._events], zero_s))

    def _through_phases(self, target: Target, load: Load, zero_s: float, told: Broadcast) -> None:
        spec, view = self.experiment.spec, LiveView(load, target, self.progress, told)
        warmup_s, baseline_s = spec.phases.warmup_s, spec.phases.baseline_s
        self._watch("warm-up", view, zero_s, zero_s + warmup_s)
        rate.require_carried(self.experiment, self.folder, target, load, view.rows, self.progress)
        self._watch("baseline", view, zero_s, zero_s + warmup_s + baseline_s)
        require_healthy_baseline(
            [row for row in view.rows if row.intended_s >= warmup_s],
            judgement.objectives(spec),
            spec.recovery.goodput,
            spec.recovery.error_ratio,
        )
        kill, radius, seed = self.experiment.kill, spec.fault.blast_radius, spec.seed or 0
        fault = injection.inject(target, kill, radius, seed, self.folder, told.fault_began)
        self._events += fault.events
        names = tuple(victim.name for victim in fault.victims)
        self.progress.update(victims=names)
        try:
            self._watch(
                "observe", view, zero_s, zero_s + load.config.duration_s, f"killed {', '.join(names)}"
            )
        except InconclusiveError as error:
            raise AbortedError(f"aborted after injection: {error}", hint=error.hint) from error

    def _watch(self, name: str, view: LiveView, zero_s: float, until_s: float, detail: str = "") -> None:
        self.progress.phase(name, detail)
        self.progress.update(total_s=until_s - time.monotonic())
        while (left_s := until_s - time.monotonic()) > 0:
            view.look(time.monotonic() - zero_s)
            time.sleep(min(_LOOK_EVERY_S, left_s))

    def _count(self, target: Target, before: GatewayCounts, zero_s: float, engine: Engine) -> None:
        """Keep what only the living cluster can tell."""
        self.progress.phase("counts", "client, gateway and replicas, side by side")
        endpoints, now_s = target.endpoints(), time.monotonic()
        killed = {
            event.replica for event in target.events() if event.kind == "replica_gone" and event.replica
        }
        kept: dict[str, Any] = {"step_s": kept_series.STEP_S, "series": {}}
        if endpoints.prometheus_url is not None:
            kept = kept_series.keep(endpoints.prometheus_url, zero_s, now_s)
            kept["alerts"] = alerts.fired(endpoints.prometheus_url, self._started_s, zero_s, now_s)
        kept["engine"] = engine.journaled()
        rows = self.folder.rows()
        kept["reconciliation"] = reconciliation.reconcile(
            rows, before, endpoints, killed, now_s - self._started_s
        )
        self.folder.metrics.write_text(json.dumps(kept) + "\n")

    def _keep_what_there_is(self, error: AftershockError) -> None:
        """A run that was cut short under load leaves a journal too, and says in it why it proves nothing."""
        if not self.folder.events.is_file():
            return
        kept = {"series": {}, "reconciliation": {"problems": [f"the run was cut short: {error}"]}}
        self.folder.metrics.write_text(json.dumps(kept) + "\n")
        journal.write(
            self.folder.journal, {**judgement.judge_folder(self.folder), "exit_code": error.exit_code}
        )

    def _judge(self) -> dict[str, Any]:
        journaled = judgement.judge_folder(self.folder)
        journal.write(self.folder.journal, journaled)
        return journaled

    def _note(self, kind: str, at_s: float, **detail: Any) -> None:
        self._events.append(Event(at_s, kind, detail=detail))


def _pids(target: Target, load: Load) -> Mapping[str, Sequence[int]]:
    """Whose processor time belongs to the run, by role."""
    load_pids = [load.pid] if load.pid is not None else []
    return {"runner": [os.getpid()], "load": load_pids, **target.pids()}
