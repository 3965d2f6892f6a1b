"""One immutable timeline of a run: rows, events and faults on the run clock, and what can be read off it.

Whatever decides a verdict is a pure function of a `Timeline`. t = 0 is the first instant of the arrival plan.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from chaos.events import Event
from chaos.measuring.columns import Columns
from chaos.measuring.parts import WHOLE, Parts

_LEAVES_SERVICE = frozenset({"replica_unready", "replica_killed", "replica_gone", "replica_restarted"})
OCCURRENCE = "fault:"
"""With an id behind it: the name of the window of one occurrence."""
_COMES_INTO_BEING = frozenset({"replica_created", "replica_restarted"})


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """One injected fault and the time it was in force."""

    name: str
    kind: str
    fidelity: str
    """exact, modelled or approximate: how close the target came to what the manifest asks for."""
    started_s: float
    """Not later than the first effect: a failure that the fault caused must not lie before it."""
    ended_s: float | None
    """None for a one-shot fault: its disturbance lasts as long as the missing capacity."""
    targets: tuple[str, ...]
    candidates: int
    """How many replicas the selector matched."""
    verified: bool
    """Whether independent evidence shows that every target was hit."""
    evidence: tuple[str, ...] = ()
    """One sentence per target: what was looked at and what was seen."""
    plane: str = "process"
    """What it touches: process, network, host, application or telemetry."""
    done: str = "were hit"
    """What became of the targets, after `3 of 10 replicas`."""
    fidelity_reason: str = ""
    id: str = field(kw_only=True)
    """Of this occurrence: `delay-30#2`."""
    lasts: bool = False
    """Whether it is in force until it is undone."""
    undone: bool | None = None
    """Whether independent evidence shows that it is over; None where nothing was to be undone."""
    condition: str | None = None
    """What it waited for, with the value that this had; None where it had its instant."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A half-open stretch [start_s, end_s) of the run; a request belongs to it by its instant (`evidence.py`)."""

    name: str
    """baseline, fault, fault:<id of an occurrence>, recovery, observation, or all."""
    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s

    @property
    def of_occurrence(self) -> str | None:
        """The occurrence of a fault that it is the window of; None for the phases of the run."""
        return self.name.removeprefix(OCCURRENCE) if self.name.startswith(OCCURRENCE) else None

    @classmethod
    def occurrence(cls, fault: FaultWindow, end_s: float) -> Self:
        """The window of one occurrence."""
        return cls(OCCURRENCE + fault.id, fault.started_s, end_s)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that was recorded of one run, sorted, on the run clock."""

    rows: Columns
    events: tuple[Event, ...]
    planned: int
    """Arrivals in the plan, whether or not each has a row."""
    warmup_s: float
    """Where the warm-up ends and the baseline begins."""
    plan_end_s: float
    wanted_replicas: int
    faults: tuple[FaultWindow, ...] = ()
    observes: bool = False
    """Whether nothing was to be injected: then that nothing was is no lack."""
    stalls: tuple[tuple[float, float], ...] = ()
    """When the load generator itself stood still, and for how long."""
    parts: Parts = WHOLE
    """Which profile and which tenant each arrival is of."""
    complete: bool = True
    """Whether the run came to its end; else `rows` are those that the server had answered by then."""

    def __post_init__(self) -> None:
        # Sorted here, once, so that no function over a timeline has to ask.
        object.__setattr__(self, "events", tuple(sorted(self.events, key=lambda event: event.at_s)))

    @property
    def fault_start_s(self) -> float | None:
        """When the first fault started; None when nothing was injected."""
        return min((fault.started_s for fault in self.faults), default=None)


@dataclass(frozen=True, slots=True)
class ReadyStep:
    """From `at_s` on, until the next step, exactly these replicas are ready."""

    at_s: float
    replicas: frozenset[str]


def align(events: Iterable[Event], run_start_monotonic_s: float) -> tuple[Event, ...]:
    """Events of the host's monotonic clock on the run clock, whose zero was `run_start_monotonic_s`."""
    return tuple(replace(event, at_s=event.at_s - run_start_monotonic_s) for event in events)


def ready_steps(timeline: Timeline) -> tuple[ReadyStep, ...]:
    """Which replicas were ready when; empty when no event speaks of readiness."""
    ready: set[str] = set()
    steps: list[ReadyStep] = []
    for event in timeline.events:
        if event.replica is None:
            continue
        if event.kind == "replica_ready":
            ready.add(event.replica)
        elif event.kind in _LEAVES_SERVICE:
            ready.discard(event.replica)
        else:
            continue
        if steps and steps[-1].at_s == event.at_s:
            steps.pop()
        steps.append(ReadyStep(event.at_s, frozenset(ready)))
    return tuple(steps)


def ready_at(steps: Sequence[ReadyStep], at_s: float) -> frozenset[str]:
    """The replicas ready at an instant."""
    passed = bisect_right(steps, at_s, key=lambda step: step.at_s)
    return steps[passed - 1].replicas if passed else frozenset()


def fewest_ready(steps: Sequence[ReadyStep], start_s: float, end_s: float) -> int:
    """The lowest number of ready replicas at any instant of [start_s, end_s)."""
    inside = (len(step.replicas) for step in steps if start_s < step.at_s < end_s)
    return min((len(ready_at(steps, start_s)), *inside))


def created_between(timeline: Timeline, start_s: float, end_s: float) -> dict[str, float]:
    """Names of the replicas that came into being in [start_s, end_s], and when the latest incarnation did."""
    return {
        event.replica: event.at_s
        for event in timeline.events
        if start_s <= event.at_s <= end_s and event.kind in _COMES_INTO_BEING and event.replica is not None
    }
