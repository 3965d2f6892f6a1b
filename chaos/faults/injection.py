"""From a step of the timetable to its effect and back: what is about to be done is on disk before it is done.

Undoing is registered before doing, runs on every path, and is looked at as the doing was. Looking goes on beside the
run, so that a step is never late because an earlier fault takes its time to be proved.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

from chaos.errors import CleanupError, RefusedError
from chaos.events import Event, EventKind
from chaos.faults import blast_radius, selection
from chaos.faults.blast_radius import BlastRadius
from chaos.faults.fault import Fault
from chaos.faults.timetable import Step
from chaos.record.details import FaultDetail, FaultEnded, Looked
from chaos.run_folder import RunFolder
from chaos.targets import SERVICE, Evidence, Replica, Target
from chaos.targets.effects import shows_within_s

_PROOF_WITHIN_S = 5.0
_IN_FORCE = {True: EventKind.FAULT_VERIFIED, False: EventKind.FAULT_UNVERIFIED}
_OVER = {True: EventKind.END_VERIFIED, False: EventKind.END_UNVERIFIED}


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
    _proofs: dict[str, Future[Sequence[Event]]] = field(default_factory=dict)
    _looking: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(thread_name_prefix="proof")
    )
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo everything, in the reverse order of doing; raises CleanupError when that cannot be proved."""
        try:
            for occurrence in [*self._proofs]:
                self._proved(occurrence)
        finally:
            self._undo.close()
            self._looking.shutdown()

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
        within_s = _proof_within_s(fault, victims)
        self._proofs[occurrence] = self._looking.submit(self._look, occurrence, within_s)

    def _drawn(self, planned: PlannedFault, number: int) -> tuple[tuple[Replica, ...], int]:
        """The victims, of how many candidates; none, of the one service, where the fault hits it as a whole."""
        chosen = planned.fault.selection
        if chosen is None:
            return (), 1
        found = candidates(self.target, planned)
        draw = selection.draw(found, chosen.mode, chosen.value, victims_rng(self.seed, number))
        return blast_radius.targets(draw), draw.candidates_count

    def _look(self, occurrence: str, within_s: float) -> Sequence[Event]:
        """What is seen of a fault in force, stamped when it was seen."""
        return [*_looked(_IN_FORCE, occurrence, self.target.verify(occurrence, within_s))]

    def _proved(self, occurrence: str) -> None:
        """Wait until it was looked whether the fault is in force, and note what was seen."""
        proof = self._proofs.pop(occurrence, None)
        if proof is not None:
            self.events += proof.result()

    def recover(self, fault: Fault, occurrence: str) -> None:
        """Undo a fault and look whether it is gone; nothing a second time, nor for one that is over at once."""
        if occurrence not in self.in_force or not fault.kind.lasts:
            return
        try:
            self._proved(occurrence)  # looked at while it is in force, or not at all
        finally:
            self._undo_now(occurrence)

    def _undo_now(self, occurrence: str) -> None:
        with suppress(OSError):  # a full disk must not keep a fault in force
            self.folder.intend("recover", id=occurrence)
        self.target.recover(occurrence)
        ended = Event(time.monotonic(), EventKind.FAULT_ENDED, detail=FaultEnded(id=occurrence).model_dump())
        del self.in_force[occurrence]
        self.events.append(ended)
        self.on_ended(ended)
        evidence = self.target.verify_recovered(occurrence, _PROOF_WITHIN_S)
        self.events += _looked(_OVER, occurrence, evidence)
        still = [each for each in evidence if not each.verified]
        if still:
            raise CleanupError(
                f"{occurrence} was undone, and is still to be seen: "
                + "; ".join(f"{each.replica}: {each.how}" for each in still)
            )


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

    A fault that lasts is undone once it was looked at. Nobody looks for longer than it is to last, or the looking would
    prolong it.
    """
    grace_s = max((victim.grace_s for victim in victims), default=0.0)
    shows_s = (shows_within_s(effect, len(victims), grace_s) for effect in fault.effects)
    within_s = max(shows_s, default=0.0) + _PROOF_WITHIN_S
    lasts_s = fault.duration_s if fault.kind.lasts else None
    return within_s if lasts_s is None else min(within_s, lasts_s)


def _looked(
    kinds: Mapping[bool, EventKind], occurrence: str, evidence: Sequence[Evidence]
) -> Iterator[Event]:
    looked_s = time.monotonic()
    for each in evidence:
        detail = Looked(id=occurrence, how=each.how).model_dump()
        yield Event(looked_s, kinds[each.verified], each.replica, detail)
