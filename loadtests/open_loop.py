"""The open loop: every request leaves at its planned instant, whatever the server does.

One greenlet walks the plan by absolute deadlines and never looks at answers; a late start does not move the
arrivals after it. Each request lives in a greenlet of its own, which a timer of the event loop starts. Only one
thing keeps a planned request from leaving: as many as `max_in_flight` are under way already. That arrival is
`client_dropped`, in the open, at its instant.

A plan may hold one exception: turns of a session leave after the turn before has ended (`loadtests.turns`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gevent
from gevent.event import Event
from gevent.pool import Group

from loadtests.plan import Arrival
from loadtests.recorder import Recorder
from loadtests.rows import CLIENT_DROPPED, Row
from loadtests.turns import Turns

HUB_WATCH_S = 0.1
"""How often the watch looks whether greenlets are woken in time."""

_ARM_AHEAD_S = 0.2
"""How long before its instant an arrival gets its timer: so much stutter of the walking greenlet costs nothing."""


@dataclass
class OpenLoop:
    """The arrivals of one process, from the first to the last row."""

    arrivals: Sequence[Arrival]
    """In order of their instants."""
    start_s: float
    """The instant of the monotonic clock at which the run clock reads 0."""
    send: Callable[[Arrival], Row]
    """Performs one request; returns its row also when the greenlet is killed."""
    recorder: Recorder
    max_in_flight: int
    in_flight: int = 0
    peak_in_flight: int = 0
    hub_lags_s: list[float] = field(default_factory=list)
    """How late a sleeping greenlet was woken, once per `HUB_WATCH_S`: the generator's own stutter."""
    _closed: Event = field(default_factory=Event)
    _requests: Group = field(default_factory=Group)
    _turns: Turns = field(default_factory=lambda: Turns((), 0.0))

    def run(self, duration_s: float, drain_s: float) -> None:
        """Offer the whole plan, then wait up to `drain_s` for what is under way; the rest is `censored`.

        Being killed itself ends the run the same way, at once.
        """
        requests = self._requests = Group()
        turns = self._turns = Turns(self.arrivals, duration_s)
        watch = gevent.spawn(self._watch_hub)
        try:
            for arrival in turns.planned:
                due_s = self.start_s + arrival.at_s
                if (early_s := due_s - _ARM_AHEAD_S - time.monotonic()) > 0:
                    self._closed.wait(early_s + _ARM_AHEAD_S / 2)  # arms a batch at once
                if self._closed.is_set():
                    break
                self._arm(arrival, due_s)
            self._closed.wait(max(0.0, self.start_s + duration_s - time.monotonic()))
            requests.join(timeout=drain_s)
        finally:
            requests.kill()
            watch.kill()
            for row in turns.unsent():
                self.recorder.append(row)

    def close(self) -> None:
        """No more arrivals: the rest of the plan is `censored`, and what is under way may come to its end."""
        self._closed.set()

    def _arm(self, arrival: Arrival, due_s: float) -> None:
        request = gevent.Greenlet(self._one, arrival)
        self._requests.add(request)
        # The timer starts the request from the loop itself, ahead of all answers that wait to be read;
        # one that is merely spawned would queue up behind them.
        gevent.get_hub().loop.update_now()  # timers count from the time the loop knows: a stale one would fire early
        request.start_later(max(0.0, due_s - time.monotonic()))

    def _ended(self, row: Row) -> None:
        self.recorder.append(row)
        if not self._closed.is_set() and (turn := self._turns.after(row)) is not None:
            self._arm(turn, self.start_s + turn.at_s)

    def _one(self, arrival: Arrival) -> None:
        if self.in_flight >= self.max_in_flight:
            self._ended(Row(arrival.index, arrival.at_s, CLIENT_DROPPED))
            return
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            row = self.send(arrival)
        finally:
            self.in_flight -= 1
        self._ended(row)

    def _watch_hub(self) -> None:
        while True:
            due_s = time.monotonic() + HUB_WATCH_S
            gevent.sleep(HUB_WATCH_S)
            self.hub_lags_s.append(max(0.0, time.monotonic() - due_s))
