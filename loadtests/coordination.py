"""Who decides in a load: the master, or the only process, starts it, knows when it is over, and leaves its summary.

It learns the model, checks the plan, and gives each worker its slice (`loadtests.messages`). When all are done, or
overdue, it puts their rows together and writes the summary. A worker that dies takes its slice with it: its rows are
missing, and the summary's `rows` below `planned` says so.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_INIT, LocalRunner, MasterRunner

from loadtests import settings
from loadtests.clocks import EchoSounder, Offset
from loadtests.endpoint import first_model
from loadtests.messages import CLOSE, DONE, ECHO, START, STOP, Assignment
from loadtests.parts import all_rows, merge_parts, remove_rows
from loadtests.plan import Plan, plan_of
from loadtests.recorder import added_up, summarise, write_summary
from loadtests.spec import LoadSpec

_LEAD_S = 0.25
_LEAD_DISTRIBUTED_S = 2.0
_LEAD_PER_ARRIVAL_S = 80e-6
"""Workers come by the plan once more before it begins; that takes them up to 50 microseconds per arrival."""
_GRACE_S = 5.0
"""How long a worker may take to report after its drain is over, or after it was told to stop."""

logger = logging.getLogger(__name__)


@dataclass
class _Run:
    """What the master knows of the run under way."""

    spec: LoadSpec
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
        self._echoes = EchoSounder(
            lambda client, data: runner.send_message(ECHO, dict(data), client_id=client)
        )
        runner.register_message(ECHO, lambda msg, **_: self._echoes.take(msg.node_id, msg.data))
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

    def close(self) -> None:
        """Offer nothing more; what is under way may end."""
        self._runner.send_message(CLOSE)

    def _on_test_start(self, **_: object) -> None:
        try:
            spec = settings.of(self._environment)
            model = spec.model or first_model(settings.endpoint(spec))
            self._announce(spec, plan_of(spec), model)
        except (ValueError, OSError) as error:
            logger.error("The load cannot start: %s", error)  # noqa: TRY400 - the message says it all
            self.end()
            self._environment.process_exit_code = 1

    def _announce(self, spec: LoadSpec, plan: Plan, model: str) -> None:
        clients = _ready_clients(self._runner)
        alone = isinstance(self._runner, LocalRunner)
        offsets = [Offset()] if alone else self._echoes.measure(clients)
        if spec.rows_path:
            remove_rows(spec.rows_path)
        planned = len(plan.arrivals)
        lead_s = _LEAD_DISTRIBUTED_S if isinstance(self._runner, MasterRunner) else _LEAD_S
        lead_s += planned * _LEAD_PER_ARRIVAL_S
        start_s = time.monotonic() + lead_s
        summary = {
            "state": "running",
            "start_monotonic_s": start_s,
            "planned": planned,
            "plan_sha256": plan.sha256,
            "duration_s": spec.duration_s,
            "model": model,
            "clocks": [offset.report(number) for number, offset in enumerate(offsets)],
        }
        overdue_s = start_s + spec.duration_s + spec.drain_s + _GRACE_S
        self._run = _Run(spec, len(clients), overdue_s, summary)
        self._environment.process_exit_code = 0  # a session in the web UI may have seen a start that failed
        if spec.summary_path:
            write_summary(spec.summary_path, summary)
        for number, (client, offset) in enumerate(zip(clients, offsets, strict=True)):
            task = Assignment(
                worker=number,
                workers=len(clients),
                model=model,
                plan_sha256=plan.sha256,
                start_s=start_s + offset.applied_s,
            )
            self._runner.send_message(START, dict(task), client_id=client or None)
        logger.info("Offering %d requests to model %s, plan %s", planned, model, plan.sha256[:12])

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
        if run.spec.rows_path:
            self._conclude(run)

    def _conclude(self, run: _Run) -> None:
        rows = run.spec.rows_path
        assert rows is not None
        merge_parts(rows)
        reports = run.reports.values()
        complete = run.reported and all("outcomes" in report for report in reports)
        told = added_up(reports) if complete else summarise(all_rows(rows))
        summary = run.summary | {"state": "finished"} | told
        for key in ("hub_p99_s", "hub_max_s"):
            summary["lag"][key] = max((report.get(key) or 0.0 for report in reports), default=None)
        summary["lost_workers"] = sorted(set(range(run.workers)) - run.reports.keys())
        summary["peak_in_flight"] = sum(report.get("peak_in_flight", 0) for report in reports)
        summary["stall_count"] = sum(report.get("stall_count", 0) for report in reports)
        summary["stalls"] = sorted(
            (
                {**stall, "worker": report["worker"]}
                for report in reports
                for stall in report.get("stalls", ())
            ),
            key=lambda stall: stall["start_s"],
        )
        if run.spec.summary_path:
            write_summary(run.spec.summary_path, summary)
        if summary["rows"] != summary["planned"]:
            logger.error("Only %d of %d arrivals have a row", summary["rows"], summary["planned"])
            self._environment.process_exit_code = 1


def _ready_clients(runner: LocalRunner | MasterRunner) -> list[str]:
    """The workers that take part, by Locust's id; the process itself has none, which is the empty one."""
    if isinstance(runner, LocalRunner):
        return [""]
    present = runner.clients.ready + runner.clients.spawning + runner.clients.running
    return [client.id for client in present]
