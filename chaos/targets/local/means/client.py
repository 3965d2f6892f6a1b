"""A witness that is a client of its own: completions straight to each victim, before, during and after the fault."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from chaos.targets import Evidence, Replica
from chaos.targets.effects import Effect
from chaos.targets.local.means.completion import Heard, complete
from chaos.targets.local.means.means import Sight, View, Witness, there

E = TypeVar("E", bound=Effect)
T = TypeVar("T")

_PATIENCE_S = 5.0
_SHORTEST_S, _LONGEST_S = 1.5, 4.0


def of_each(view: View, victims: Sequence[Replica], ask: Callable[[int], T]) -> dict[str, T]:
    """What is found at the port of each victim that has a process, all at once, by uid."""
    rows = view.rows()
    ports = {v.uid: rows[v.uid]["port"] for v in victims if v.uid in rows and rows[v.uid]["pid"] is not None}
    if not ports:
        return {}
    with ThreadPoolExecutor(len(ports), thread_name_prefix="client") as pool:
        asked = {uid: pool.submit(ask, port) for uid, port in ports.items()}
        return {uid: each.result() for uid, each in asked.items()}


@dataclass(slots=True)
class ClientSight(Sight[E]):
    """What a client heard of each victim, by uid."""

    before: dict[str, Heard] = field(default_factory=dict)


class ClientWitness(Witness[E]):
    """Asks as users do. What makes an answer one of the fault is the effect's own to say."""

    tokens = 1
    """How many to ask for."""

    def aim(self, occurrence: str, effect: E, victims: Sequence[Replica]) -> ClientSight[E]:
        """Hear each victim once while it should be well."""
        sight = ClientSight(occurrence, effect, tuple(victims), self.view.processes(victims))
        sight.before = self.of_each(victims, lambda port: self.hear(port, effect, _PATIENCE_S))
        return sight

    @abstractmethod
    def is_struck(self, effect: E, before: Heard, now: Heard) -> bool:
        """Whether this is what the fault makes of an answer."""

    def is_well(self, effect: E, before: Heard, now: Heard) -> bool:  # noqa: ARG002 - others compare
        """Whether this is what an answer is without it."""
        return now.ended == "done"

    def asked_for(self, effect: E) -> int:  # noqa: ARG002 - others depend on it
        """How many tokens to ask for."""
        return self.tokens

    def hear(self, port: int, effect: E, patience_s: float) -> Heard:
        """One completion."""
        key = self.view.spec.faults_key
        return complete(port, key, tokens=self.asked_for(effect), patience_s=patience_s, whole_s=_LONGEST_S)

    def look_beside(self, port: int) -> str | None:  # noqa: ARG002 - others look
        """What must hold beside the answers for the fault to be what it is; in words, what does not."""
        return None

    def hit(self, sight: Sight[E]) -> Sequence[Evidence]:
        """Whether each victim answers as the fault has it."""
        assert isinstance(sight, ClientSight)
        now = self.of_each(
            sight.victims,
            lambda port: self.hear(port, sight.effect, self._patience_s(sight)),
        )
        beside = self.of_each(sight.victims, self.look_beside)
        return [
            self._struck(sight, victim, now.get(victim.uid), beside.get(victim.uid))
            for victim in sight.victims
        ]

    def unharmed(self, sight: Sight[E]) -> Sequence[Evidence]:
        """Whether each victim whose process is still the same answers as without the fault."""
        assert isinstance(sight, ClientSight)
        rows = self.view.rows()
        same = [
            victim
            for victim in sight.victims
            if victim.uid in rows and all(each.alive() for each in sight.processes.get(victim.uid, ()))
        ]
        now = self.of_each(same, lambda port: self.hear(port, sight.effect, _PATIENCE_S))
        return [
            self._back(sight, victim, now[victim.uid]) if victim.uid in now else there(victim, listed=False)
            for victim in sight.victims
        ]

    def of_each(self, victims: Sequence[Replica], ask: Callable[[int], T]) -> dict[str, T]:
        """What is found at the port of each victim that has a process, all at once, by uid."""
        return of_each(self.view, victims, ask)

    def _patience_s(self, sight: ClientSight[E]) -> float:
        slowest_s = max((heard.ended_s for heard in sight.before.values()), default=0.0)
        return min(max(_SHORTEST_S, 1 + 4 * slowest_s), _LONGEST_S)

    def _struck(
        self, sight: ClientSight[E], victim: Replica, now: Heard | None, beside: str | None
    ) -> Evidence:
        before = sight.before.get(victim.uid)
        if now is None or before is None:
            return Evidence(victim.name, verified=False, how="has no process that could be asked")
        how = self.in_words(before, now)
        if before.ended != "done":
            return Evidence(victim.name, verified=False, how=how)
        struck = beside is None and self.is_struck(sight.effect, before, now)
        return Evidence(
            victim.name, verified=struck, how=f"{how}{f'; {beside}' if beside else self.said_beside()}"
        )

    def in_words(self, before: Heard, now: Heard) -> str:
        """What was heard, as evidence has it."""
        return f"a completion asked for beside the gateway {now}; before the fault one {before}"

    def said_beside(self) -> str:
        """What to add to the evidence where `look_beside` found everything as it must be."""
        return ""

    def _back(self, sight: ClientSight[E], victim: Replica, now: Heard) -> Evidence:
        before = sight.before.get(victim.uid, Heard())
        how = self.in_words(before, now)
        return Evidence(victim.name, verified=self.is_well(sight.effect, before, now), how=how)
