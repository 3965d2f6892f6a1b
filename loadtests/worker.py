"""One process of a load: it plays its slice of the plan, from the instant that the master announced to its last row."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from locust.env import Environment
from locust.rpc import Message
from locust.runners import LocalRunner, WorkerRunner

from loadtests import settings
from loadtests.canaries import GREEDY
from loadtests.completions import request_body
from loadtests.messages import CLOSE, DONE, ECHO, START, STOP, Assignment
from loadtests.open_loop import OpenLoop
from loadtests.parts import part_path
from loadtests.plan import Arrival, plan_of
from loadtests.prompts import prompt_of
from loadtests.recorder import Recorder, lag_quantiles
from loadtests.rows import Row
from loadtests.spec import LoadSpec
from loadtests.stalls import without_collector
from loadtests.streaming import StreamingClient

logger = logging.getLogger(__name__)


class Worker:
    """Plays one slice of the plan, in the greenlet of the one Locust user of its process."""

    def __init__(
        self,
        environment: Environment,
        runner: LocalRunner | WorkerRunner,
        on_row: Callable[[Row], None] = lambda _: None,
    ) -> None:
        self._environment = environment
        self._runner = runner
        self._on_row = on_row
        self._assignment: Assignment | None = None
        self._playing: gevent.Greenlet | None = None
        self._loop: OpenLoop | None = None
        runner.register_message(START, self._on_start)
        runner.register_message(CLOSE, self._on_close)
        runner.register_message(STOP, self._on_stop)
        if isinstance(runner, WorkerRunner):
            runner.register_message(ECHO, self._on_echo)

    def play(self) -> None:
        """Offer the slice that START announced, to its last row; nothing when none is announced."""
        assignment, self._assignment = self._assignment, None
        if assignment is None:
            return
        self._playing = gevent.getcurrent()
        report: dict[str, Any] = {"worker": assignment["worker"]}
        try:
            self._offer(assignment, report)
        except (OSError, ValueError) as error:
            # The master sees that the rows are missing.
            logger.error("This slice cannot be played: %s", error)  # noqa: TRY400 - the message says it all
        finally:  # also when killed: the master waits for this
            self._playing = None
            self._runner.send_message(DONE, report)

    def _offer(self, assignment: Assignment, report: dict[str, Any]) -> None:
        spec = settings.of(self._environment)
        number, workers = assignment["worker"], assignment["workers"]
        start_s = assignment["start_s"]
        plan = plan_of(spec)
        if plan.sha256 != assignment["plan_sha256"]:
            raise ValueError("the plan made here is not the master's: same release, same file?")
        arrivals = plan.slice(number, workers)
        rows = spec.rows_path
        if rows and isinstance(self._runner, WorkerRunner):
            rows = part_path(rows, number)
        max_in_flight = max(1, len(range(number, spec.max_in_flight, workers)))
        recorder = Recorder(arrivals, rows, self._on_row)
        send = _sender(spec, assignment["model"], start_s)
        loop = self._loop = OpenLoop(arrivals, start_s, send, recorder, max_in_flight)
        try:
            with recorder, without_collector():
                loop.run(spec.duration_s, spec.drain_s)
        finally:
            report |= lag_quantiles("hub", loop.watch.lags_s) | loop.watch.report() | recorder.report()
            report["peak_in_flight"] = loop.peak_in_flight

    def _on_start(self, msg: Message, **_: object) -> None:
        self._assignment = msg.data

    def _on_close(self, **_: object) -> None:
        if self._loop is not None:
            self._loop.close()

    def _on_echo(self, msg: Message, **_: object) -> None:
        self._runner.send_message(ECHO, {**msg.data, "answered_s": time.monotonic()})

    def _on_stop(self, **_: object) -> None:
        if self._playing is not None:
            self._playing.kill(block=False)


def _sender(spec: LoadSpec, model: str, start_s: float) -> Callable[[Arrival], Row]:
    """What performs a planned request, on a run clock that reads 0 at `start_s` of the monotonic one."""
    client = StreamingClient(settings.endpoint(spec), spec.timeouts, start_s)

    def send(arrival: Arrival) -> Row:
        canaries = spec.canaries
        number, text, besides, keep = None, "", spec.body, None
        if canaries is not None and arrival.session is None:
            number = canaries.number_of(arrival.index)
        if canaries is not None and number is not None:
            text, besides = canaries.prompts[number].prompt, {**(spec.body or {}), **GREEDY}
            keep = partial(canaries.kept_of, number)
        body = request_body(
            model,
            text or prompt_of(arrival),
            arrival.output_tokens,
            ignore_eos=spec.ignore_eos,
            user=arrival.tenant,
            besides=besides,
        )
        asked_tokens = arrival.output_tokens if spec.ignore_eos else None
        return client.request(arrival.index, arrival.at_s, body, asked_tokens, keep)

    return send
