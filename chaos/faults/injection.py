"""From a step of the timetable to its effect and back: what is about to be done is on disk before it is done.

Undoing is registered before doing, runs on every path, and is looked at as the doing was. Looking goes on beside the
run: no fault ends late because it, or another one, takes its time to be proved.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from types import TracebackType
from typing import Self

from chaos.errors import AftershockError, CleanupError, RefusedError
from chaos.events import Event, EventKind
from chaos.faults import blast_radius, selection
from chaos.faults.blast_radius import BlastRadius
from chaos.faults.fault import Fault
from chaos.faults.looking import IN_FORCE, OVER, Look
from chaos.faults.timetable import Step
from chaos.record.details import FaultDetail, FaultEnded
from chaos.run_folder import RunFolder
from chaos.targets import SERVICE, Replica, Target
from chaos.targets.effects import shows_within_s

_PROOF_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of an experiment, and how far it may reach."""

    fault: Fault
    radius: BlastRadius
    control: bool = False
    """Aimed at its victims and injected into nobody: its verification must fail."""


@dataclass(slots=True)
class Injector:
    """Carries out the steps of a run on its target; leaving it undoes whatever is still in force."""

    target: Target
    faults: Sequence[PlannedFault]
    seed: int
    folder: RunFolder
    on_began: Callable[[Event], None] = lambda _: None
    on_ended: Callable[[Event], None] = lambda _: None
    events: list[Event] = field(default_factory=list)
    in_force: dict[str, tuple[Replica, ...]] = field(default_factory=dict)
    """Victims by occurrence; of a fault that is over at once until the run ends."""
    hit: tuple[str, ...] = ()
    """Names of everyone who was hit so far."""
    _proofs: dict[str, Look] = field(default_factory=dict)
    """Looks whether occurrences are in force that nobody has told yet."""
    _ends: dict[str, Look] = field(default_factory=dict)
    """And whether they are over."""
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo everything, in the reverse order of doing; raises CleanupError when that cannot be proved."""
        try:
            # They were to be in force until now; in a run that fails they are not kept for a proof.
            if error is None:
                self._note(self._proofs)
        finally:
            try:
                self._undo.close()
            finally:
                proofs = {
                    occurrence: look if occurrence in self.in_force else look.given_up()
                    for occurrence, look in self._proofs.items()
                }
                self._note(proofs, self._ends)

    def apply(self, step: Step) -> None:
        """Do what the timetable says.

        Raises:
            RefusedError: a guard objects; this fault was not injected.
            CleanupError: it was to be undone, and is not.
        """
        planned = self.faults[step.fault]
        if step.action == "inject":
            self.inject(planned, step.occurrence, step.draw)
        else:
            self.recover(planned.fault, step.occurrence)

    def inject(self, planned: PlannedFault, occurrence: str, number: int = 0) -> None:
        """Draw the victims, write them down, hit them, and look whether they were hit."""
        self._note(self._ends)  # what is injected now must not be taken for one that is not over
        fault = planned.fault
        victims, candidates_count = self._drawn(planned, number)
        names = [victim.name for victim in victims] if fault.kind.selects else [SERVICE]
        fidelity = self.target.fidelity(fault)
        detail = FaultDetail(
            id=occurrence,
            name=fault.name,
            kind=fault.kind.label,
            plane=fault.kind.plane,
            lasts=fault.kind.lasts,
            done=fault.kind.done,
            fidelity=fidelity.level,
            fidelity_reason=fidelity.reason,
            candidates=candidates_count,
            targets=tuple(names),
            uids=tuple(victim.uid for victim in victims),
            control=planned.control,
        ).model_dump(mode="json")
        self.events.append(Event(time.monotonic(), EventKind.FAULT_INTENDED, detail=detail))
        self.folder.intend("inject", **detail)
        self.target.aim(occurrence, fault.effects, victims, fault.manifest)
        self._undo.callback(self.recover, fault, occurrence)
        self.in_force[occurrence] = victims
        if planned.control and not fault.kind.selects:
            at_s = time.monotonic()  # nobody to inject it into
        else:
            at_s = self.target.inject(occurrence, () if planned.control else victims)
        injected = Event(at_s, EventKind.FAULT_INJECTED, detail=detail)
        self.events.append(injected)
        self.hit += tuple(names)
        self.on_began(injected)
        see, within_s = partial(self.target.verify, occurrence), _proof_within_s(fault, victims)
        self._proofs[occurrence] = Look.begin(occurrence, names, IN_FORCE, see, within_s)

    def _drawn(self, planned: PlannedFault, number: int) -> tuple[tuple[Replica, ...], int]:
        """The victims, of how many candidates; none, of the one service, where the fault hits it as a whole."""
        chosen = planned.fault.selection
        if chosen is None:
            return (), 1
        found = candidates(self.target, planned)
        draw = selection.draw(found, chosen.mode, chosen.value, victims_rng(self.seed, number))
        return blast_radius.targets(draw), draw.candidates_count

    def recover(self, fault: Fault, occurrence: str) -> None:
        """Undo a fault, whether it is proved by now or not; nothing a second time, nor for one that is over at once."""
        if occurrence in self.in_force and fault.kind.lasts:
            self._undo_now(occurrence)

    def note_what_was_seen(self) -> None:
        """Of faults in force, and of those that are over; waits for nobody who still looks.

        Raises:
            CleanupError: a fault that was undone is still to be seen.
            AftershockError: what kept a witness from looking.
        """
        for looks in (self._proofs, self._ends):
            self._note({occurrence: look for occurrence, look in looks.items() if look.over})

    def _undo_now(self, occurrence: str) -> None:
        with suppress(OSError):  # a full disk must not keep a fault in force
            self.folder.intend("recover", id=occurrence)
        self.target.recover(occurrence)
        ended = Event(time.monotonic(), EventKind.FAULT_ENDED, detail=FaultEnded(id=occurrence).model_dump())
        names = [victim.name for victim in self.in_force.pop(occurrence)] or [SERVICE]
        self.events.append(ended)
        self.on_ended(ended)
        self._ends[occurrence] = Look.begin(
            occurrence, names, OVER, partial(self.target.verify_recovered, occurrence), _PROOF_WITHIN_S
        )

    def _note(self, *looks: Mapping[str, Look]) -> None:
        """What these came to, once they are over, each once; the loudest of what is wrong with them is raised."""
        wrong: list[AftershockError] = []
        for look in [each for some in looks for each in some.values()]:
            mine = self._proofs if look.kinds is IN_FORCE else self._ends
            del mine[look.occurrence]
            try:
                self.events += look.events()
                if mine is self._ends:
                    _require_over(look)
            except AftershockError as error:
                wrong.append(error)
        if wrong:
            raise min(wrong, key=lambda error: not isinstance(error, CleanupError))


def _require_over(look: Look) -> None:
    """Make sure that what was undone is not to be seen any more; CleanupError otherwise."""
    still = [f"{each.replica}: {each.how}" for each in look.evidence() if not each.verified]
    if still:
        raise CleanupError(f"{look.occurrence} was undone, and is still to be seen: {'; '.join(still)}")


def require_possible(target: Target, planned: PlannedFault) -> None:
    """Make sure, before anything is loaded, that a fault could be injected as things are now.

    Raises:
        RefusedError: it hits nobody, somebody protected, too many, or this target on this machine cannot.
    """
    fidelity = target.fidelity(planned.fault)
    if fidelity.level == "unsupported":
        raise RefusedError(f"{planned.fault.kind.label} cannot be injected here: {fidelity.reason}")
    if planned.fault.selection is not None:
        candidates(target, planned)


def candidates(target: Target, planned: PlannedFault) -> list[Replica]:
    """Whom a fault could hit now.

    Raises:
        RefusedError: nobody, somebody protected, or more than the blast radius allows.
    """
    chosen = planned.fault.selection
    assert chosen is not None
    found = selection.candidates(chosen.selector, target.replicas(), target.nodes())
    blast_radius.check(planned.fault, found, planned.radius, target.nodes(), target.wanted_replicas)
    return found


def victims_rng(seed: int, number: int) -> Random:
    """What the victims of a run's draw number `number` are drawn with: the same candidates give the same victims."""
    return Random(f"victims {seed}" if number == 0 else f"victims {seed} {number}")  # noqa: S311 - repeatable


def _proof_within_s(fault: Fault, victims: Sequence[Replica]) -> float:
    """How long it is looked for the proof: for as long as the last effect on the last victim may need to show.

    Nobody begins to look for one that lasts when it is to be over.
    """
    grace_s = max((victim.grace_s for victim in victims), default=0.0)
    shows_s = (shows_within_s(effect, len(victims), grace_s) for effect in fault.effects)
    within_s = max(shows_s, default=0.0) + _PROOF_WITHIN_S
    lasts_s = fault.duration_s if fault.kind.lasts else None
    return within_s if lasts_s is None else min(within_s, lasts_s)
