"""What a baseline says of the service: how bad it is when nothing disturbs it, and so how bad it may be."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chaos.measuring import scan
from chaos.measuring.columns import Flags, Floats, Ints
from chaos.measuring.evidence import Evidence
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.scan import Noise, Stretch

_BY_CHANCE = 0.001


@dataclass(frozen=True, slots=True)
class Level:
    """One thing that is tolerated of a service: how much of it there is anyway, and how much may be."""

    noise: Noise
    tolerated: float
    """Share of requests, 0..1."""

    def threshold(self, n: int) -> float | None:
        """What noise piles up nowhere in n requests; see `scan.threshold`."""
        return scan.threshold(self.noise, self.tolerated, n)

    def disturbed(self, flags: Flags, at_s: Floats, hold_s: float) -> list[Stretch]:
        """The disturbed stretches of a sequence, in order and apart; none goes on over a quiet hold (`scan.quiet`).

        A service may be worse than its baseline all the time and still within what is tolerated. Where so much is bad
        beside the stretches that the baseline can hardly explain it, that is the noise which sets the bar.
        """
        least = self.threshold(len(flags))
        if least is None:
            return []
        quiet = scan.quiet(at_s, flags, self.tolerated, hold_s) if self.tolerated else np.array([], np.int64)
        found = self._piled_up(flags, quiet, least)
        beside = np.ones(len(flags), dtype=bool)
        for each in found:
            beside[each.first : each.last + 1] = False
        rest = Noise(int(np.sum(flags & beside)), int(np.sum(beside)), self.noise.peak)
        if scan.chance_below(rest.bad, rest.n, self.noise.prudent_share) < 1 - _BY_CHANCE:
            return found
        raised = scan.threshold(rest, self.tolerated, len(flags))
        if raised is None or raised <= least:
            return found
        certain = [each for each in found if scan.is_certain(flags, each, self.tolerated)]
        return scan.united([*certain, *self._piled_up(flags, quiet, raised)])

    def _piled_up(self, flags: Flags, quiet: Ints, least: float) -> list[Stretch]:
        """The stretches that piled up so much, from one quiet hold to the next: what was before adds nothing."""
        edges = [0, *quiet.tolist(), len(flags)]
        return [
            Stretch(begin + each.first, begin + each.last)
            for begin, end in pairwise(edges)
            for each in scan.stretches(flags[begin:end], self.tolerated, least)
        ]


@dataclass(frozen=True, slots=True)
class Levels:
    """What is tolerated of goodput and of errors."""

    bad: Level
    """Of requests that are not good."""
    failed: Level | None
    """Of failed requests; None where no more may be bad than may fail, so that goodput says it all."""


def levels(found: Evidence, places: Ints, criteria: Criteria, goodput: float | None = None) -> Levels:
    """The levels that the requests at these places make.

    Args:
        found: of the whole run.
        places: of the baseline's requests, in the order of their instants.
        criteria: how much worse is tolerated.
        goodput: of the service without disturbances, 0..1, where it is known from elsewhere: then the places are not
            free of disturbances, and only their number counts.
    """
    known = places[~found.unknown[places]]
    bad, failed = ~found.good[known], found.failed[known]
    share = None if goodput is None else 1 - goodput
    tolerated = 1 - criteria.goodput * (
        1 - (float(np.mean(bad)) if share is None and len(bad) else share or 0.0)
    )
    of_bad = _level(bad, tolerated, share)
    errors = _level(
        failed, (share or (float(np.mean(failed)) if len(failed) else 0.0)) + criteria.error_ratio, share
    )
    return Levels(of_bad, errors if errors.tolerated < of_bad.tolerated else None)


def _level(flags: Flags, tolerated: float, share: float | None) -> Level:
    if share is not None:
        return Level(Noise(round(share * len(flags)), len(flags)), tolerated)
    return Level(Noise(int(np.sum(flags)), len(flags), scan.peak(flags, tolerated)), tolerated)
