"""When the generator itself stood still: how late its loop woke up, and each time that was long, with what kept it.

An answer that comes while this process stands still is stamped when it goes on, and so is a request that was due. Rows
say it of each request (dispatch minus intended start); this says it of the process, so that a report has the words.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import gevent

LOOK_EVERY_S = 0.02
"""How often the watch is to be woken; a stall's start is known as well as that."""
STALL_S = 0.02
"""So late is a stall: a hundredth of the TTFT bounds that people set."""
_MOST_STALLS = 200

What = Literal["collector", "busy", "stopped"]


@dataclass(frozen=True, slots=True)
class Stall:
    """One time that the loop stood still."""

    start_s: float
    """On the run clock: when it was last seen to go, at most `LOOK_EVERY_S` before it stood."""
    length_s: float
    """From there until it went on."""
    what: What
    """The garbage collector; this process computing; or neither: stopped, swapped out, without a core."""


class StallWatch:
    """Looks from `start` to `stop`; a collection is seen by the collector's own callback."""

    def __init__(self, start_s: float) -> None:
        """`start_s` is the instant of the monotonic clock at which the run clock reads 0."""
        self.lags_s: list[float] = []
        """How late the watch was woken, each time."""
        self.stalls: list[Stall] = []
        """Of more than `_MOST_STALLS` the longest, in order of time."""
        self.count = 0
        self._start_s = start_s
        self._collecting_s = 0.0
        self._collection_began_s = 0.0
        self._watching: Any = None

    def __enter__(self) -> Self:
        gc.callbacks.append(self._on_collection)
        self._watching = gevent.spawn(self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.kill()
        gc.callbacks.remove(self._on_collection)

    def report(self) -> dict[str, Any]:
        """For the summary."""
        rounded = [
            {**asdict(each), "start_s": round(each.start_s, 3), "length_s": round(each.length_s, 3)}
            for each in self.stalls
        ]
        return {"stalls": rounded, "stall_count": self.count}

    def _watch(self) -> None:
        awake_s, used_s = time.monotonic(), time.process_time()
        while True:
            self._collecting_s = 0.0
            gevent.sleep(LOOK_EVERY_S)
            now_s, now_used_s = time.monotonic(), time.process_time()
            late_s = max(0.0, now_s - awake_s - LOOK_EVERY_S)
            self.lags_s.append(late_s)
            if late_s >= STALL_S:
                self._note(awake_s, now_s - awake_s, now_used_s - used_s)
            awake_s, used_s = now_s, now_used_s

    def _note(self, began_s: float, length_s: float, used_s: float) -> None:
        what: What = "stopped"
        if self._collecting_s >= length_s / 2:
            what = "collector"
        elif used_s >= length_s / 2:
            what = "busy"
        self.count += 1
        self.stalls.append(Stall(began_s - self._start_s, length_s, what))
        if len(self.stalls) > _MOST_STALLS:
            self.stalls.remove(min(self.stalls, key=lambda stall: stall.length_s))

    def _on_collection(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collection_began_s = time.monotonic()
        else:
            self._collecting_s += time.monotonic() - self._collection_began_s


@contextmanager
def without_collector() -> Iterator[None]:
    """No garbage collection meanwhile: of Locust's objects one takes 40 ms, and every request would hasten the next.

    Nothing is lost by it: no request leaves a cycle, which a test holds, so that reference counts free everything.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
