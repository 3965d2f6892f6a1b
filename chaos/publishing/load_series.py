"""The load as series: what was planned, what came of it, how late the generator was. Told by its rows as they end."""

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric

from chaos.load.process import LoadConfig
from chaos.publishing.budgets import Budgets
from exporters.registry import Registry, counter, gauge, histogram
from exporters.series.run import LOAD_IN_FLIGHT, LOAD_LAG, LOAD_PLANNED, LOAD_REQUESTS
from loadtests.parts import RowTail
from loadtests.plan import Plan
from loadtests.rows import OUTCOMES
from loadtests.turns import Turns


class LoadCollector:
    """Reads at each scrape the rows that ended since the one before, whichever process wrote them.

    The plan is a file that is there before the load, so what is due is known here without asking the generator: one
    that hangs shows as arrivals in flight that never end.
    """

    def __init__(self, config: LoadConfig, budgets: Budgets) -> None:
        """Read the plan of this load, which is written already; nothing is due yet, and no budget is used."""
        turns = self._turns = Turns(Plan.read(config.plan_path).arrivals, config.duration_s)
        self._offsets_s = [arrival.at_s for arrival in turns.planned]
        self._turns_due_s: list[float] = []
        self._budgets = budgets
        self._start_s = math.inf
        self._rows = RowTail(config.rows_path)
        self._due = self._ended = 0
        self._one_at_a_time = threading.Lock()
        self._registry = Registry()
        self._planned = counter(LOAD_PLANNED, self._registry)
        self._requests = counter(LOAD_REQUESTS, self._registry)
        for outcome in OUTCOMES:  # from 0 on: a rate would miss the first failure of each kind
            self._requests.labels(outcome)
        self._in_flight = gauge(LOAD_IN_FLIGHT, self._registry)
        self._lag = histogram(LOAD_LAG, self._registry)

    def begin(self, start_monotonic_s: float) -> None:
        """The plan begins at this instant of the monotonic clock."""
        self._start_s = start_monotonic_s

    def collect(self) -> Iterable[Metric]:
        """All four families and the budgets, as of now; ValueError when a row cannot be read."""
        with self._one_at_a_time:
            self._take_in()
            planned = len(self._offsets_s) + len(self._turns_due_s)
            return (*self._registry.collect(), self._budgets.left(planned))

    def _take_in(self) -> None:
        rows = self._rows.new()  # before the clock is read: nothing ends before it is due
        now_s = time.monotonic() - self._start_s
        for row in rows:
            if self._turns.never_came_due(row):
                self._turns_due_s.append(row.intended_s)
            if (turn := self._turns.after(row)) is not None:
                self._turns_due_s.append(turn.at_s)
        self._turns_due_s.sort()
        due = bisect_right(self._offsets_s, now_s) + bisect_right(self._turns_due_s, now_s)
        self._planned.inc(due - self._due)
        self._due = due
        self._budgets.take_in(rows)
        for row in rows:
            self._requests.labels(row.outcome).inc()
            if row.lag_s is not None:
                self._lag.observe(row.lag_s)
        self._ended += len(rows)
        self._in_flight.set(due - self._ended)
