"""What a watcher of a load of several rates sees: which level it is, and what came of those before."""

from dataclasses import dataclass
from typing import Unpack

from chaos.display.progress import Facts, Progress
from chaos.measuring.performance import Performance
from chaos.report import few
from chaos.report.words import plain, seconds, share

_OF_THE_LOAD = ("capacity", "warm-up", "observe")
"""Phases of a run that a level shows; those before and after take a moment."""


@dataclass(slots=True)
class LevelProgress:
    """The display of one level: that of a run, with the level named, and without the phases that repeat."""

    name: str
    about: str
    shown: Progress

    def phase(self, name: str, detail: str = "") -> None:
        """A phase begins; told where it takes its time."""
        if name in _OF_THE_LOAD:
            what = {"observe": ""}.get(name, f", {name}")
            self.shown.phase(self.name, f"{self.about}{what}{': ' if detail else ''}{detail}")

    def update(self, **facts: Unpack[Facts]) -> None:
        """Something changed within it."""
        self.shown.update(**facts)

    def note(self, text: str) -> None:
        """Something to know beside the phases."""
        self.shown.note(text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.shown.close()

    def over(self, level: Performance) -> None:
        """What came of it, in a line that stays."""
        ttft = few.p99(level.ttft.p99_s, level.planned)
        self.shown.note(
            f"{plain(level.rate_per_s)}/s: goodput {share(level.goodput)}, TTFT p99 {ttft}, "
            f"TPOT p50 {seconds(level.tpot.p50_s)}, {plain(level.output_tokens_per_s)} tokens/s"
        )
