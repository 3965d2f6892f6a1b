"""Whether the network in front of a pod is as a fault wants it, from requests that were sent to it. Pure.

Whoever asks keeps a connection or opens one, as it likes: so a request is taken to be one packet each way, and more is
never counted on. How much a fault adds can be told from outside, on which of the two ways cannot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.targets.effects import Bucket, Link, Traffic

_ENOUGH = 0.8
_NOISE_S = 0.005
_RETRANSMISSION_S = 0.15
"""Linux waits 0.2 s at least before it sends a segment again."""
_FEWEST_LATE = 3
_LATE_SHARE = 0.25
_TELLING_S = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """A number of requests to one pod, one after another."""

    took_s: tuple[float, ...]
    """Of each that was answered, also by an error or a refusal of its own: the network let it through."""
    silent: int
    """How many were not."""
    size: int = 0
    """Bytes of all answers, with a guess at their headers."""
    trouble: str = ""
    """What was heard of the silent ones."""

    @property
    def all_s(self) -> float:
        """Of all that were answered."""
        return sum(self.took_s)


def needed(link: Link) -> int:
    """How many requests tell whether it is as wanted."""
    ways_ = ways(link)
    if any(way.cut or way.bucket for way in ways_):
        return 1
    return 40 if any(way.loss or way.corruption for way in ways_) else 5


def visible(link: Link) -> str | None:
    """Why nothing of it could be seen; None where something can."""
    ways_ = ways(link)
    if any(
        way.cut or way.bucket or way.loss or way.corruption or way.delay_s - way.jitter_s > 0 for way in ways_
    ):
        return None
    if any(way.duplication for way in ways_):
        return "TCP discards what comes twice, so that nothing could prove it"
    return "it leaves the network as it is, so that nothing could prove it"


def hit(link: Link, before: Asked, now: Asked) -> tuple[bool, str]:
    """Whether the network is as the fault wants it, and what was seen."""
    if not before.took_s:
        return False, f"it answered nothing before the fault either: {before.trouble}"
    if any(way.cut for way in ways(link)):
        silent = not now.took_s and now.silent > 0
        heard = "nothing" if silent else f"an answer after {_ms(min(now.took_s, default=0.0))}"
        return (
            silent,
            f"{now.silent + len(now.took_s)} requests got {heard}; before, in {_ms(_median(before))}",
        )
    if not now.took_s:
        return False, f"it answers nothing now: {now.trouble}"
    looks = [_late(link, before, now)] if any(way.loss or way.corruption for way in ways(link)) else []
    looks += [_delayed(link, before, now)] if least_s(link) > 0 else []
    looks += [_narrow(bucket, before, now) for bucket in _buckets(link)]
    if not looks:
        return False, visible(link) or ""
    return all(seen for seen, _ in looks), "; ".join(how for _, how in looks)


def over(link: Link, before: Asked, now: Asked) -> tuple[bool, str]:
    """Whether the network is as it was, and what was seen."""
    if not before.took_s:
        return True, f"it answered nothing before the fault either: {before.trouble}"
    if not now.took_s:
        return False, f"it answers nothing: {now.trouble}"
    said = f"it answers in {_ms(_median(now))}, before the fault in {_ms(_median(before))}"
    more_s = _median(now) - _median(before)
    well = now.silent == 0 and (not least_s(link) or more_s < max(_NOISE_S, least_s(link) / 2))
    for bucket in _buckets(link):
        narrow, how = _narrow(bucket, before, now)
        well, said = well and not narrow, f"{said}; {how}"
    return well, said


def least_s(link: Link) -> float:
    """By how much a request is later at least."""
    return sum(max(0.0, way.delay_s - way.jitter_s) for way in ways(link) if not way.reorder)


def ways(link: Link) -> list[Traffic]:
    """The traffic of each way that has one."""
    return [way for way in (link.to_replica, link.from_replica) if way is not None]


def enough_bytes(link: Link) -> int:
    """How many bytes must be moved so that a limit shows: what passes at once, and more for some tenths of a second."""
    return max(
        (int(each.burst_bytes + 2 * _TELLING_S * each.rate_bytes_per_s) for each in _buckets(link)), default=0
    )


def _delayed(link: Link, before: Asked, now: Asked) -> tuple[bool, str]:
    wanted_s = max(_NOISE_S, _ENOUGH * least_s(link))
    more_s = min(now.took_s) - _median(before)
    return more_s >= wanted_s, (
        f"answers came {_ms(more_s)} later than before at least; {_ms(least_s(link))} were to be seen"
    )


def _late(link: Link, before: Asked, now: Asked) -> tuple[bool, str]:
    through = math.prod((1 - way.loss) * (1 - way.corruption) for way in ways(link))
    number = len(now.took_s) + now.silent
    expected, usual_s = (1 - through) * number, _median(before) + least_s(link)
    late = now.silent + sum(each_s >= usual_s + _RETRANSMISSION_S for each_s in now.took_s)
    earlier = before.silent + sum(each_s >= _median(before) + _RETRANSMISSION_S for each_s in before.took_s)
    seen = late >= max(_FEWEST_LATE, _LATE_SHARE * expected, 3 * earlier + 1)
    return seen, (
        f"of {number} requests {late} were late by a retransmission or more, {earlier} of "
        f"{len(before.took_s) + before.silent} before; about {expected:.0f} were to be seen"
    )


def _narrow(bucket: Bucket, before: Asked, now: Asked) -> tuple[bool, str]:
    wanted_s = (now.size - bucket.burst_bytes) / bucket.rate_bytes_per_s
    usual_s = before.all_s * now.size / max(1, before.size)
    told = wanted_s >= _TELLING_S and usual_s <= wanted_s / 2
    return told and now.all_s >= _ENOUGH * wanted_s, (
        f"to move {now.size / 1000:.0f} kB took {_ms(now.all_s)}, before as many in {_ms(usual_s)}; "
        f"{_ms(max(0.0, wanted_s))} were to be seen"
    )


def _buckets(link: Link) -> Sequence[Bucket]:
    return [way.bucket for way in ways(link) if way.bucket is not None]


def _median(asked: Asked) -> float:
    ordered = sorted(asked.took_s)
    return ordered[len(ordered) // 2] if ordered else math.inf


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
