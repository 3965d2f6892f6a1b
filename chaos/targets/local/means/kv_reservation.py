"""KV reservation: the replica's exporter says how much of the cache is used."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import KvReservation
from chaos.targets.local.means.door import DoorEnforcer, no_door
from chaos.targets.local.means.means import Means, Sight, Witness, there
from chaos.targets.local.means.series import figure
from chaos.targets.local.wire import Message
from exporters.series.server import KV_CACHE_USAGE

_NEARLY = 0.98
"""Blocks are whole ones."""


class _Enforcer(DoorEnforcer[KvReservation]):
    def order(self, effect: KvReservation) -> Message:
        return {"fault": "kv-reservation", "share": effect.share}


@dataclass(slots=True)
class _Sight(Sight[KvReservation]):
    before: dict[str, float] = field(default_factory=dict)
    """The used share, by uid; no figure yet means that nothing was ever used."""


class _Witness(Witness[KvReservation]):
    def aim(self, occurrence: str, effect: KvReservation, victims: Sequence[Replica]) -> _Sight:
        sight = _Sight(occurrence, effect, tuple(victims), self.view.processes(victims))
        sight.before = self._used(victims)
        return sight

    def hit(self, sight: Sight[KvReservation]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        now, least = self._used(sight.victims), _NEARLY * sight.effect.share
        return [
            Evidence(
                victim.name,
                verified=now.get(victim.uid, 0.0) >= least > sight.before.get(victim.uid, 1.0),
                how=f"its exporter says that {_percent(now, victim)} of the KV blocks are used, "
                f"{_percent(sight.before, victim)} before the fault",
            )
            for victim in sight.victims
        ]

    def unharmed(self, sight: Sight[KvReservation]) -> Sequence[Evidence]:
        now = self._used(sight.victims)
        return [
            Evidence(
                victim.name,
                verified=now[victim.uid] < _NEARLY * sight.effect.share,
                how=f"its exporter says that {_percent(now, victim)} of the KV blocks are used",
            )
            if victim.uid in now
            else there(victim, listed=False)
            for victim in sight.victims
        ]

    def _used(self, victims: Sequence[Replica]) -> dict[str, float]:
        rows = self.view.rows()
        ports = {
            v.uid: rows[v.uid]["metrics_port"]
            for v in victims
            if v.uid in rows and rows[v.uid]["pid"] is not None
        }
        seen = {uid: figure(port, KV_CACHE_USAGE.name) for uid, port in ports.items()}
        return {uid: value for uid, value in seen.items() if value is not None}


def _percent(used: dict[str, float], victim: Replica) -> str:
    return f"{used[victim.uid]:.0%}" if victim.uid in used else "an unknown share"


MEANS = Means(KvReservation, _Enforcer, _Witness, no_door)
