"""What an object of a manifest comes to in time: which faults, from when to when. Pure, in seconds from any origin."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from chaos.faults.doubts import Doubt
from chaos.faults.fault import Fault
from chaos.faults.timetable import Entry
from chaos.reading.documents import Document


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One fault, once."""

    fault: Fault
    at_s: float
    """When its object is created."""
    until_s: float | None = None
    """When its object is deleted; None: not by whatever created it."""
    place: str = ""
    """Where in the tree of a Workflow it is; of two walks through one, the same place is the same fault."""
    after_check: str | None = None
    """Where in that tree the StatusCheck is that must be over for it to begin; None where it waits for none."""

    def entry(self, jitter_s: float = 0.0) -> Entry:
        """As the timetable wants it."""
        fault = self.fault
        return Entry(fault.name, self.at_s, fault.kind.lasts, fault.duration_s, self.until_s, jitter_s)


class Planned(Protocol):
    """An object of a manifest: a fault, or what makes faults in the course of time."""

    @property
    def label(self) -> str:
        """Its kind, with its action where it has several."""

    @property
    def name(self) -> str:
        """Its own."""

    @property
    def document(self) -> Document:
        """What it was read from."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """As written, with every default: what an API server would keep."""

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What of it an API server takes and nobody can have meant."""

    @property
    def runs_nowhere(self) -> str | None:
        """Why no kind of target can run it; None where one can."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What it can inject, each once."""

    def occurrences(self, at_s: float, until_s: float | None) -> Iterator[Occurrence]:
        """What it injects when it is created at one time and deleted at another, or not at all.

        Raises:
            ValueError: that cannot be told, because of the reason in it.
        """

    def over_s(self, at_s: float) -> float | None:
        """When it is over by itself; None where it goes on until it is deleted."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A fault that is created once."""

    fault: Fault

    @property
    def label(self) -> str:
        """Of its kind."""
        return self.fault.kind.label

    @property
    def name(self) -> str:
        """Its own."""
        return self.fault.name

    @property
    def document(self) -> Document:
        """What it was read from."""
        return self.fault.document

    @property
    def spec(self) -> Mapping[str, Any]:
        """As written, with every default."""
        return self.fault.spec

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Of its own."""
        return self.fault.doubts

    @property
    def runs_nowhere(self) -> str | None:
        """Why no kind of target can run it."""
        return self.fault.runs_nowhere

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Itself."""
        return (self.fault,)

    def occurrences(self, at_s: float, until_s: float | None) -> Iterator[Occurrence]:
        """Itself, once."""
        yield Occurrence(self.fault, at_s, until_s)

    def over_s(self, at_s: float) -> float | None:
        """After its duration; at once, where it does not last."""
        if not self.fault.kind.lasts:
            return at_s
        return None if self.fault.duration_s is None else at_s + self.fault.duration_s


def doubts_of_part(part: Planned, *where: str | int) -> Iterator[Doubt]:
    """The doubts about a part of an object, as seen from the object; `where` the part's spec is, beneath its own."""
    for doubt in part.doubts:
        first, *rest = doubt.problem.key_path
        if first == "spec":
            inner = replace(doubt.problem, key_path=tuple(rest))
            yield replace(doubt, problem=inner).beneath("spec", *where)
