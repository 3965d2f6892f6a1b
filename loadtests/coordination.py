"""Who does what in a run: the master (or the only process) decides, each worker plays its slice of the plan.

    master: learn the model, build the plan ──START {worker, workers, model, wall-clock start}──► each worker
    worker: every arrival with index mod workers == worker ──DONE {hub lag, peak in flight}──► master
    master: when all are done, or overdue: merge rows, write the summary, end

In a run of one process Locust delivers the same messages inside it. The start travels as one wall-clock
instant, which each process converts to its own monotonic clock once: on one host that is exact to
microseconds, across hosts it is as good as their clocks agree (NTP). A worker that dies takes its slice
with it: its rows are missing, and the summary's `rows` below `planned` says so.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_INIT, LocalRunner, MasterRunner, WorkerRunner

from loadtests.completions import request_body
from loadtests.endpoint import first_model
from loadtests.open_loop import OpenLoop
from loadtests.prompts import prompt
from loadtests.recorder import (
    Recorder,
    lag_quantiles,
    merge_parts,
    part_path,
    summarise,
    write_summary,
)
from loadtests.rows import Row, read_rows
from loadtests.settings import Settings
from loadtests.streaming import StreamingClient

START, STOP, DONE = "aftershock_start", "aftershock_stop", "aftershock_done"
_LEAD_S = 0.25
_LEAD_DISTRIBUTED_S = 2.0
_LEAD_PER_ARRIVAL_S = 50e-6
"""Workers build the plan once more before it begins; that takes them some 20 microseconds per arrival."""
_GRACE_S = 5.0
"""How long a worker may take to report after its drain is over, or after it was told to stop."""

logger = logging.getLogger(__name__)


class Worker:
    """Plays one slice of the plan, in the greenlet of the one Locust user of its process."""

    def __init__(
        self,
        environment: Environment,
        runner: LocalRunner | WorkerRunner,
        on_row: Callable[[Row], None],
    ) -> None:
        self._environment = environment
        self._runner = runner
        self._on_row = on_row
        self._assignment: Mapping[str, Any] | None = None
        self._playing: gevent.Greenlet | None = None
        self._loop: OpenLoop | None = None
        runner.register_message(START, self._on_start)
        runner.register_message(STOP, self._on_stop)

    def play(self) -> None:
        """Offer the slice that START announced, to its last row; nothing when none is announced."""
        assignment, self._assignment = self._assignment, None
        if assignment is None:
            return
        self._playing = gevent.getcurrent()
        report: dict[str, Any] = {"worker": assignment["worker"]}
        try:
            self._offer(assignment, report)
        finally:  # also when killed: the master waits for this
            self._playing = None
            self._runner.send_message(DONE, report)

    def close(self) -> None:
        """Offer nothing more; what is under way may end."""
        if self._loop is not None:
            self._loop.close()

    def _offer(self, assignment: Mapping[str, Any], report: dict[str, Any]) -> None:
        settings = _settings(self._environment)
        number, workers = assignment["worker"], assignment["workers"]
        start_s = time.monotonic() + assignment["start_wall_s"] - time.time()
        client = StreamingClient(settings.endpoint, settings.limits, start_s)

        def send(index: int, intended_s: float) -> Row:
            text = prompt(settings.plan.seed, index, settings.prompt_tokens)
            body = request_body(
                assignment["model"], text, settings.output_tokens, ignore_eos=settings.ignore_eos
            )
            return client.request(index, intended_s, body)

        rows = settings.rows
        if rows and isinstance(self._runner, WorkerRunner):
            rows = part_path(rows, number)
        arrivals = settings.plan.slice(number, workers)
        max_in_flight = max(1, len(range(number, settings.max_in_flight, workers)))
        with Recorder(arrivals, rows, self._on_row) as recorder:
            loop = self._loop = OpenLoop(arrivals, start_s, send, recorder, max_in_flight)
            try:
                loop.run(settings.plan.duration_s, settings.drain_s)
            finally:
                report |= lag_quantiles("hub", loop.hub_lags_s) | {"peak_in_flight": loop.peak_in_flight}

    def _on_start(self, msg: Message, **_: object) -> None:
        self._assignment = msg.data

    def _on_stop(self, **_: object) -> None:
        if self._playing is not None:
            self._playing.kill(block=False)


@dataclass
class _Run:
    """What the master knows of the run under way."""

    settings: Settings
    workers: int
    overdue_s: float
    """When, on the monotonic clock, a worker that has not reported is taken for lost."""
    summary: dict[str, Any]
    reports: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def reported(self) -> bool:
        return len(self.reports) == self.workers


class Master:
    """Starts runs, knows when they are over, and leaves their summary."""

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._run: _Run | None = None
        self._ending = False
        runner.register_message(DONE, self._on_done)
        events: Any = environment.events  # Locust's event hooks are not typed
        events.test_start.add_listener(self._on_test_start)
        events.test_stop.add_listener(self._on_test_stop)

    @property
    def wanted_users(self) -> int | None:
        """One Locust user per worker while a run lasts; None once it is over, or when no worker is there."""
        if self._runner.state == STATE_INIT and not self._ending:
            return self._runner.worker_count or None
        run = self._run
        if self._ending or (run and (run.reported or time.monotonic() > run.overdue_s)):
            return None
        return run.workers if run else self._runner.worker_count

    def end(self) -> None:
        """Let the run end at the next tick; arrivals without an answer are censored."""
        self._ending = True

    def _on_test_start(self, **_: object) -> None:
        try:
            settings = _settings(self._environment)
            self._announce(settings, settings.model or first_model(settings.endpoint))
        except (ValueError, OSError) as error:
            logger.error("The load cannot start: %s", error)  # noqa: TRY400 - the message says it all
            self.end()
            self._environment.process_exit_code = 1

    def _announce(self, settings: Settings, model: str) -> None:
        clients = _ready_clients(self._runner)
        if settings.rows:
            for old in (settings.rows, *(part_path(settings.rows, number) for number in range(len(clients)))):
                old.unlink(missing_ok=True)
        planned, sha256 = len(settings.plan.offsets_s), settings.plan.sha256
        lead_s = _LEAD_DISTRIBUTED_S if isinstance(self._runner, MasterRunner) else _LEAD_S
        lead_s += planned * _LEAD_PER_ARRIVAL_S
        start_s, start_wall_s = time.monotonic() + lead_s, time.time() + lead_s
        overdue_s = start_s + settings.plan.duration_s + settings.drain_s + _GRACE_S
        summary = {
            "state": "running",
            "start_monotonic_s": start_s,
            "planned": planned,
            "plan_sha256": sha256,
            "duration_s": settings.plan.duration_s,
            "model": model,
        }
        self._run = _Run(settings, len(clients), overdue_s, summary)
        self._environment.process_exit_code = 0  # a session in the web UI may have seen a start that failed
        if settings.summary:
            write_summary(settings.summary, summary)
        for number, client in enumerate(clients):
            task = {"worker": number, "workers": len(clients), "model": model, "start_wall_s": start_wall_s}
            self._runner.send_message(START, task, client_id=client)
        logger.info("Offering %d requests to model %s, plan %s", planned, model, sha256[:12])

    def _on_done(self, msg: Message, **_: object) -> None:
        if self._run is not None:
            self._run.reports[msg.data["worker"]] = msg.data

    def _on_test_stop(self, **_: object) -> None:
        run = self._run
        self._ending = False
        if run is None:
            return
        if not run.reported:
            self._runner.send_message(STOP)
            patience_s = min(run.overdue_s, time.monotonic() + _GRACE_S)
            while not run.reported and time.monotonic() < patience_s:
                gevent.sleep(0.05)
        self._run = None
        if run.settings.rows:
            self._conclude(run)

    def _conclude(self, run: _Run) -> None:
        rows = run.settings.rows
        assert rows is not None
        if isinstance(self._runner, MasterRunner):
            merge_parts(rows, run.workers)
        reports = run.reports.values()
        summary = run.summary | {"state": "finished"} | summarise(read_rows(rows))
        for key in ("hub_p99_s", "hub_max_s"):
            summary["lag"][key] = max((report.get(key) or 0.0 for report in reports), default=None)
        summary["peak_in_flight"] = sum(report.get("peak_in_flight", 0) for report in reports)
        if run.settings.summary:
            write_summary(run.settings.summary, summary)
        if summary["rows"] != summary["planned"]:
            logger.error("Only %d of %d arrivals have a row", summary["rows"], summary["planned"])
            self._environment.process_exit_code = 1


def _settings(environment: Environment) -> Settings:
    assert environment.parsed_options is not None
    return Settings.read(environment.host, environment.parsed_options)


def _ready_clients(runner: LocalRunner | MasterRunner) -> list[str | None]:
    """The workers that take part, by Locust's id; the process itself has none."""
    if isinstance(runner, LocalRunner):
        return [None]
    present = runner.clients.ready + runner.clients.spawning + runner.clients.running
    return [client.id for client in present]
