"""When which fault is injected and undone: one pure plan, made before a run and carried out by it step by step."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault of an experiment, and when it is in force; seconds after the end of the baseline."""

    fault: str
    """Its name."""
    at_s: float
    lasts: bool
    duration_s: float | None = None
    """As its manifest says."""
    until_s: float | None = None
    """As the experiment says."""
    jitter_s: float = 0.0
    """Everything of it is up to so much later, as the seed draws."""
    within_s: float | None = None
    """It waits up to so long for its condition to hold; None where it has none."""
    later_as: int | None = None
    """It is later by the jitter of that entry; None: by its own."""
    after_check: str | None = None
    """All of it is as late as can be: it comes as soon as this StatusCheck is over. None where it waits for none."""
    begins: bool = True
    """False: it never does, for its Workflow was aborted before."""

    @property
    def ends_s(self) -> float | None:
        """When it is undone, at the latest: after its duration or at `until`. None where nothing is to be."""
        if not self.lasts:
            return None
        begins_s = self.at_s + (self.within_s or 0.0)
        ends_s = [] if self.duration_s is None else [begins_s + self.duration_s]
        return min([*ends_s, *([] if self.until_s is None else [self.until_s])], default=None)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    at_s: float
    """On the run clock."""
    action: Literal["inject", "recover"]
    fault: int
    """Which of the experiment's faults, from 0."""
    occurrence: str
    """The id that this occurrence's events, evidence and window carry: `delay-30#2`."""
    draw: int
    """Which draw of victims of this run it is, from 0."""
    until_s: float | None = None
    """It waits for its condition from `at_s` up to here; None where it has none."""
    after_s: float | None = None
    """So long after its injection, and not later than `at_s`; None where `at_s` is all there is to know."""
    after_check: str | None = None
    """It comes as soon as this StatusCheck is over, and not later than `at_s`; None where it waits for none."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """All steps in order; of those of one instant, what ends comes before what begins."""

    seed: int
    steps: tuple[Step, ...]

    @property
    def sha256(self) -> str:
        """Of the steps: two runs with the same one did the same at the same time."""
        return hashlib.sha256(json.dumps([_row(step) for step in self.steps]).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """As JSON."""
        plan = {"seed": self.seed, "sha256": self.sha256, "steps": [_row(step) for step in self.steps]}
        path.write_text(json.dumps(plan, indent=2) + "\n")


def _row(step: Step) -> dict[str, object]:
    return {key: value for key, value in asdict(step).items() if value is not None}


def later_s(seed: int, draw: int, jitter_s: float) -> float:
    """How much later everything of an entry is, as the seed draws.

    An instant that every run shares may sit in the longest gap of the arrival plan, every time.
    """
    return round(jitter_s * Random(f"jitter {seed} {draw}").random(), 3)  # noqa: S311 - repeatable


def timetable(entries: Sequence[Entry], seed: int, baseline_ends_s: float) -> Timetable:
    """The steps of a run.

    Args:
        entries: every fault of the experiment, in its order.
        seed: of the run; what recurs at random draws from it.
        baseline_ends_s: on the run clock.
    """
    count: dict[str, int] = {}
    steps: list[Step] = []
    for index, entry in enumerate(entries):
        count[entry.fault] = count.get(entry.fault, 0) + 1
        if entry.begins:
            jittered_as = index if entry.later_as is None else entry.later_as
            from_s = baseline_ends_s + later_s(seed, jittered_as, entry.jitter_s)
            steps += _steps(entry, index, f"{entry.fault}#{count[entry.fault]}", from_s)
    return Timetable(seed, tuple(sorted(steps, key=lambda step: (step.at_s, step.action == "inject"))))


def _steps(entry: Entry, index: int, occurrence: str, from_s: float) -> Iterator[Step]:
    at_s, waits = from_s + entry.at_s, entry.within_s is not None
    step = partial(Step, fault=index, occurrence=occurrence, draw=index, after_check=entry.after_check)
    yield step(at_s, "inject", until_s=at_s + (entry.within_s or 0.0) if waits else None)
    if entry.ends_s is not None:
        yield step(from_s + entry.ends_s, "recover", after_s=entry.duration_s if waits else None)
