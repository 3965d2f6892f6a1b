"""Whether one replica is worse than its peers by more than chance: tallies of good and bad, and one bound.

Pure arithmetic. A share is compared with what the better part of the replicas shows, so that replicas which fail
together do not excuse each other, and a trouble that all have in common ejects nobody.
"""

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

CHANCE = 1e-7
"""How unlikely a run of failures must be for a replica like the others. At 30 requests a second chance then does it
once in some days, where the others' share of failures is known well."""

_LEAST_SHARE = 0.002
"""Of failures that is granted to everybody, however well the peers do."""
_MOST_SEEN = 200
_SEEN_FOR_S = 60.0
"""What is older, or further back, is forgotten."""


@dataclass(slots=True)
class Tally:
    """The latest good and bad endings of one kind at one replica."""

    in_a_row: int = 0
    """Bad ones since the last good one."""
    count: int = 0
    bad: int = 0
    began_s: float = 0.0
    """The first of those in a row."""
    _seen: deque[tuple[float, bool]] = field(default_factory=deque)

    def add(self, now_s: float, *, bad: bool) -> None:
        """Note one ending."""
        self._seen.append((now_s, bad))
        self.count += 1
        self.bad += bad
        if bad and not self.in_a_row:
            self.began_s = now_s
        self.in_a_row = self.in_a_row + 1 if bad else 0
        self.forget(now_s)

    def forget(self, now_s: float) -> None:
        """Drop what is too old to say anything about now."""
        while self._seen and (len(self._seen) > _MOST_SEEN or self._seen[0][0] < now_s - _SEEN_FOR_S):
            self.count -= 1
            self.bad -= self._seen.popleft()[1]

    def since(self, at_s: float) -> "Tally":
        """The same of the endings from an instant on."""
        later = Tally()
        for seen_s, bad in reversed(self._seen):
            if seen_s < at_s:
                break
            later.count += 1
            later.bad += bad
        return later


def usual_share(tallies: Collection[Tally], aside: float) -> float:
    """The share of bad endings that a replica is allowed: that of all together, less the worst `aside` of them.

    Setting the unlucky aside with the broken makes that share too small, so it is that of the worst of those who are
    left, where that is more. Half a bad ending more than was seen is assumed (Jeffreys' rule), so that few endings
    allow much: a half where nothing is known.
    """
    better = _better(tallies, aside)
    bad, count = sum(tally.bad for tally in better), sum(tally.count for tally in better)
    worst = better[-1].bad / better[-1].count if better else 0.0
    return max((bad + 0.5) / (count + 1), worst, _LEAST_SHARE)


def share_meanwhile(tallies: Collection[Tally], since_s: float, aside: float) -> float:
    """The better replicas' share of bad endings from an instant on; 0 where there were none.

    What is usual is known from a minute; a trouble that all have in common may have begun just now.
    """
    better = _better([tally.since(since_s) for tally in tallies], aside)
    count = sum(tally.count for tally in better)
    return sum(tally.bad for tally in better) / count if count else 0.0


def _better(tallies: Collection[Tally], aside: float) -> list[Tally]:
    ranked = sorted((tally for tally in tallies if tally.count), key=lambda tally: tally.bad / tally.count)
    return ranked[: len(ranked) - math.floor(len(ranked) * aside)]


def beyond_chance(bad: int, count: int, usual: float, chance: float = CHANCE) -> bool:
    """Whether so many bad ones of so many are less likely than `chance`, where `usual` is the share of bad ones.

    Chernoff's bound of the binomial tail, count * KL(bad / count || usual) > -log(chance): never fewer needed than
    the exact tail does.
    """
    if not count or bad / count <= usual:
        return False
    share = bad / count
    divergence = share * math.log(share / usual)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - usual))
    return count * divergence > -math.log(chance)
