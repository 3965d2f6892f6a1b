"""A device error, emulated: the victim's exporter tells of an XID event, and what it computes fails; both are seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import DeviceError
from chaos.targets.local.means.completion import Heard, complete
from chaos.targets.local.means.door import DoorEnforcer, no_door
from chaos.targets.local.means.means import Means, Sight, Witness, there
from chaos.targets.local.means.series import figure
from chaos.targets.local.wire import Message
from exporters.series.gpu import GPU_XID_EVENTS, OTHER_XID, XIDS

_PATIENCE_S = 1.0
_FAILED = ("reset", "refused", "error", "end")
"""How an answer ends that a failing engine had begun, or would have."""


class _Enforcer(DoorEnforcer[DeviceError]):
    persists = True

    def order(self, effect: DeviceError) -> Message:
        return {"fault": "device-error", "xid": effect.xid, "after_s": effect.after_s}


@dataclass(slots=True)
class _Sight(Sight[DeviceError]):
    before: dict[str, float] = field(default_factory=dict)
    """Events of this code, by uid."""
    reported: set[str] = field(default_factory=set)
    """Uids whose exporter told of one more: it ends with its process, and what it told with it."""
    failed: dict[str, str] = field(default_factory=dict)
    """In words, what a client met, by uid."""


class _Witness(Witness[DeviceError]):
    def aim(self, occurrence: str, effect: DeviceError, victims: Sequence[Replica]) -> _Sight:
        sight = _Sight(occurrence, effect, tuple(victims), self.view.processes(victims))
        sight.before = {v.uid: self._events(effect, v.uid, self.view.rows()) for v in victims}
        return sight

    def hit(self, sight: Sight[DeviceError]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        rows = self.view.rows()
        return [self._seen(sight, victim, rows) for victim in sight.victims]

    def unharmed(self, sight: Sight[DeviceError]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        rows, evidence = self.view.rows(), []
        for victim in sight.victims:
            events = self._events(sight.effect, victim.uid, rows)
            if events > sight.before[victim.uid]:
                how = f"its exporter still tells of {events:g} events of XID {sight.effect.xid}"
                evidence.append(Evidence(victim.name, verified=False, how=how))
            else:
                evidence.append(there(victim, listed=victim.uid in rows))
        return evidence

    def _seen(self, sight: _Sight, victim: Replica, rows: dict[str, Message]) -> Evidence:
        if self._events(sight.effect, victim.uid, rows) > sight.before[victim.uid]:
            sight.reported.add(victim.uid)
        if victim.uid not in sight.failed and (row := rows.get(victim.uid)) and row["pid"] is not None:
            heard = complete(row["port"], self.view.spec.faults_key, tokens=1, patience_s=_PATIENCE_S)
            if _is_failure(heard):
                sight.failed[victim.uid] = f"a completion asked for beside the gateway {heard}"
        told = "told" if victim.uid in sight.reported else "told nothing"
        how = f"its exporter {told} of one more event of XID {sight.effect.xid}"
        how += f"; {sight.failed.get(victim.uid, 'its completions come')}"
        return Evidence(
            victim.name, verified=victim.uid in sight.reported and victim.uid in sight.failed, how=how
        )

    @staticmethod
    def _events(effect: DeviceError, uid: str, rows: dict[str, Message]) -> float:
        code = str(effect.xid) if str(effect.xid) in XIDS else OTHER_XID
        row = rows.get(uid)
        if row is None or row["pid"] is None:
            return 0.0
        return figure(row["metrics_port"], GPU_XID_EVENTS.name, xid=code) or 0.0


def _is_failure(heard: Heard) -> bool:
    return heard.ended in _FAILED or heard.status == 500


MEANS = Means(DeviceError, _Enforcer, _Witness, no_door)
