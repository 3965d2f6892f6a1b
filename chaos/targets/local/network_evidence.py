"""Whether the network in front of a replica is as a fault wants it: pure judgements over measured round trips.

A request over a connection of its own is two packets each way: one to open the connection and one with the request or
its answer. How much a fault adds can be told from outside, on which of the two ways cannot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from chaos.targets import Evidence
from chaos.targets.effects import Link, Traffic
from chaos.targets.local.round_trips import RoundTrips, late
from chaos.targets.local.shaping import TIMEOUT_S

PACKETS_PER_WAY = 2
_ENOUGH = 0.8
"""Of the delay that a fault adds at least, so much must be seen: clocks and schedulers take the rest."""
_NOISE_S = 0.002
"""Less than this cannot be told from what a busy machine does."""
_NOISES = 3
"""A delay must be so many times what two measurements before the fault differed by."""
_FEWEST_LATE = 3
_LATE_SHARE = 0.25
"""Of the requests that a loss is expected to make late: correlated losses are fewer, in netem too."""


@dataclass(frozen=True, slots=True)
class Before:
    """The network in front of a replica before a fault."""

    network_s: float
    fastest_s: float
    """The fastest request through it."""
    direct_s: float
    """The fastest request beside it."""
    noise_s: float
    """By how much two measurements differed."""
    beside_s: float
    """What other faults added then."""

    @classmethod
    def of(cls, first: RoundTrips, second: RoundTrips, beside_s: float) -> Self:
        """From two measurements."""
        both = first.with_more(second)
        costs_s = (first.network_s, second.network_s)
        noise_s = abs(costs_s[0] - costs_s[1]) if max(costs_s) < math.inf else math.inf
        return cls(both.network_s, min(both.through_s), min(both.direct_s), noise_s, beside_s)


def added_s(link: Link, *, least: bool = False, most: bool = False) -> float:
    """What a request over a connection of its own takes longer because of delays: on average, at least or at most."""
    sign = most - least
    return PACKETS_PER_WAY * sum(max(0.0, way.delay_s + sign * way.jitter_s) for way in ways(link))


def ways(link: Link) -> list[Traffic]:
    """The traffic of each way that has one."""
    return [way for way in (link.to_replica, link.from_replica) if way is not None]


def hit(name: str, link: Link, before: Before | None, now: RoundTrips, beside_s: float) -> Evidence:
    """Whether the network in front of a replica is as the fault wants it.

    Args:
        name: of the replica.
        link: what the fault wants.
        before: the network before it; None where it could not be measured.
        now: the round trips since.
        beside_s: what other faults add to one.
    """
    if before is None or before.network_s == math.inf:
        return Evidence(name, verified=False, how="answered nothing over its network before the fault")
    delayed, lossy = added_s(link) > 0, any(way.loss for way in ways(link))
    if not lossy and min(now.through_s, default=math.inf) == math.inf:
        return Evidence(name, verified=False, how="answers nothing over its network now")
    looks = [_delayed(link, before, now, beside_s)] if delayed else []
    looks += [_lossy(link, before, now)] if lossy else []
    if not looks:
        return Evidence(
            name, verified=False, how="the fault leaves its network as it is: there is nothing to be seen"
        )
    return Evidence(name, all(seen for seen, _ in looks), "; ".join(how for _, how in looks))


def back(name: str, link: Link, before: Before | None, now: RoundTrips, beside_s: float) -> Evidence:
    """Whether the network in front of a replica is again as it was before the fault; arguments as for `hit`."""
    if before is None or before.network_s == math.inf:
        return Evidence(name, verified=True, how="answered nothing over its network before the fault either")
    if min(now.direct_s, default=math.inf) == math.inf:
        return Evidence(name, verified=True, how="answers nothing now, with its network or without")
    if now.network_s == math.inf:
        return Evidence(name, verified=False, how="answers nothing over its network, and answers without it")
    least_s = added_s(link, least=True)
    more_s = _more_s(before, now, beside_s)
    quick = not least_s or more_s < max(_NOISE_S, least_s / 2)
    lossy = any(way.loss for way in ways(link))
    behind = _late(now.through_s, before.fastest_s + beside_s - before.beside_s)
    how = (
        f"{_costs(before, now)}; {behind} of {len(now.through_s)} requests were late"
        if lossy
        else _costs(before, now)
    )
    return Evidence(name, quick and not (lossy and behind >= _FEWEST_LATE), how)


def _delayed(link: Link, before: Before, now: RoundTrips, beside_s: float) -> tuple[bool, str]:
    least_s = added_s(link, least=True)
    wanted_s = max(_NOISE_S, _NOISES * before.noise_s, _ENOUGH * least_s)
    wanted = f"at least {_ms(least_s)} more were to be seen"
    if wanted_s > least_s:
        wanted += f", and {_ms(wanted_s)} to be told from noise"
    return _more_s(before, now, beside_s) >= wanted_s, f"{_costs(before, now)}; {wanted}"


def _lossy(link: Link, before: Before, now: RoundTrips) -> tuple[bool, str]:
    fast = math.prod((1 - way.loss) ** PACKETS_PER_WAY for way in ways(link))
    expected = (1 - fast) * len(now.through_s)
    through = _late(now.through_s, before.fastest_s + added_s(link))
    direct = _late(now.direct_s, before.direct_s)
    seen = through >= max(_FEWEST_LATE, _LATE_SHARE * expected, _NOISES * direct + 1)
    number = len(now.through_s)
    return seen, (
        f"of {number} requests through its network {through} were late by a retransmission or more, {direct} of as "
        f"many beside it; about {expected:.0f} were to be seen"
    )


def _more_s(before: Before, now: RoundTrips, beside_s: float) -> float:
    """What the network costs more than before, other faults left out."""
    return (now.network_s - beside_s) - (before.network_s - before.beside_s)


def _late(taken_s: Sequence[float], usual_s: float) -> int:
    return late(taken_s, usual_s, _ENOUGH * TIMEOUT_S)


def _costs(before: Before, now: RoundTrips) -> str:
    return f"its network added {_ms(before.network_s)} to a round trip before the fault, and {_ms(now.network_s)} now"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
