"""The network in front of replicas, measured from outside: small requests through it, beside the same without it."""

import http.client
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chaos.targets.local.ports import HOST


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """What some small requests to one replica took, each over a connection of its own; infinite without an answer."""

    through_s: tuple[float, ...] = ()
    """Through the network in front of the replica."""
    direct_s: tuple[float, ...] = ()
    """Straight to it, each right after one of the others."""

    @property
    def network_s(self) -> float:
        """What the network costs: the fastest through it less the fastest without it, so that load cancels out."""
        fastest_s = min(self.through_s, default=math.inf)
        return fastest_s - min(self.direct_s, default=math.inf) if fastest_s < math.inf else math.inf

    def with_more(self, more: "RoundTrips") -> "RoundTrips":
        """Both together."""
        return RoundTrips(self.through_s + more.through_s, self.direct_s + more.direct_s)


@dataclass(frozen=True, slots=True)
class Doors:
    """The two ways to one replica, as ports."""

    through: int
    direct: int


def measure(
    doors: Mapping[str, Doors], path: str, *, number: int, at_once: int, patience_s: float
) -> dict[str, RoundTrips]:
    """Ask each replica so many times for a path, through its network and straight.

    Args:
        doors: of each replica, by uid.
        path: of a GET that every replica answers.
        number: of requests each way.
        at_once: how many of them are under way to one replica at a time.
        patience_s: a request that takes longer has no answer.
    """
    if not doors:
        return {}
    with ThreadPoolExecutor(at_once * len(doors), thread_name_prefix="round-trip") as pool:
        pairs = {
            uid: [pool.submit(_pair_s, ways, path, patience_s) for _ in range(number)]
            for uid, ways in doors.items()
        }
        return {uid: _trips(each.result() for each in those) for uid, those in pairs.items()}


def late(taken_s: Sequence[float], usual_s: float, by_s: float) -> int:
    """How many took longer than usual by so much."""
    return sum(each_s - usual_s >= by_s for each_s in taken_s)


def _trips(pairs: Iterable[tuple[float, float]]) -> RoundTrips:
    through_s, direct_s = zip(*pairs, strict=True)
    return RoundTrips(through_s, direct_s)


def _pair_s(doors: Doors, path: str, patience_s: float) -> tuple[float, float]:
    return _get_s(doors.through, path, patience_s), _get_s(doors.direct, path, patience_s)


def _get_s(port: int, path: str, patience_s: float) -> float:
    connection = http.client.HTTPConnection(HOST, port, timeout=patience_s)
    began_s = time.monotonic()
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return math.inf
    finally:
        connection.close()
    return time.monotonic() - began_s
