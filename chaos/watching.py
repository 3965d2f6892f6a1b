"""Whether conditions of faults hold and guards trip, as a run goes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaos.collecting.figures import Figures
from chaos.collecting.promql import PromqlPoller
from chaos.errors import AbortedError
from chaos.experiment.watched import Condition, Guard, Watched
from chaos.faults.timetable import Step

Read = Callable[[Watched, float], tuple[float | None, str]]
"""The value of a figure at an instant of the run clock, and why there is none where that is so."""


@dataclass(slots=True)
class Standing:
    """How one figure stands: pure, time comes in."""

    watched: Watched
    since_s: float | None = None
    """It has held from here on without a break."""
    unknown_since_s: float | None = None
    value: float | None = None
    """The latest that was known."""
    why: str = ""
    """Why it is not known now."""

    def take(self, now_s: float, value: float | None, why: str = "") -> None:
        """Take in what it is at this instant; None where that is not known."""
        self.why = why
        if value is None:
            self.since_s = None
            self.unknown_since_s = now_s if self.unknown_since_s is None else self.unknown_since_s
            return
        self.value, self.unknown_since_s = value, None
        if not self.watched.exceeds(value):
            self.since_s = None
        elif self.since_s is None:
            self.since_s = now_s

    def holds(self, now_s: float) -> bool:
        """Whether it has held for as long as it must."""
        return self.since_s is not None and now_s - self.since_s >= self.watched.for_s

    def unknown_for_s(self, now_s: float) -> float:
        """For how long nothing is known of it."""
        return 0.0 if self.unknown_since_s is None else now_s - self.unknown_since_s


class Watching:
    """All conditions and guards of one run."""

    def __init__(self, conditions: Mapping[int, Condition], guards: Sequence[Guard], read: Read) -> None:
        """Prepare.

        Args:
            conditions: by the number of their fault in the experiment.
            guards: what ends the run early.
            read: how to come by a figure.
        """
        self._conditions = conditions
        self._read = read
        self._waiting: dict[str, Standing] = {}
        self._guards = [Standing(guard) for guard in guards]

    def met(self, open_: Sequence[Step], now_s: float) -> Sequence[Step]:
        """Those of the steps whose condition holds now; each is looked at from its first look on."""
        met = []
        for step in open_:
            if step.occurrence not in self._waiting:
                self._waiting[step.occurrence] = Standing(self._conditions[step.fault])
            standing = self._waiting[step.occurrence]
            standing.take(now_s, *self._read(standing.watched, now_s))
            if standing.holds(now_s):
                met.append(step)
        return met

    def standing(self, step: Step) -> Standing:
        """How the condition of a step stands."""
        return self._waiting.get(step.occurrence) or Standing(
            self._conditions[step.fault], why="it was never looked at"
        )

    def require_safe(self, now_s: float) -> None:
        """Look at every guard.

        Raises:
            AbortedError: one has tripped, or nothing is known of it for too long.
        """
        for standing in self._guards:
            guard = standing.watched
            assert isinstance(guard, Guard)
            standing.take(now_s, *self._read(guard, now_s))
            if standing.holds(now_s):
                raise AbortedError(
                    f"a guard ended the run: {guard}, and it was {standing.value:g} at {now_s:.1f} s"
                )
            unknown_s = standing.unknown_for_s(now_s)
            if unknown_s >= guard.unknown_for_s:
                raise AbortedError(
                    f"a guard ended the run: nothing was known of {guard} for {unknown_s:.1f} s ({standing.why})"
                )


def figure(
    figures: Figures, poller: PromqlPoller, watched: Watched, now_s: float
) -> tuple[float | None, str]:
    """A figure of the load, or of the target's Prometheus, as a `Read` tells it."""
    if watched.of is not None:
        value = figures.value(watched.of, watched.over_s, now_s)
        return value, "" if value is not None else "no request has ended"
    values, why = poller.values(watched.promql or "")
    return (watched.nearest([*values]), "") if values else (None, why)
