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
    silent: int = 0
    """How many of those through the network heard nothing at all: no refusal, no reset, no end."""

    @property
    def network_s(self) -> float:
        """What the network costs: the fastest through it less the fastest without it, so that load cancels out."""
        fastest_s = min(self.through_s, default=math.inf)
        return fastest_s - min(self.direct_s, default=math.inf) if fastest_s < math.inf else math.inf

    def with_more(self, more: "RoundTrips") -> "RoundTrips":
        """Both together."""
        return RoundTrips(
            self.through_s + more.through_s, self.direct_s + more.direct_s, self.silent + more.silent
        )


@dataclass(frozen=True, slots=True)
class Doors:
    """The two ways to one replica, as ports."""

    through: int
    direct: int
    path: str
    """Of a GET that the replica answers at both."""


def measure(
    doors: Mapping[str, Doors], *, number: int, at_once: int, patience_s: float
) -> dict[str, RoundTrips]:
    """Ask each replica so many times for its path, through its network and straight.

    Args:
        doors: of each replica, by uid.
        number: of requests each way.
        at_once: how many of them are under way to one replica at a time.
        patience_s: a request that takes longer has no answer.
    """
    if not doors:
        return {}
    with ThreadPoolExecutor(at_once * len(doors), thread_name_prefix="round-trip") as pool:
        pairs = {
            uid: [pool.submit(_pair_s, ways, patience_s) for _ in range(number)]
            for uid, ways in doors.items()
        }
        return {uid: _trips(each.result() for each in those) for uid, those in pairs.items()}


def late(taken_s: Sequence[float], usual_s: float, by_s: float) -> int:
    """How many took longer than usual by so much."""
    return sum(each_s - usual_s >= by_s for each_s in taken_s)


def _trips(pairs: Iterable[tuple[float, float, bool]]) -> RoundTrips:
    through_s, direct_s, silent = zip(*pairs, strict=True)
    return RoundTrips(through_s, direct_s, sum(silent))


def _pair_s(doors: Doors, patience_s: float) -> tuple[float, float, bool]:
    through_s, silent = _get_s(doors.through, doors.path, patience_s)
    return through_s, _get_s(doors.direct, doors.path, patience_s)[0], silent


def _get_s(port: int, path: str, patience_s: float) -> tuple[float, bool]:
    """How long it took, infinite without an answer, and whether nothing was heard at all."""
    connection = http.client.HTTPConnection(HOST, port, timeout=patience_s)
    began_s = time.monotonic()
    try:
        connection.request(
            "GET", path
        )  # the end of a connection right behind the answer would tell of its loss
        connection.getresponse().read()
    except TimeoutError:
        return math.inf, True
    except (OSError, http.client.HTTPException):
        return math.inf, False
    finally:
        connection.close()
    return time.monotonic() - began_s, False
