"""Whether replicas are hit, as seen from outside: in the process table, in the list of replicas, over the network.

The injector is never asked whether it did what it was told. What replicas were before is noted first, so that there
is something to compare with. Each effect has its own witness, beside its enforcer in `means/`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.interrupts import hurrying
from chaos.targets import Evidence, Replica
from chaos.targets.effects import Effect
from chaos.targets.local.means import means
from chaos.targets.local.means.kinds import MEANS
from chaos.targets.local.means.means import Sight, View

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Aim:
    """One occurrence of a fault: what is to be done to whom, and what they were before."""

    effects: tuple[Effect, ...]
    sights: tuple[tuple[means.Witness[Any], Sight[Any]], ...]
    """One for each effect."""

    def injected(self, uids: Sequence[str]) -> None:
        """From now on it is done to these."""
        for witness, sight in self.sights:
            witness.injected(sight, uids)

    def undone(self) -> None:
        """No longer."""
        for witness, sight in self.sights:
            witness.undone(sight)

    def hit(self) -> Sequence[Evidence]:
        """Whether each victim is hit now, by every effect."""
        return _together([witness.hit(sight) for witness, sight in self.sights])

    def unharmed(self) -> Sequence[Evidence]:
        """Whether each victim that still exists is as it was before, by every effect."""
        return _together([witness.unharmed(sight) for witness, sight in self.sights])


class Witness:
    """Looks at the replicas of one cluster."""

    def __init__(self, view: View) -> None:
        """Prepare a witness for each effect."""
        self._by_effect = {each.effect: each.witness(view) for each in MEANS}

    def aim(self, occurrence: str, effects: Sequence[Effect], victims: Sequence[Replica]) -> Aim:
        """Take in what the victims are before anything is done to them."""
        witnesses = [(self._by_effect[type(effect)], effect) for effect in effects]
        return Aim(
            tuple(effects),
            tuple((witness, witness.aim(occurrence, effect, victims)) for witness, effect in witnesses),
        )


def until_verified(look: Callable[[], Sequence[Evidence]], within_s: float) -> Sequence[Evidence]:
    """Look again and again until everything is as it should be, or the time is over."""
    deadline_s = time.monotonic() + within_s
    while True:
        evidence = look()
        if all(each.verified for each in evidence) or time.monotonic() > deadline_s or hurrying():
            return evidence
        time.sleep(_LOOK_EVERY_S)


def _together(looks: Sequence[Sequence[Evidence]]) -> Sequence[Evidence]:
    """What was seen of each victim, whatever the effect."""
    return [
        Evidence(
            each[0].replica, all(one.verified for one in each), "; ".join(dict.fromkeys(o.how for o in each))
        )
        for each in zip(*looks, strict=True)
    ]
