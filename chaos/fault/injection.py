"""One fault, from selection to proof: what is about to be done is on disk before it is done."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random

from chaos.events import Event
from chaos.fault import blast_radius, selector
from chaos.reading.chaos_mesh import PodKill
from chaos.run_folder import RunFolder
from chaos.targets import Evidence, Replica, Target

FIDELITY = "exact"
"""A local replica is killed by the same signal that a container runtime sends."""
_PROOF_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Injected:
    """What was done and what proves it."""

    victims: tuple[Replica, ...]
    events: tuple[Event, ...]


def candidates(target: Target, kill: PodKill, radius: blast_radius.BlastRadius) -> list[Replica]:
    """Whom the fault could hit now.

    Raises:
        RefusedError: nobody, somebody protected, or more than the blast radius allows.
    """
    found = selector.candidates(kill.selector, target.replicas(), target.nodes())
    blast_radius.check(kill, found, radius)
    return found


def inject(
    target: Target,
    kill: PodKill,
    radius: blast_radius.BlastRadius,
    seed: int,
    folder: RunFolder,
    on_injected: Callable[[Event], None] = lambda _: None,
) -> Injected:
    """Draw the victims, write them down, kill them, tell `on_injected`, and look whether they are gone.

    Raises:
        RefusedError: a guard objects; nothing was injected.
    """
    found = candidates(target, kill, radius)
    draw = selector.draw(found, kill.mode, kill.value, victims_rng(seed))
    victims = blast_radius.targets(draw)
    fault = {
        "name": kill.name,
        "kind": "PodChaos/pod-kill",
        "fidelity": FIDELITY,
        "candidates": draw.candidates_count,
        "targets": [victim.name for victim in victims],
        "uids": [victim.uid for victim in victims],
    }
    intended = Event(time.monotonic(), "fault_intended", detail=fault)
    folder.intend("pod-kill", **fault)
    injections = target.inject(kill, victims)
    injected = Event(min(each.at_s for each in injections), "fault_injected", detail=fault)
    on_injected(injected)
    evidence = target.verify(injections, kill.grace_period_s + _PROOF_WITHIN_S)
    return Injected(victims, (intended, injected, *_looked(kill.name, evidence)))


def _looked(fault: str, evidence: Iterable[Evidence]) -> Iterator[Event]:
    looked_s = time.monotonic()
    for each in evidence:
        kind = "fault_verified" if each.verified else "fault_unverified"
        yield Event(looked_s, kind, each.replica, {"fault": fault, "how": each.how})


def victims_rng(seed: int) -> Random:
    """What victims are drawn with: the same seed and the same candidates give the same victims."""
    return Random(f"victims {seed}")  # noqa: S311 - repeatable on purpose
