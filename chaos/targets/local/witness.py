"""Whether replicas are hit, as seen from outside: in the process table, in the list of replicas, over the network.

The injector is never asked whether it did what it was told. What replicas were before is noted first, so that there
is something to compare with.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaos.targets import Evidence, Replica
from chaos.targets.effects import Effect, Link, Termination
from chaos.targets.identity import ProcessId, of_replica
from chaos.targets.local import network_evidence
from chaos.targets.local.network_evidence import Before
from chaos.targets.local.round_trips import Doors, RoundTrips, measure
from chaos.targets.local.spec import ProbeSpec
from chaos.targets.local.wire import Message

_LOOK_EVERY_S = 0.1
_PROBES = 3
_PROBES_FOR_LOSS = 10
_PATIENCE_S = 5.0
_PATIENCE_WITH_LOSS_S = 1.5
"""A request that waits for longer than several timeouts is late in any case."""
_PROBING_S = 1.0
"""What one look may take, as far as more requests at once can help."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One occurrence of a fault: what is to be done to whom, and what they were before."""

    occurrence: str
    effects: tuple[Effect, ...]
    victims: tuple[Replica, ...]
    processes: Mapping[str, tuple[ProcessId, ...]]
    """By uid."""
    before: dict[str, Before] = field(default_factory=dict)
    """The network in front of each victim, by uid; only where a fault is about it."""
    trips: dict[str, RoundTrips] = field(default_factory=dict)
    """All that was measured while it should be in force, by uid: what is rare takes many."""

    @property
    def link(self) -> Link | None:
        """What is to happen to the network, if anything."""
        return next((effect for effect in self.effects if isinstance(effect, Link)), None)

    @property
    def fatal(self) -> bool:
        """Whether the victims are to be gone."""
        return any(isinstance(effect, Termination) for effect in self.effects)


class Witness:
    """Looks at the replicas of one cluster."""

    def __init__(
        self, describe: Callable[[], Message], network: Callable[[], Message], probe: ProbeSpec
    ) -> None:
        """Prepare to look.

        Args:
            describe: what the supervisor knows of its replicas.
            network: what the proxy in front of them counted; told beside what was seen, and never the proof.
            probe: a small GET that every replica answers.
        """
        self._describe = describe
        self._network = network
        self._probe = probe
        self._in_force: dict[str, tuple[Link, frozenset[str]]] = {}

    def aim(self, occurrence: str, effects: Sequence[Effect], victims: Sequence[Replica]) -> Aim:
        """Take in what the victims are before anything is done to them."""
        rows = self._rows()
        processes = {
            victim.uid: tuple(of_replica(victim.uid, rows[victim.uid]["pid"]))
            for victim in victims
            if victim.uid in rows
        }
        aimed = Aim(occurrence, tuple(effects), tuple(victims), processes)
        if aimed.link is not None:
            looks = [self._trips(aimed, rows, aimed.link) for _ in range(2)]
            for uid in looks[0].keys() & looks[1].keys():
                beside_s = self._beside_s(occurrence, uid)
                aimed.before[uid] = Before.of(looks[0][uid], looks[1][uid], beside_s)
        return aimed

    def in_force(self, occurrence: str, link: Link, uids: Collection[str]) -> None:
        """From now on this is done to the network in front of these replicas: no other fault must be proved by it."""
        self._in_force[occurrence] = (link, frozenset(uids))

    def undone(self, occurrence: str) -> None:
        """No longer."""
        self._in_force.pop(occurrence, None)

    def until_verified(
        self, look: Callable[[Aim], Sequence[Evidence]], aim: Aim, within_s: float
    ) -> Sequence[Evidence]:
        """Look again and again until everything is as it should be, or the time is over."""
        deadline_s = time.monotonic() + within_s
        while True:
            evidence = look(aim)
            if all(each.verified for each in evidence) or time.monotonic() > deadline_s:
                return evidence
            time.sleep(_LOOK_EVERY_S)

    def hit(self, aim: Aim) -> Sequence[Evidence]:
        """Whether each victim is hit now."""
        rows = self._rows()
        if aim.link is None:
            return [_hit(aim, victim, listed=victim.uid in rows) for victim in aim.victims]
        for uid, more in self._alone(aim, rows, aim.link).items():
            aim.trips[uid] = more.with_more(aim.trips.get(uid, RoundTrips())) if _lossy(aim) else more
        return [
            self._with_counts(
                aim,
                network_evidence.hit(
                    victim.name,
                    aim.link,
                    aim.before.get(victim.uid),
                    aim.trips.get(victim.uid, RoundTrips()),
                    self._beside_s(aim.occurrence, victim.uid),
                ),
            )
            for victim in aim.victims
        ]

    def unharmed(self, aim: Aim) -> Sequence[Evidence]:
        """Whether each victim that still exists is as it was before."""
        rows = self._rows()
        if aim.link is None:
            return [_there(victim, listed=victim.uid in rows) for victim in aim.victims]
        trips = self._alone(aim, rows, aim.link)
        return [
            network_evidence.back(
                victim.name,
                aim.link,
                aim.before.get(victim.uid),
                trips.get(victim.uid, RoundTrips()),
                self._beside_s(aim.occurrence, victim.uid),
            )
            if victim.uid in rows
            else _there(victim, listed=False)
            for victim in aim.victims
        ]

    def _with_counts(self, aim: Aim, evidence: Evidence) -> Evidence:
        counts = self._network()["shaped"].get(evidence.replica, {}).get(aim.occurrence, ())
        packets, delayed, lost = (sum(each[key] for each in counts) for key in ("packets", "delayed", "lost"))
        said = f"its proxy counts {packets} packets, {delayed} of them late, {lost} losses"
        return replace(evidence, how=f"{evidence.how}; {said}")

    def _rows(self) -> dict[str, Message]:
        return {row["replica"]["uid"]: row for row in self._describe()["replicas"]}

    def _beside_s(self, occurrence: str, uid: str) -> float:
        """What other faults of the network add to a request to this replica now."""
        others = [
            link
            for which, (link, uids) in self._in_force.copy().items()
            if which != occurrence and uid in uids
        ]
        return sum(network_evidence.added_s(link) for link in others)

    def _alone(self, aim: Aim, rows: Mapping[str, Message], link: Link) -> dict[str, RoundTrips]:
        """What is measured now, without those beside whom another fault began or ended meanwhile."""
        beside_s = {uid: self._beside_s(aim.occurrence, uid) for uid in aim.processes}
        trips = self._trips(aim, rows, link)
        return {
            uid: each for uid, each in trips.items() if self._beside_s(aim.occurrence, uid) == beside_s[uid]
        }

    def _trips(self, aim: Aim, rows: Mapping[str, Message], link: Link) -> dict[str, RoundTrips]:
        doors = {
            uid: Doors(rows[uid]["proxy_port"], rows[uid]["port"])
            for uid in aim.processes
            if uid in rows and rows[uid]["proxy_port"] and rows[uid]["port"]
        }
        beside_s = max((self._beside_s(aim.occurrence, uid) for uid in doors), default=0.0)
        longest_s = network_evidence.added_s(link, most=True) + 2 * beside_s
        number = _PROBES_FOR_LOSS if _lossy(aim) else _PROBES
        return measure(
            doors,
            self._probe.path,
            number=number,
            at_once=number if _lossy(aim) else min(number, math.ceil(number * longest_s / _PROBING_S) or 1),
            patience_s=longest_s + (_PATIENCE_WITH_LOSS_S if _lossy(aim) else _PATIENCE_S),
        )


def _lossy(aim: Aim) -> bool:
    return aim.link is not None and any(way.loss for way in network_evidence.ways(aim.link))


def _hit(aim: Aim, victim: Replica, *, listed: bool) -> Evidence:
    if victim.uid not in aim.processes:
        return Evidence(victim.name, verified=False, how="was never seen before the fault")
    processes = aim.processes[victim.uid]
    alive = [process for process in processes if process.alive()]
    pids = ", ".join(str(process.pid) for process in processes) or "none: it was waiting to be restarted"
    still = ", ".join(str(process.pid) for process in alive) or "none"
    how = f"of its processes ({pids}), {still} still live; {_listing(victim, listed=listed)}"
    if aim.fatal:
        return Evidence(victim.name, verified=not alive and not listed, how=how)
    return Evidence(victim.name, verified=listed and len(alive) == len(processes), how=how)


def _there(victim: Replica, *, listed: bool) -> Evidence:
    how = _listing(victim, listed=True) if listed else "is not there any more"
    return Evidence(victim.name, verified=True, how=how)


def _listing(victim: Replica, *, listed: bool) -> str:
    return f"uid {victim.uid} is {'still' if listed else 'no longer'} listed"
