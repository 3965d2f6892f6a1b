"""Everything that a run tells others while it goes on: its Prometheus, a Grafana, and whoever watches its terminal."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from chaos.collecting.engine import RecognisedEngine, recognised
from chaos.display.progress import Progress
from chaos.events import Event
from chaos.load.process import LoadConfig
from chaos.prometheus import WallClock
from chaos.publishing import dashboard
from chaos.publishing.annotations import GrafanaAnnotations
from chaos.publishing.load_series import LoadCollector
from chaos.publishing.run_series import RunSeries
from chaos.record.details import FaultDetail, FaultEnded
from chaos.record.journal import Journal
from chaos.run_folder import RunFolder
from chaos.targets import Endpoints, Target
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB, RUN_JOB
from exporters.slo import OBJECTIVES, Objective

_TABLE_WIDTH = 118


class Broadcast:
    """One run as others see it, from before its target starts to after it has ended."""

    def __init__(
        self,
        experiment: str,
        grafana: GrafanaAnnotations | None,
        progress: Progress,
        objectives: Sequence[Objective] = OBJECTIVES,
    ) -> None:
        self._experiment = experiment
        self._objectives = objectives
        self._grafana = grafana
        self._progress = progress
        self._clock = WallClock.now()
        self._stack = ExitStack()
        self._series = self._stack.enter_context(RunSeries(experiment))
        self._in_force: dict[str, bool] = {}
        """Whether it lasts until it is undone, by occurrence."""
        if grafana is not None:
            grafana.warn_with(lambda text: progress.note(f"warning: {text}"))
            self._stack.enter_context(grafana)

    @property
    def address(self) -> str:
        """Of the run's own series."""
        return self._series.address

    def dashboard(self, endpoints: Endpoints, grafana_url: str | None) -> str | None:
        """Where the run can be watched, in an address short enough to read; None where nothing has its series."""
        found = dashboard.address(endpoints, grafana_url)
        return self._series.lead_to(found) if found is not None and grafana_url is None else found

    def target_started(self, target: Target, folder: RunFolder) -> RecognisedEngine:
        """Say what a foreign engine can tell, load the rules that fit it, and watch the scrapes; the engine.

        Rules for objectives of the run's own are written into its folder.
        """
        endpoints = target.endpoints()
        engine = recognised(endpoints.replica_metrics_urls)
        if engine.is_foreign and endpoints.replica_metrics_urls:
            self._progress.note(f"what these replicas can tell\n{engine.explained(_TABLE_WIDTH)}")
        if endpoints.prometheus_url is not None and target.wanted_replicas:
            rules = engine.rules_for(self._objectives, folder)
            if rules is not None:
                target.evaluate(rules)
            else:
                self._progress.note(f"no alerting rules for this engine ({engine.name}): none are evaluated")
            beside = (GATEWAY_JOB, RUN_JOB, *endpoints.watcher_jobs)
            expected = {REPLICA_JOB: target.wanted_replicas, **dict.fromkeys(beside, 1)}
            self._series.watch_telemetry(endpoints.prometheus_url, expected)
        return engine

    def load_planned(self, config: LoadConfig) -> LoadCollector:
        """Export the load; its planned arrivals count from when it is told to begin."""
        return self._series.follow_load(config, self._objectives)

    def fault_began(self, injected: Event) -> None:
        """A fault is in force, since `at_s` of the event on the monotonic clock."""
        fault = FaultDetail.of_event(injected)
        told = fault.occurrence, fault.name, fault.kind, fault.targets
        self._in_force[fault.occurrence] = fault.lasts
        self._series.fault_began(*told)
        if self._grafana is not None:
            self._grafana.fault_began(*told, self._clock.wall_s(injected.at_s))

    def fault_ended(self, ended: Event) -> None:
        """It was undone; harmless when it was not in force."""
        self._end(FaultEnded.of_event(ended).id, ended.at_s)

    def capacity_restored(self) -> None:
        """Every wanted replica is ready: what a fault that was over at once had taken is there again."""
        for occurrence in [one for one, lasts in self._in_force.items() if not lasts]:
            self._end(occurrence, time.monotonic())

    def judged(self, journal: Journal) -> None:
        """It is over, and this is what it came to: shown for as long as the run stays up."""
        self._series.judged(journal)

    def _end(self, occurrence: str, at_s: float) -> None:
        if self._in_force.pop(occurrence, None) is None:
            return
        self._series.fault_ended(occurrence)
        if self._grafana is not None:
            self._grafana.fault_ended(occurrence, self._clock.wall_s(at_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever is still in force ends with the target that bears it."""
        for occurrence in [*self._in_force]:
            self._end(occurrence, time.monotonic())
        self._stack.close()
