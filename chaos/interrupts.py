"""Ctrl-C, SIGTERM and SIGHUP end a run in order: the first stops it, later ones shorten the clean-up."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_LOOK_EVERY_S = 0.05
_hurrying = threading.Event()

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
            _hurrying.set()
            print(f"{name}: hurrying: what would end in order is killed, and all is undone", file=sys.stderr)
            return
        if not asked and ends():
            asked = True
            return
        seen = True
        raise Interrupted(name)

    _hurrying.clear()
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hurrying() -> bool:
    """Whether somebody asked a second time: nothing is waited for any more that can be killed, proved or not."""
    return _hurrying.is_set()


def wait_in_order(child: subprocess.Popen[bytes], within_s: float) -> bool:
    """Give a child time to end by itself, less where somebody is in a hurry; whether it has ended."""
    deadline_s = time.monotonic() + within_s
    while child.poll() is None:
        if hurrying() or time.monotonic() > deadline_s:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
