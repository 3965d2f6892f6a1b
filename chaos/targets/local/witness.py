"""Whether replicas are hit, as seen from outside: in the process table, in the list of replicas, over the network.

The injector is never asked whether it did what it was told. What replicas were before is noted first, so that there
is something to compare with.
"""

import http.client
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from chaos.targets import Evidence, Replica
from chaos.targets.effects import Effect, Link, Termination, Traffic
from chaos.targets.identity import ProcessId, of_replica
from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import ProbeSpec
from chaos.targets.local.wire import Message

_LOOK_EVERY_S = 0.1
_PROBES = 3
_PROBE_WITHIN_S = 5.0
_ENOUGH = 0.8
"""Of the delay that a fault adds at least, so much must be seen: clocks and schedulers take the rest."""
_NOISE_S = 0.002
"""Less than this cannot be told from what a busy machine does."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One occurrence of a fault: what is to be done to whom, and what they were before."""

    occurrence: str
    effects: tuple[Effect, ...]
    victims: tuple[Replica, ...]
    processes: Mapping[str, tuple[ProcessId, ...]]
    """By uid."""
    round_trip_s: Mapping[str, float]
    """Of a small GET through the network in front of the replica, by uid; only where a fault is about the network."""

    @property
    def link(self) -> Link | None:
        """What is to happen to the network, if anything."""
        return next((effect for effect in self.effects if isinstance(effect, Link)), None)

    @property
    def fatal(self) -> bool:
        """Whether the victims are to be gone."""
        return any(isinstance(effect, Termination) for effect in self.effects)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is to be seen of replicas now."""

    rows: Mapping[str, Message]
    """Of the replicas that there are, by uid."""
    round_trip_s: Mapping[str, float] = field(default_factory=dict)
    """By uid."""
    shaped: Mapping[str, Any] = field(default_factory=dict)
    """What the proxy counted, by name and occurrence."""


class Witness:
    """Looks at the replicas of one cluster."""

    def __init__(
        self, describe: Callable[[], Message], network: Callable[[], Message], probe: ProbeSpec
    ) -> None:
        """Prepare to look.

        Args:
            describe: what the supervisor knows of its replicas.
            network: what the proxy in front of them counted.
            probe: a small GET that every replica answers.
        """
        self._describe = describe
        self._network = network
        self._probe = probe

    def aim(self, occurrence: str, effects: Sequence[Effect], victims: Sequence[Replica]) -> Aim:
        """Take in what the victims are before anything is done to them."""
        rows = self._rows()
        processes = {
            victim.uid: tuple(of_replica(victim.uid, rows[victim.uid]["pid"]))
            for victim in victims
            if victim.uid in rows
        }
        aimed = Aim(occurrence, tuple(effects), tuple(victims), processes, {})
        if aimed.link is None:
            return aimed
        return Aim(occurrence, aimed.effects, aimed.victims, processes, self._round_trips_s(rows, processes))

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
        now = Seen(rows)
        if aim.link is not None:
            now = Seen(rows, self._round_trips_s(rows, aim.processes), self._network()["shaped"])
        return [_hit(aim, victim, now) for victim in aim.victims]

    def unharmed(self, aim: Aim) -> Sequence[Evidence]:
        """Whether each victim that still exists is as it was before."""
        rows = self._rows()
        trips_s = {} if aim.link is None else self._round_trips_s(rows, aim.processes)
        return [_unharmed(aim, victim, Seen(rows, trips_s)) for victim in aim.victims]

    def _rows(self) -> dict[str, Message]:
        return {row["replica"]["uid"]: row for row in self._describe()["replicas"]}

    def _round_trips_s(self, rows: Mapping[str, Message], uids: Collection[str]) -> dict[str, float]:
        """The fastest of some small GETs through the network of each replica; without those that answered none."""
        ports = {uid: rows[uid]["proxy_port"] for uid in uids if uid in rows and rows[uid]["proxy_port"]}
        if not ports:
            return {}
        with ThreadPoolExecutor(max_workers=_PROBES * len(ports), thread_name_prefix="round-trip") as pool:
            trips = {
                uid: [pool.submit(_get_s, port, self._probe.path) for _ in range(_PROBES)]
                for uid, port in ports.items()
            }
            found = {uid: [one.result() for one in those] for uid, those in trips.items()}
        return {uid: min(those) for uid, those in found.items() if min(those) < math.inf}


def _hit(aim: Aim, victim: Replica, now: Seen) -> Evidence:
    if victim.uid not in aim.processes:
        return Evidence(victim.name, verified=False, how="was never seen before the fault")
    alive, lives = _lives(aim, victim)
    listed = victim.uid in now.rows
    seen = f"{lives}; {_listing(victim, listed=listed)}"
    if aim.fatal:
        return Evidence(victim.name, verified=not alive and not listed, how=seen)
    untouched = listed and len(alive) == len(aim.processes[victim.uid])
    if aim.link is None or not listed:
        return Evidence(victim.name, untouched, seen)
    return _link_hit(aim, aim.link, victim, now)


def _link_hit(aim: Aim, link: Link, victim: Replica, now: Seen) -> Evidence:
    before_s, now_s = aim.round_trip_s.get(victim.uid), now.round_trip_s.get(victim.uid)
    if before_s is None or now_s is None:
        when = "before the fault" if before_s is None else "over its network now"
        return Evidence(victim.name, verified=False, how=f"answered nothing {when}")
    trip = f"a round trip took {1000 * before_s:.1f} ms before and {1000 * now_s:.1f} ms now"
    expected_s = added_s(link)
    slower = now_s - before_s >= max(_NOISE_S, _ENOUGH * expected_s)
    if not any(way.loss for way in _ways(link)):
        wanted = f"at least {1000 * expected_s:.1f} ms more were to be seen"
        return Evidence(victim.name, slower and expected_s > _NOISE_S, f"{trip}; {wanted}")
    counts = now.shaped.get(victim.name, {}).get(aim.occurrence, ())
    lost, packets = (sum(each[key] for each in counts) for key in ("lost", "packets"))
    return Evidence(
        victim.name, lost > 0 and (slower or not expected_s), f"{trip}; {lost} of {packets} packets were lost"
    )


def _unharmed(aim: Aim, victim: Replica, now: Seen) -> Evidence:
    if victim.uid not in now.rows:
        return Evidence(victim.name, verified=True, how="is not there any more")
    before_s, now_s = aim.round_trip_s.get(victim.uid), now.round_trip_s.get(victim.uid)
    if aim.link is None or before_s is None:
        return Evidence(victim.name, verified=True, how=_listing(victim, listed=True))
    if now_s is None:
        return Evidence(victim.name, verified=False, how="answers nothing over its network")
    expected_s = added_s(aim.link)
    back = not expected_s or now_s - before_s < max(_NOISE_S, expected_s / 2)
    seen = f"a round trip took {1000 * before_s:.1f} ms before and {1000 * now_s:.1f} ms after"
    return Evidence(victim.name, back, seen)


def added_s(link: Link) -> float:
    """What a small request over a connection of its own takes longer, at least.

    Opening a connection is a packet there and one back, and so are the request and its answer: how much was added
    can be told, on which way cannot.
    """
    return 2 * sum(max(0.0, way.delay_s - way.jitter_s) for way in _ways(link))


def _ways(link: Link) -> list[Traffic]:
    return [way for way in (link.to_replica, link.from_replica) if way is not None]


def _lives(aim: Aim, victim: Replica) -> tuple[Sequence[ProcessId], str]:
    processes = aim.processes[victim.uid]
    alive = [process for process in processes if process.alive()]
    pids = ", ".join(str(process.pid) for process in processes) or "none: it was waiting to be restarted"
    still = ", ".join(str(process.pid) for process in alive) or "none"
    return alive, f"of its processes ({pids}), {still} still live"


def _listing(victim: Replica, *, listed: bool) -> str:
    return f"uid {victim.uid} is {'still' if listed else 'no longer'} listed"


def _get_s(port: int, path: str) -> float:
    connection = http.client.HTTPConnection(HOST, port, timeout=_PROBE_WITHIN_S)
    began_s = time.monotonic()
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return math.inf
    finally:
        connection.close()
    return time.monotonic() - began_s
