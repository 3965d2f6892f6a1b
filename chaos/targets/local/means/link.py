"""The network in front of a replica: shaped by the proxy, and looked at with round trips through it and beside it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from chaos.targets import Evidence, Replica
from chaos.targets.effects import Link
from chaos.targets.local import naming, network_evidence
from chaos.targets.local.means.means import Enforcer, Means, Sight, View, Witness, there
from chaos.targets.local.network_evidence import Before
from chaos.targets.local.pod import Pod
from chaos.targets.local.round_trips import Doors, RoundTrips, measure
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

_PROBES = 3
_PROBES_FOR_LOSS = 10
_PATIENCE_S = 5.0
_PATIENCE_WITH_LOSS_S = 1.5
"""A request that waits for longer than several timeouts is late in any case."""
_PROBING_S = 1.0
"""What one look may take, as far as more requests at once can help."""


class _Enforcer(Enforcer[Link]):
    async def cause(self, occurrence: str, effect: Link, pods: Sequence[Pod]) -> float:
        at_s = time.monotonic()
        ways = {key: value for key, value in asdict(effect).items() if key.endswith("_replica")}
        routes = [pod.name for pod in pods]
        await self.cluster.order_proxy("shape", occurrence=occurrence, routes=routes, **ways)
        return at_s

    async def undo(self, occurrence: str) -> None:
        await self.cluster.order_proxy("unshape", occurrence=occurrence)


@dataclass(slots=True)
class _Sight(Sight[Link]):
    before: dict[str, Before] = field(default_factory=dict)
    """The network in front of each victim, by uid."""
    trips: dict[str, RoundTrips] = field(default_factory=dict)
    """All that was measured while it should be in force, by uid: what is rare takes many."""


class _Witness(Witness[Link]):
    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._in_force: dict[str, tuple[Link, frozenset[str]]] = {}

    def aim(self, occurrence: str, effect: Link, victims: Sequence[Replica]) -> _Sight:
        sight = _Sight(occurrence, effect, tuple(victims), self.view.processes(victims))
        rows = self.view.rows()
        looks = [self._trips(sight, rows) for _ in range(2)]
        for uid in looks[0].keys() & looks[1].keys():
            sight.before[uid] = Before.of(looks[0][uid], looks[1][uid], self._beside_s(occurrence, uid))
        return sight

    def injected(self, sight: Sight[Link], uids: Sequence[str]) -> None:
        self._in_force[sight.occurrence] = (sight.effect, frozenset(uids))

    def undone(self, sight: Sight[Link]) -> None:
        self._in_force.pop(sight.occurrence, None)

    def hit(self, sight: Sight[Link]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        for uid, more in self._alone(sight, self.view.rows()).items():
            lossy = _lossy(sight.effect)
            sight.trips[uid] = more.with_more(sight.trips.get(uid, RoundTrips())) if lossy else more
        return [
            self._with_counts(
                sight.occurrence,
                network_evidence.hit(
                    victim.name,
                    sight.effect,
                    sight.before.get(victim.uid),
                    sight.trips.get(victim.uid, RoundTrips()),
                    self._beside_s(sight.occurrence, victim.uid),
                ),
            )
            for victim in sight.victims
        ]

    def unharmed(self, sight: Sight[Link]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        rows = self.view.rows()
        trips = self._alone(sight, rows)
        return [
            network_evidence.back(
                victim.name,
                sight.effect,
                sight.before.get(victim.uid),
                trips.get(victim.uid, RoundTrips()),
                self._beside_s(sight.occurrence, victim.uid),
            )
            if victim.uid in rows
            else there(victim, listed=False)
            for victim in sight.victims
        ]

    def _with_counts(self, occurrence: str, evidence: Evidence) -> Evidence:
        counts = self.view.network()["shaped"].get(evidence.replica, {}).get(occurrence, ())
        packets, delayed, lost = (sum(each[key] for each in counts) for key in ("packets", "delayed", "lost"))
        said = f"its proxy counts {packets} packets, {delayed} of them late, {lost} losses"
        return replace(evidence, how=f"{evidence.how}; {said}")

    def _beside_s(self, occurrence: str, uid: str) -> float:
        """What other faults of the network add to a request to this replica now."""
        others = [
            link
            for which, (link, uids) in self._in_force.copy().items()
            if which != occurrence and uid in uids
        ]
        return sum(network_evidence.added_s(link) for link in others)

    def _alone(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, RoundTrips]:
        """What is measured now, without those beside whom another fault began or ended meanwhile."""
        beside_s = {uid: self._beside_s(sight.occurrence, uid) for uid in sight.processes}
        trips = self._trips(sight, rows)
        return {
            uid: each for uid, each in trips.items() if self._beside_s(sight.occurrence, uid) == beside_s[uid]
        }

    def _trips(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, RoundTrips]:
        doors = {
            uid: Doors(rows[uid]["proxy_port"], rows[uid]["port"])
            for uid in sight.processes
            if uid in rows and rows[uid]["proxy_port"] and rows[uid]["port"]
        }
        beside_s = max((self._beside_s(sight.occurrence, uid) for uid in doors), default=0.0)
        longest_s = network_evidence.added_s(sight.effect, most=True) + 2 * beside_s
        lossy = _lossy(sight.effect)
        number = _PROBES_FOR_LOSS if lossy else _PROBES
        return measure(
            doors,
            self.view.spec.readiness.path,
            number=number,
            at_once=number if lossy else min(number, math.ceil(number * longest_s / _PROBING_S) or 1),
            patience_s=longest_s + (_PATIENCE_WITH_LOSS_S if lossy else _PATIENCE_S),
        )


def _lossy(link: Link) -> bool:
    return any(way.loss for way in network_evidence.ways(link))


def _beyond_the_gateway(link: Link, _: LocalSpec) -> str | None:
    """Why this network is none that replicas have here."""
    if link.outside:
        return f"replicas here talk to nobody outside: {', '.join(link.outside)}"
    if {*link.devices} - {"eth0"}:
        return f"replicas here have one network and no devices: {', '.join(link.devices)}"
    if not (link.toward or {}).items() <= naming.GATEWAY_LABELS.items():
        gateway = ", ".join(f"{key}: {value}" for key, value in naming.GATEWAY_LABELS.items())
        return f"the gateway ({gateway}) is the only other side that replicas have here"
    return None


MEANS = Means(Link, _Enforcer, _Witness, _beyond_the_gateway)
