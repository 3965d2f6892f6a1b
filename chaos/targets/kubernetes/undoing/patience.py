"""How long is waited for what, and by which clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def _with_sleep() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time that passes, and waiting; a test has one of its own."""

    now_s: Callable[[], float] = _with_sleep
    """Never goes back, and goes on while the machine sleeps: whoever has leased something must notice."""
    sleep: Callable[[float], object] = time.sleep
    """May return early."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long undoing waits before the next resort, in seconds."""

    recovers_s: float = 30.0
    """Chaos Mesh by itself: a daemon or a controller that is away may come back."""
    frees_s: float = 20.0
    """Finalizers patched off, where the API server or a webhook refuses."""
    cleans_s: float = 10.0
    """The daemon, with what was taken out of a pod's PodNetworkChaos."""
    replaces_s: float = 60.0
    """A pod that is deleted: its grace period is its own."""
    call_s: float = 5.0
    """One call."""

    @property
    def whole_s(self) -> float:
        """All of it, if everything goes wrong."""
        return self.recovers_s + self.frees_s + self.cleans_s + self.replaces_s
