"""Asks a source that may hang in a thread of its own, so that a scrape only ever reads its last answer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

T = TypeVar("T")

STALE_PERIODS = 5
"""An answer older than this many periods is not shown any more: the source hangs."""


class PollError(Exception):
    """The last poll failed, or the source hangs: a scrape shows it as `ds_collector_success` 0."""


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    at_s: float
    value: T


@dataclass(frozen=True, slots=True)
class _Failure:
    at_s: float
    error: str
    """Text, not the exception: raising one object at every scrape would grow its traceback for ever."""


class Poller(Generic[T]):
    """Asks `source` at once, then `period_s` seconds after each answer, until closed."""

    def __init__(self, source: Callable[[], T], *, period_s: float) -> None:
        self._source = source
        self._period_s = period_s
        self._last: _Answer[T] | _Failure = _Failure(time.monotonic(), "not answered yet")
        self._closed = threading.Event()
        self._answered = threading.Event()
        # A daemon, because a thread that hangs in a driver cannot be ended.
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._thread.start()

    def latest(self) -> T:
        """The last answer.

        Raises:
            PollError: the last poll failed, or none has ended for `STALE_PERIODS` periods.
        """
        last = self._last
        age_s = time.monotonic() - last.at_s
        if age_s > STALE_PERIODS * self._period_s:
            raise PollError(f"no answer for {age_s:.1f} s")
        if isinstance(last, _Failure):
            raise PollError(last.error)
        return last.value

    def first(self, *, within_s: float) -> bool:
        """Wait for the end of the first poll; False when none has ended within these seconds."""
        return self._answered.wait(within_s)

    def stop(self) -> None:
        """Ask no more; a poll under way goes on to its end."""
        self._closed.set()

    def close(self) -> None:
        """Ask no more. Waits one period for a poll under way, then leaves it behind."""
        self.stop()
        self._thread.join(self._period_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._last = self._ask()
            self._answered.set()
            self._closed.wait(self._period_s)

    def _ask(self) -> "_Answer[T] | _Failure":
        try:
            value = self._source()
        except Exception as error:  # whatever the source raises, it is asked again
            return _Failure(time.monotonic(), repr(error))
        return _Answer(time.monotonic(), value)
