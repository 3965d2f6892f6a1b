"""The load as `locust` runs it: one user per process, and that user offers an open-loop plan.

    locust --host http://127.0.0.1:8000                      the web UI, with the options of a run in its form
    locust --headless --host URL --rate 20 --duration 30 --rows out.jsonl
    locust --headless --host URL --rate 2000 --processes 2   the plan, cut in two

Import this file nowhere: Locust runs it, and importing Locust patches the whole process.
"""

import signal
from functools import partial
from typing import Any, ClassVar

import gevent
from locust import LoadTestShape, User, constant, events, task
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from loadtests.completions import PATH
from loadtests.coordination import Master
from loadtests.parent_watch import end_with_parent
from loadtests.rows import Row
from loadtests.settings import add_arguments
from loadtests.web_form import install
from loadtests.worker import Worker


class OutcomeError(Exception):
    """Any outcome but ok, as Locust's statistics group it."""


class OpenLoopUser(User):
    """Offers this process's slice of the plan. Its wait time only matters before a run and after it."""

    wait_time = constant(0.1)
    worker: ClassVar[Worker]

    @task
    def offer(self) -> None:
        """Play what the master announced; at once nothing when there is nothing to play."""
        self.worker.play()


class PlanShape(LoadTestShape):
    """One user per worker while the plan and its drain last; then Locust stops, and ends when headless."""

    master: ClassVar[Master]

    def tick(self) -> tuple[int, float] | None:
        """What Locust asks once a second: users and users per second, or None for the end."""
        users = self.master.wanted_users
        return None if users is None else (users, users)


def _set_up(environment: Environment, runner: LocalRunner | MasterRunner | WorkerRunner, **_: object) -> None:
    options: Any = environment.parsed_options
    # What the server answers is in the rows; the exit code speaks of the load alone.
    environment.process_exit_code = 0
    if options.exit_with_parent_fd >= 0:
        end_with_parent(options.exit_with_parent_fd)
    gevent.config.track_greenlet_tree = False  # nobody asks a request's greenlet who spawned it
    if not isinstance(runner, MasterRunner):
        # Who starts this as a child reads the rows, and Locust's statistics are shown to nobody.
        shown = options.exit_with_parent_fd < 0
        told = {"on_row": partial(_report, environment.events, environment.stats)} if shown else {}
        OpenLoopUser.worker = Worker(environment, runner, **told)
    if not isinstance(runner, WorkerRunner):
        PlanShape.master = Master(environment, runner)
        if environment.web_ui is not None:
            install(environment.web_ui)
        if options.headless:  # Locust's own handler only comes up when a headless shape is over
            gevent.signal_handler(signal.SIGTERM, PlanShape.master.end)
            # Whoever measures with this load knows enough, and wants the server to come to rest.
            gevent.signal_handler(signal.SIGUSR1, PlanShape.master.close)


def _report(hooks: Any, stats: Any, row: Row) -> None:
    """Exactly one Locust request per arrival, measured from its intended start.

    Beside it, and in no sum of Locust's, lines of their own for first tokens and for gaps between tokens.
    """
    if row.ttft_s is not None:
        stats.get("to the first token", "TTFT").log(row.ttft_s * 1000, 0)
    gaps = stats.get("between tokens", "ITL")
    for gap_s in row.itl_s:
        gaps.log(gap_s * 1000, 0)
    ended_s = row.ended_s
    hooks.request.fire(
        request_type="POST",
        name=PATH,
        response_time=None if ended_s is None else (ended_s - row.intended_s) * 1000,
        response_length=0,
        exception=None if row.ok else OutcomeError(row.outcome),
        context={"index": row.index},
    )


HOOKS: Any = events  # Locust's event hooks are not typed
HOOKS.init_command_line_parser.add_listener(add_arguments)
HOOKS.init.add_listener(_set_up)
