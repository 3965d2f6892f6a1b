"""Ctrl-C, SIGTERM and SIGHUP end a run in order: the first stops it, later ones say that it is cleaning up already."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked the run to stop. Not an Exception: nothing but the CLI may swallow it."""

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal_name = signal_name


@contextmanager
def interruptible(ends: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Here a signal raises Interrupted in the main thread, once; later ones cannot break cleanup.

    `ends` is asked at the first signal: where it is true, what goes on ends by itself now, and only a second signal
    interrupts that.
    """
    asked = seen = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal asked, seen
        name = signal.Signals(number).name
        if seen:
            print(f"{name}: already cleaning up, a few seconds more", file=sys.stderr)
            return
        if not asked and ends():
            asked = True
            return
        seen = True
        raise Interrupted(name)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
