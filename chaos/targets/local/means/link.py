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
from chaos.targets.local.proxy import silence
from chaos.targets.local.round_trips import Doors, RoundTrips, measure
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.transfers import Order, Transfers, buckets, order_for, transfer
from chaos.targets.local.wire import Message

_PROBES = 3
_PROBES_FOR_LOSS = 10
_PATIENCE_S = 5.0
_PATIENCE_WITH_LOSS_S = 1.5
"""A request that waits for longer than several timeouts is late in any case."""
_PATIENCE_WITH_SILENCE_S = 1.5
"""Of a request to somebody cut off: those beside it tell that the machine is not just slow."""
_PROBING_S = 1.0
"""What one look may take, as far as more requests at once can help."""


_ONE = Order(requests=1, padding_bytes=0)
_TRANSFERS = 2
"""In one look: one that took long may have met a busy machine."""
_MOVING_S = 4.0
"""What one look may take to move bytes; a victim whose turn does not come is the first of the next one."""
_ANY_OF_ONE = ("mode one", "mode fixed", "mode fixed-percent")
"""Modes that mean the one caller that has the labels, if it is one."""


class _Enforcer(Enforcer[Link]):
    async def cause(self, occurrence: str, effect: Link, pods: Sequence[Pod]) -> float:
        at_s = time.monotonic()
        ways = {key: value for key, value in asdict(effect).items() if key.endswith("_replica")}
        callers = naming.ways(self.cluster.spec, effect.toward)
        routes = [naming.route(caller, pod.name) for pod in pods for caller in callers]
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
    orders: dict[str, Order] = field(default_factory=dict)
    """What is to be moved through a narrow network, by uid."""
    moved: dict[str, Transfers] = field(default_factory=dict)
    """The fastest that it was moved while it should be in force, by uid."""


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
        if network_evidence.narrow(effect):
            for uid, doors in self._doors(sight, rows).items():
                sight.orders[uid] = order_for(effect, transfer(doors, _ONE).direct)
        return sight

    def injected(self, sight: Sight[Link], uids: Sequence[str]) -> None:
        self._in_force[sight.occurrence] = (sight.effect, frozenset(uids))

    def undone(self, sight: Sight[Link]) -> None:
        self._in_force.pop(sight.occurrence, None)

    def hit(self, sight: Sight[Link]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        rows = self.view.rows()
        for uid, more in self._alone(sight, rows).items():
            lossy = network_evidence.lossy(sight.effect)
            sight.trips[uid] = more.with_more(sight.trips.get(uid, RoundTrips())) if lossy else more
        for uid, transfers in self._moved(sight, rows, _TRANSFERS, _MOVING_S).items():
            sight.moved[uid] = transfers.best(sight.moved.get(uid))
        return [
            self._with_counts(
                sight.occurrence,
                network_evidence.hit(
                    victim.name,
                    sight.effect,
                    sight.before.get(victim.uid),
                    sight.trips.get(victim.uid, RoundTrips()),
                    self._beside_s(sight.occurrence, victim.uid),
                    sight.moved.get(victim.uid),
                ),
            )
            for victim in sight.victims
        ]

    def unharmed(self, sight: Sight[Link]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        rows = self.view.rows()
        trips, moved = self._alone(sight, rows), self._moved(sight, rows)
        return [
            network_evidence.back(
                victim.name,
                sight.effect,
                sight.before.get(victim.uid),
                trips.get(victim.uid, RoundTrips()),
                self._beside_s(sight.occurrence, victim.uid),
                moved.get(victim.uid),
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

    def _others(self, occurrence: str, uid: str) -> list[Link]:
        """Other faults of the network that are in force on this replica now."""
        return [
            link
            for which, (link, uids) in self._in_force.copy().items()
            if which != occurrence and uid in uids
        ]

    def _beside_s(self, occurrence: str, uid: str) -> float:
        """What they add to a request to it."""
        return sum(network_evidence.added_s(link) for link in self._others(occurrence, uid))

    def _alone(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, RoundTrips]:
        """What is measured now, without those beside whom another fault began or ended meanwhile."""
        beside_s = {uid: self._beside_s(sight.occurrence, uid) for uid in sight.processes}
        trips = self._trips(sight, rows)
        return {
            uid: each for uid, each in trips.items() if self._beside_s(sight.occurrence, uid) == beside_s[uid]
        }

    def _trips(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, RoundTrips]:
        doors = self._doors(sight, rows)
        beside_s = max((self._beside_s(sight.occurrence, uid) for uid in doors), default=0.0)
        longest_s = network_evidence.added_s(sight.effect, most=True) + 2 * beside_s
        lossy, patience_s = network_evidence.lossy(sight.effect), _PATIENCE_S
        number = _PROBES_FOR_LOSS if lossy else _PROBES
        silent = longest_s == math.inf
        if lossy or silent:
            longest_s = 0.0 if silent else longest_s
            patience_s = _PATIENCE_WITH_SILENCE_S if silent else _PATIENCE_WITH_LOSS_S
        return measure(
            doors,
            number=number,
            at_once=number
            if lossy or silent
            else min(number, math.ceil(number * longest_s / _PROBING_S) or 1),
            patience_s=longest_s + patience_s,
        )

    def _moved(
        self, sight: _Sight, rows: Mapping[str, Message], times: int = 1, within_s: float = math.inf
    ) -> dict[str, Transfers]:
        """What was moved through the narrow network of each victim whose turn came, the fastest of so many times.

        Each has a turn before any has its second. What has begun has all its time: cut short, it proves nothing.
        """
        doors, moved, until_s = self._doors(sight, rows), dict[str, Transfers](), time.monotonic() + within_s
        turns = sorted(sight.orders.keys() & doors.keys(), key=lambda uid: uid in sight.moved) * times
        for uid in turns:
            if time.monotonic() < until_s:
                moved[uid] = transfer(doors[uid], sight.orders[uid]).best(moved.get(uid))
        return moved

    def _doors(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, Doors]:
        """The ways to each victim: that of the gateway, if it is meant, and else that of Prometheus."""
        spec = self.view.spec
        callers = naming.meant(spec, sight.effect.toward)
        scraped = naming.PROMETHEUS in callers
        # Expositions are long: where Prometheus is meant too, a narrow network shows sooner in them.
        keys, path = ("proxy_port", "port"), spec.readiness.path
        if scraped and (callers == (naming.PROMETHEUS,) or any(buckets(sight.effect))):
            keys, path = ("metrics_proxy_port", "metrics_port"), "/metrics"
        through, direct = keys
        return {
            uid: Doors(rows[uid][through], rows[uid][direct], path)
            for uid in sight.processes
            if uid in rows and rows[uid][through] and rows[uid][direct]
        }


def _hindrance(link: Link, spec: LocalSpec) -> str | None:
    """Why this network is none that replicas have here."""
    if link.outside:
        return f"replicas here talk to nobody outside: {', '.join(link.outside)}"
    if {*link.devices} - {"eth0"}:
        return f"replicas here have one network and no devices: {', '.join(link.devices)}"
    if reason := _no_such_callers(link, spec):
        return reason
    if network_evidence.cut(link) and not silence.POSSIBLE:
        return "a partition takes the socket filters of a Linux kernel"
    if any(bucket is not None and not bucket.rate_bytes_per_s for bucket in buckets(link)):
        return "nothing passes at a rate of 0, and a cluster would not start such a fault"
    return None


def _no_such_callers(link: Link, spec: LocalSpec) -> str | None:
    """Why the other side of a link is none that replicas have here."""
    if beyond := [each for each in link.toward_beyond_labels if each not in _ANY_OF_ONE]:
        return f"the other side is known by its labels alone here: {', '.join(beyond)}"
    meant = naming.meant(spec, link.toward)
    if meant and (len(meant) == 1 or not link.toward_beyond_labels):
        return None
    known = " or ".join(
        f"({', '.join(f'{key}: {value}' for key, value in labels.items())})"
        for labels in naming.callers(spec).values()
    )
    if meant:
        return f"several are the other side, and all of them are meant here: expected mode all, or one of {known}"
    return f"the only other sides that replicas have here are {known}"


MEANS = Means(Link, _Enforcer, _Witness, _hindrance)
