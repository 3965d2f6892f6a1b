"""What `open_versus_closed.py` compares with: plain Locust users, same client, same server, same request rate.

Each user sends, waits for the answer, and waits again so that it comes to ten requests a second. That is what Locust
calls constant throughput, and it is a closed loop: a user whose answer does not come sends nothing.
"""

import itertools
import time
from pathlib import Path
from typing import Any

from locust import User, constant_throughput, events, task
from locust.exception import StopUser

from loadtests.completions import request_body
from loadtests.endpoint import Endpoint
from loadtests.rows import CENSORED, Row, to_line
from loadtests.spec import Timeouts
from loadtests.streaming import StreamingClient

START_S = time.monotonic()
NUMBERS = itertools.count()


class ClosedLoopUser(User):
    """One of the users; a row's intended start is its dispatch, because a closed loop intends nothing before it."""

    wait_time = constant_throughput(10)

    def on_start(self) -> None:
        """One client for each user, as Locust has it."""
        self.client = StreamingClient(Endpoint.parse(str(self.host)), Timeouts(), START_S)
        self.body = request_body("tiny", "hello", self.environment.parsed_options.tokens, ignore_eos=True)

    @task
    def ask(self) -> None:
        """Send one request and wait for its end."""
        row = self.client.request(next(NUMBERS), time.monotonic() - START_S, self.body)
        if row.outcome == CENSORED:  # the kill that ends the run came while this request was under way
            raise StopUser
        with Path(self.environment.parsed_options.rows).open("a") as rows:
            rows.write(to_line(row) + "\n")
        self._report(self.environment.events, row)

    def _report(self, hooks: Any, row: Row) -> None:
        milliseconds = ((row.ended_s or 0.0) - row.intended_s) * 1000
        hooks.request.fire(
            request_type="POST", name="closed", response_time=milliseconds, response_length=0, exception=None
        )


HOOKS: Any = events  # Locust's event hooks are not typed


def declare(parser: Any) -> None:
    """The options of this file."""
    parser.add_argument("--rows", default="rows.jsonl")
    parser.add_argument("--tokens", type=int, default=2)


HOOKS.init_command_line_parser.add_listener(declare)
