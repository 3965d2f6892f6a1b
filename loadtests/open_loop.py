"""The open loop: every request leaves at its planned instant, whatever the server does.

One greenlet walks the plan by absolute deadlines and never looks at answers; a late start does not move the
arrivals after it. Each request lives in a greenlet of its own. Only one thing keeps a planned request from
leaving: as many as `max_in_flight` are under way already. That arrival is `client_dropped`, in the open, at
its instant.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gevent
from gevent.pool import Pool

from loadtests.recorder import Recorder
from loadtests.records import CLIENT_DROPPED, RequestRecord

HUB_WATCH_S = 0.1
"""How often the watch looks whether greenlets are woken in time."""


@dataclass
class OpenLoop:
    """The arrivals of one process, from the first to the last row."""

    arrivals: Sequence[tuple[int, float]]
    """(index, seconds on the run clock), ascending."""
    start_s: float
    """The instant of the monotonic clock at which the run clock reads 0."""
    send: Callable[[int, float], RequestRecord]
    """Performs one request; returns its row also when the greenlet is killed."""
    recorder: Recorder
    max_in_flight: int
    peak_in_flight: int = 0
    hub_lags_s: list[float] = field(default_factory=list)
    """How late a sleeping greenlet was woken, once per `HUB_WATCH_S`: the generator's own stutter."""

    def run(self, duration_s: float, drain_s: float) -> None:
        """Offer the whole plan, then wait up to `drain_s` for what is under way; the rest is `censored`.

        Being killed itself ends the run the same way, at once.
        """
        pool = Pool(self.max_in_flight)
        watch = gevent.spawn(self._watch_hub)
        try:
            for index, intended_s in self.arrivals:
                _sleep_until(self.start_s + intended_s)
                if pool.full():
                    self.recorder.append(RequestRecord(index, intended_s, CLIENT_DROPPED))
                    continue
                pool.spawn(self._one, index, intended_s)
                self.peak_in_flight = max(self.peak_in_flight, len(pool))
            _sleep_until(self.start_s + duration_s)
            pool.join(timeout=drain_s)
        finally:
            pool.kill()
            watch.kill()

    def _one(self, index: int, intended_s: float) -> None:
        self.recorder.append(self.send(index, intended_s))

    def _watch_hub(self) -> None:
        while True:
            due_s = time.monotonic() + HUB_WATCH_S
            gevent.sleep(HUB_WATCH_S)
            self.hub_lags_s.append(max(0.0, time.monotonic() - due_s))


def _sleep_until(instant_s: float) -> None:
    """Return at that instant or just after it; give way to other greenlets even when it is past."""
    gevent.sleep(max(0.0, instant_s - time.monotonic()))
    while (early_s := instant_s - time.monotonic()) > 0:  # the loop's timer may fire a moment too soon
        gevent.sleep(early_s)
