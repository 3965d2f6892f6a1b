"""Which stretch of a run a term is about, and which of its requests."""

from dataclasses import dataclass

from chaos.assertions.term import Only, Term
from chaos.measuring.columns import Ints
from chaos.measuring.measurements import Measurements
from chaos.measuring.timeline import Phase


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """The requests that a claim rests on."""

    phase: Phase
    places: Ints
    """Of the run's rows, in the order of the instants where they count."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self.places)


def phase_of(term: Term, measurements: Measurements) -> Phase | None:
    """The phase, or the stretch relative to a fault; None where the run has no such."""
    if term.stretch is None:
        found = measurements.phase(term.arguments[-1])
    else:
        stretch = term.stretch
        ends = stretch.origin == "after_end"
        found = measurements.after(term.arguments[-1], stretch.from_s, stretch.to_s, ends=ends)
    return None if found is None else found.phase


def missing(term: Term) -> str:
    """Why there is no such stretch, in a clause."""
    what = (
        f"no {term.arguments[-1]} phase"
        if term.stretch is None
        else "no fault with such an instant to count from"
    )
    return f"the run has {what}"


def requests_of(term: Term, measurements: Measurements) -> Requests | None:
    """What a term counts; None where the run has no such stretch."""
    phase = phase_of(term, measurements)
    if phase is None:
        return None
    return Requests(phase, _narrowed(measurements.evidence.within(phase), term.only, measurements))


def _narrowed(places: Ints, only: Only, measurements: Measurements) -> Ints:
    """Those of the part of the traffic that a claim names: the plan says of each arrival what it belongs to."""
    if not only.words:
        return places
    parts = measurements.timeline.parts
    return places[parts.flags(measurements.evidence.rows.index[places], only.profile, only.tenant)]
