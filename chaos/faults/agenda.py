"""What is still to be done of a timetable: what has its instant, and what waits for a condition to hold.

Pure: time comes in as seconds on the run clock.
"""

from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from chaos.faults.timetable import Step


class Agenda:
    """The steps of one run that were not carried out yet."""

    def __init__(self, steps: Iterable[Step]) -> None:
        """Take a timetable's steps in."""
        every = [*steps]
        self._waiting = [step for step in every if step.until_s is not None]
        waits = {step.occurrence for step in self._waiting}
        self._ends = {
            step.occurrence: step for step in every if step.occurrence in waits and step.until_s is None
        }
        self._fixed = [step for step in every if step.occurrence not in waits]
        self._done: set[tuple[str, str]] = set()

    @property
    def next_s(self) -> float | None:
        """When something happens in any case: a step is due, or one that waits is given up; None when all is done."""
        fixed = [self._fixed[0].at_s] if self._fixed else []
        return min([*fixed, *(step.until_s or 0.0 for step in self._waiting)], default=None)

    def open(self, now_s: float) -> Sequence[Step]:
        """The steps that are carried out as soon as their condition holds."""
        return [step for step in self._waiting if step.at_s <= now_s]

    def begin(self, step: Step, now_s: float) -> None:
        """The condition of a step holds: it is carried out now, and its end follows from that."""
        self._waiting.remove(step)
        end = self._ends.pop(step.occurrence, None)
        if end is not None:
            at_s = end.at_s if end.after_s is None else min(end.at_s, now_s + end.after_s)
            insort(self._fixed, replace(end, at_s=at_s), key=lambda each: each.at_s)

    def due(self, now_s: float) -> Step | None:
        """The next step whose instant has come; it is taken off."""
        if not self._fixed or self._fixed[0].at_s > now_s:
            return None
        step = self._fixed.pop(0)
        self._done.add((step.occurrence, step.action))
        return step

    def lay_out_anew(self, occurrences: Collection[str], steps: Iterable[Step]) -> None:
        """What is left of these occurrences is at other times now, or never; what has begun ends in any case."""
        anew = {
            (step.occurrence, step.action): step
            for step in steps
            if step.occurrence in occurrences and (step.occurrence, step.action) not in self._done
        }
        for old in self._fixed:
            if old.occurrence not in occurrences or (old.occurrence, "inject") in self._done:
                anew.setdefault((old.occurrence, old.action), old)
        self._fixed = sorted(anew.values(), key=lambda step: (step.at_s, step.action == "inject"))

    def give_up(self, now_s: float) -> Sequence[Step]:
        """Steps whose condition has not held in time; they are taken off, and what never began never ends."""
        late = [step for step in self._waiting if (step.until_s or 0.0) <= now_s]
        for step in late:
            self._waiting.remove(step)
        return late
