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
from chaos.targets.local.proxy.shaping import TIMEOUT_S
from chaos.targets.local.round_trips import RoundTrips, late
from chaos.targets.local.transfers import Transfers, buckets, kept_s

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
    """What a request over a connection of its own takes longer because of delays: on average, at least or at most.

    Infinite where the network is cut. What may overtake is not delayed at least.
    """
    if cut(link):
        return math.inf
    sign = most - least
    return PACKETS_PER_WAY * sum(
        max(0.0, way.delay_s + sign * way.jitter_s) for way in ways(link) if not (least and way.reorder)
    )


def ways(link: Link) -> list[Traffic]:
    """The traffic of each way that has one."""
    return [way for way in (link.to_replica, link.from_replica) if way is not None]


def lossy(link: Link) -> bool:
    """Whether packets are lost on it, or damaged, which comes to the same."""
    return any(way.loss or way.corruption for way in ways(link))


def cut(link: Link) -> bool:
    """Whether nothing gets through: TCP needs both ways."""
    return any(way.cut for way in ways(link))


def narrow(link: Link) -> bool:
    """Whether its rate is limited, and nothing else makes much of it late."""
    return any(buckets(link)) and not added_s(link) and not lossy(link) and not cut(link)


def hit(
    name: str,
    link: Link,
    before: Before | None,
    now: RoundTrips,
    beside_s: float,
    moved: Transfers | None = None,
) -> Evidence:
    """Whether the network in front of a replica is as the fault wants it.

    Args:
        name: of the replica.
        link: what the fault wants.
        before: the network before it; None where it could not be measured.
        now: the round trips since.
        beside_s: what other faults add to one; infinite where they cut it off.
        moved: bytes that were moved since, where the fault limits their rate.
    """
    if before is None or before.network_s == math.inf:
        return Evidence(name, verified=False, how="answered nothing over its network before the fault")
    if cut(link):
        return Evidence(name, *_silent(now))
    if not lossy(link) and min(now.through_s, default=math.inf) == math.inf:
        return Evidence(name, verified=False, how="answers nothing over its network now")
    looks = [_delayed(link, before, now, beside_s)] if added_s(link) > 0 else []
    looks += [_lossy(link, before, now)] if lossy(link) else []
    looks += [_narrow(link, moved)] if narrow(link) else []
    if not looks:
        return Evidence(name, verified=False, how=_nothing(link, before, now))
    return Evidence(name, all(seen for seen, _ in looks), "; ".join(how for _, how in looks))


def back(
    name: str,
    link: Link,
    before: Before | None,
    now: RoundTrips,
    beside_s: float,
    moved: Transfers | None = None,
) -> Evidence:
    """Whether the network in front of a replica is again as it was before the fault; arguments as for `hit`."""
    if before is None or before.network_s == math.inf:
        return Evidence(name, verified=True, how="answered nothing over its network before the fault either")
    if min(now.direct_s, default=math.inf) == math.inf:
        return Evidence(name, verified=True, how="answers nothing now, with its network or without")
    if now.network_s == beside_s == math.inf:
        return Evidence(
            name, verified=True, how="answers nothing over its network, which another fault has cut"
        )
    if now.network_s == math.inf:
        return Evidence(name, verified=False, how="answers nothing over its network, and answers without it")
    least_s = added_s(link, least=True)
    more_s = _more_s(before, now, beside_s)
    well = not least_s or more_s < max(_NOISE_S, least_s / 2)
    how = _costs(before, now)
    if lossy(link):
        behind = _late(now.through_s, before.fastest_s + beside_s - before.beside_s)
        how += f"; {behind} of {len(now.through_s)} requests were late"
        well = well and behind < _FEWEST_LATE
    if narrow(link) and moved is not None and moved.through.took_s < math.inf:
        how += f"; {_moved(moved)}"
        well = well and moved.through.took_s < max(kept_s(link, moved.through) / 2, 2 * moved.direct.took_s)
    return Evidence(name, well, how)


def _silent(now: RoundTrips) -> tuple[bool, str]:
    number, beside = len(now.through_s), sum(each_s < math.inf for each_s in now.direct_s)
    return 0 < number == now.silent and beside > 0, (
        f"of {number} new connections through its network {now.silent} heard nothing, not even a refusal, and "
        f"{beside} of as many beside it were answered"
    )


def _narrow(link: Link, moved: Transfers | None) -> tuple[bool, str]:
    if moved is None:
        return False, "nothing could be moved over its network"
    least_s = kept_s(link, moved.through)
    seen = _ENOUGH * least_s <= moved.through.took_s and moved.direct.took_s <= least_s / 2
    return seen, f"{_moved(moved)}; at least {_ms(least_s)} through it were to be seen"


def _moved(moved: Transfers) -> str:
    kilobytes = (moved.through.up_bytes + moved.through.down_bytes) / 1000
    return (
        f"to move {kilobytes:.0f} kB took {_ms(moved.through.took_s)} through its network, and "
        f"{_ms(moved.direct.took_s)} beside it"
    )


def _nothing(link: Link, before: Before, now: RoundTrips) -> str:
    said = "the fault leaves its network as it is: there is nothing to be seen"
    if any(way.duplication for way in ways(link)):
        said = f"TCP discards what comes twice, so that nothing can be seen of it: {_costs(before, now)}"
    return said


def _delayed(link: Link, before: Before, now: RoundTrips, beside_s: float) -> tuple[bool, str]:
    least_s = added_s(link, least=True)
    wanted_s = max(_NOISE_S, _NOISES * before.noise_s, _ENOUGH * least_s)
    wanted = f"at least {_ms(least_s)} more were to be seen"
    if wanted_s > least_s:
        wanted += f", and {_ms(wanted_s)} to be told from noise"
    return _more_s(before, now, beside_s) >= wanted_s, f"{_costs(before, now)}; {wanted}"


def _lossy(link: Link, before: Before, now: RoundTrips) -> tuple[bool, str]:
    fast = math.prod(((1 - way.loss) * (1 - way.corruption)) ** PACKETS_PER_WAY for way in ways(link))
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
