"""What a watcher of a series sees: which trial it is, since when the series goes on, and how long it may yet."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

from chaos.display.progress import Facts, Progress


@dataclass(slots=True)
class SeriesProgress:
    """Tells of the trials one after another, each by a display of its own."""

    total: int
    planned_s: float
    """How long a trial lasts by its plan: what the first estimate is made of."""
    display: Callable[[], Progress]
    """A new display, for one trial."""
    clock: Callable[[], float] = time.monotonic
    _began_s: float | None = None
    _over: int = 0

    def trial(self, number: int, about: str) -> "TrialProgress":
        """The display of the trial that begins now."""
        now_s = self.clock()
        self._began_s = now_s if self._began_s is None else self._began_s
        elapsed_s = now_s - self._began_s
        left = f"{'about' if self._over else 'at least'} {clock_text(self._left_s(elapsed_s))} left"
        shown = TrialProgress(f"trial {number} of {self.total}", self.display())
        shown.note(f"trial {number} of {self.total}, {about}: {clock_text(elapsed_s)} elapsed, {left}")
        return shown

    def over(self) -> None:
        """A trial has ended."""
        self._over += 1

    def _left_s(self, elapsed_s: float) -> float:
        each_s = elapsed_s / self._over if self._over else self.planned_s
        return each_s * (self.total - self._over)


@dataclass(slots=True)
class TrialProgress:
    """The display of one trial: that of a run, with the trial named in each phase."""

    name: str
    shown: Progress

    def phase(self, name: str, detail: str = "") -> None:
        """A phase begins."""
        self.shown.phase(name, f"{self.name}{', ' if detail else ''}{detail}")

    def update(self, **facts: Unpack[Facts]) -> None:
        """Something changed within it."""
        self.shown.update(**facts)

    def note(self, text: str) -> None:
        """Something to know beside the phases."""
        self.shown.note(text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.shown.close()


def clock_text(lasts_s: float) -> str:
    """`45 s`, `12 min`, `1 h 20 min`."""
    minutes = round(lasts_s / 60)
    if lasts_s < 90:
        return f"{lasts_s:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
