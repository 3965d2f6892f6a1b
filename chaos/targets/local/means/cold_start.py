"""Slow starts: whoever starts meanwhile has no process for so long, as if image and weights had to come first."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import ColdStart
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness
from chaos.targets.local.pod import Pod
from chaos.targets.local.wire import Message

_PROOF_S = 1.0
"""A replica whose start nobody holds has a process within some hundredths of a second."""


class _Enforcer(Enforcer[ColdStart]):
    async def cause(self, occurrence: str, effect: ColdStart, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        self.cluster.starts.hold(occurrence, effect.delay_s)
        return time.monotonic()

    async def undo(self, occurrence: str) -> None:
        self.cluster.starts.release(occurrence)


@dataclass(slots=True)
class _Sight(Sight[ColdStart]):
    before: frozenset[str] = frozenset()
    """Uids that were there already."""
    without_s: dict[str, float] = field(default_factory=dict)
    """When each newcomer was first seen without a process, by uid."""
    held: set[str] = field(default_factory=set)
    """Those who were still without one after so long that nobody takes for a start."""


class _Witness(Witness[ColdStart]):
    """Looks at newcomers: each stands there without a process for longer than any start takes to have one."""

    def aim(self, occurrence: str, effect: ColdStart, victims: Sequence[Replica]) -> _Sight:
        rows = self.view.rows()
        return _Sight(occurrence, effect, tuple(victims), self.view.processes(victims), frozenset(rows))

    def hit(self, sight: Sight[ColdStart]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        now_s, newcomers = time.monotonic(), self._newcomers(sight)
        needed_s = min(_PROOF_S, 0.8 * sight.effect.delay_s)
        for uid, row in newcomers.items():
            if row["pid"] is None and now_s - sight.without_s.setdefault(uid, now_s) >= needed_s:
                sight.held.add(uid)
        how = (
            f"of {len(newcomers)} replicas that were created since, "
            f"{len(sight.held)} had no process for {needed_s:g} s"
        )
        verified = bool(newcomers) and sight.held >= newcomers.keys()
        return [Evidence(victim.name, verified=verified, how=how) for victim in sight.victims]

    def unharmed(self, sight: Sight[ColdStart]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        waiting = [uid for uid, row in self._newcomers(sight).items() if row["pid"] is None]
        how = f"of the replicas that were created since, {len(waiting)} have no process"
        return [Evidence(victim.name, verified=not waiting, how=how) for victim in sight.victims]

    def _newcomers(self, sight: _Sight) -> dict[str, Message]:
        return {uid: row for uid, row in self.view.rows().items() if uid not in sight.before}


MEANS = Means(ColdStart, _Enforcer, _Witness)
