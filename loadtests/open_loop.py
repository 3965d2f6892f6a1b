"""The open loop: every request leaves at its planned instant, whatever the server does.

One timer walks the plan by absolute deadlines and never looks at answers; a late start does not move the arrivals
after it. Each request lives in a greenlet, which the timer's callback starts: ahead of all answers that wait to be
read. Only one thing keeps a planned request from leaving: as many as `max_in_flight` are under way already. That
arrival is `client_dropped`, in the open, at its instant.

A plan may hold one exception: turns of a session leave after the turn before has ended (`loadtests.turns`).
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import gevent
from gevent.event import Event
from greenlet import greenlet

from loadtests.plan import Arrival
from loadtests.recorder import Recorder
from loadtests.rows import CLIENT_DROPPED, Row
from loadtests.stalls import StallWatch
from loadtests.turns import Turns


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
    peak_in_flight: int = 0
    watch: StallWatch = field(init=False)
    """Of the generator's own stutter."""
    _closed: Event = field(default_factory=Event)
    """Nothing more is offered: the plan is over, or `close` was called."""
    _due: list[tuple[float, int, Arrival]] = field(default_factory=list)
    """A heap of (instant, index, arrival): what is still to be sent."""
    _turns: Turns = field(default_factory=lambda: Turns((), 0.0))
    _timer: Any = None
    _busy: set[greenlet] = field(default_factory=set)
    _idle: list[greenlet] = field(default_factory=list)
    """A greenlet costs a mapping of memory that is made and undone: those that are through take another request."""
    _all_idle: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.watch = StallWatch(self.start_s)
        self._all_idle.set()

    def run(self, duration_s: float, drain_s: float) -> None:
        """Offer the whole plan, then wait up to `drain_s` for what is under way; the rest is `censored`.

        Being killed itself ends the run the same way, at once.
        """
        self._hub = gevent.get_hub()
        with self.watch:
            try:
                self._turns = Turns(self.arrivals, duration_s)
                self._due = [(each.at_s, each.index, each) for each in self._turns.planned]
                self._arm()
                self._closed.wait(max(0.0, self.start_s + duration_s - time.monotonic()))
                self._all_idle.wait(drain_s)
            finally:
                self._end()

    def close(self) -> None:
        """No more arrivals: the rest of the plan is `censored`, and what is under way may come to its end."""
        self._due.clear()
        self._closed.set()

    def _arm(self) -> None:
        """Set the timer to the next arrival; it rings up to a millisecond late, which is epoll's unit."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if self._due:
            due_s = self.start_s + self._due[0][0]
            self._hub.loop.update_now()  # timers count from the time the loop knows: a stale one would fire early
            self._timer = self._hub.loop.timer(max(0.0, due_s - time.monotonic()))
            self._timer.start(self._start_due)

    def _start_due(self) -> None:
        """In the loop's own greenlet: start every request whose instant has come."""
        while self._due and self.start_s + self._due[0][0] <= time.monotonic():
            _, _, arrival = heappop(self._due)
            if len(self._busy) >= self.max_in_flight:
                self._record(_dropped, arrival)
                continue
            worker = self._idle.pop() if self._idle else greenlet(self._work, self._hub)
            self._busy.add(worker)
            self._all_idle.clear()
            self.peak_in_flight = max(self.peak_in_flight, len(self._busy))
            worker.switch(arrival)
        self._arm()

    def _work(self, arrival: Arrival) -> None:
        me = gevent.getcurrent()
        while True:
            try:
                self._record(self.send, arrival)
            finally:
                self._busy.discard(me)
                if not self._busy:
                    self._all_idle.set()
            self._idle.append(me)
            arrival = self._hub.switch()

    def _record(self, make: Callable[[Arrival], Row], arrival: Arrival) -> None:
        try:
            row = make(arrival)
            self.recorder.append(row)
            self._follow(row)
        except Exception:  # a mistake of ours, or a full disk: the row is missed, and the loop goes on
            self._hub.handle_error(self, *sys.exc_info())

    def _follow(self, row: Row) -> None:
        """A turn that waited for this one is due some time after its end."""
        if self._closed.is_set() or (turn := self._turns.after(row)) is None:
            return
        heappush(self._due, (turn.at_s, turn.index, turn))
        if self._due[0][1] == turn.index:
            self._arm()

    def _end(self) -> None:
        self.close()
        self._arm()
        for worker in self._busy:
            gevent.kill(worker)
        self._all_idle.wait()  # each writes its row
        for worker in self._idle:
            gevent.kill(worker)
        self._idle.clear()
        for row in self._turns.unsent():
            self.recorder.append(row)


def _dropped(arrival: Arrival) -> Row:
    return Row(arrival.index, arrival.at_s, CLIENT_DROPPED)
