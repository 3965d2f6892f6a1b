"""When a service whose every instant is known was good again: the definition, applied to the service itself.

A service is two curves over time: the chance that a request planned at an instant is good, and the chance that it
fails. Nothing here knows of requests, samples or windows of arrivals.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chaos.measuring.recovery_time import Criteria

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
STEP_S = 0.001
"""Between two instants at which a curve is read."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Service:
    """What a request planned at F + i * STEP_S, i = 0, 1, ..., has to expect, and what it had before F."""

    good: Floats
    failed: Floats
    usual_good: float
    usual_failed: float
    disturbed_s: float
    """From F on: until when the fault lasted, or the capacity that it took was missing: ready, and seen to serve."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What an analysis has to find, in seconds from F."""

    low_s: float
    """Recovery. +inf: never within what is observed."""
    high_s: float
    """The same, unless the service was worse for less than a window may lack: then the end of that is right too."""
    impact: bool
    """Whether anybody was harmed: new requests or those in flight."""


def recovery_truth(service: Service, criteria: Criteria, *, harmed_in_flight: bool = False) -> Truth:
    """The first instant from which the service meets the criteria, up to the disturbance's end and one hold more.

    An instant is bad where the chance of a good answer is below the share of the usual one, or that of a failure is
    above the usual one by more than the criterion. It counts where a window around it lacks as much on average.
    """
    level = criteria.goodput * service.usual_good
    errors = service.usual_failed + criteria.error_ratio
    bad = (service.good < level - _ROUNDING) | (service.failed > errors + _ROUNDING)
    width = round(criteria.window_s / STEP_S)
    lacking = (_means(service.good, width) < level - _ROUNDING) | (
        _means(service.failed, width) > errors + _ROUNDING
    )
    counted = bad & _covered(lacking, width)
    low_s = _end_of(counted, service.disturbed_s, criteria.hold_s)
    high_s = max(low_s, _end_of(bad, service.disturbed_s, criteria.hold_s))
    ends_s = [math.inf if end_s > criteria.within_s else end_s for end_s in (low_s, high_s)]
    return Truth(ends_s[0], ends_s[1], impact=bool(bad.any()) or harmed_in_flight)


def _means(curve: Floats, width: int) -> Floats:
    """Of every window [i, i + width) that lies inside the curve."""
    sums = np.concatenate(([0.0], np.cumsum(curve)))
    return np.asarray((sums[width:] - sums[:-width]) / width)


def _covered(lacking: Flags, width: int) -> Flags:
    """The instants that lie in a lacking window."""
    changes = np.zeros(len(lacking) + width, dtype=np.int64)
    starts = np.flatnonzero(lacking)
    np.add.at(changes, starts, 1)
    np.add.at(changes, starts + width, -1)
    return np.asarray(np.cumsum(changes)[: len(lacking) + width - 1] > 0)


def _end_of(bad: Flags, disturbed_s: float, hold_s: float) -> float:
    """Where the last bad stretch ends that begins less than a hold after the one before, or the disturbance's end."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], bad.astype(np.int8), [0]))))
    end_s = 0.0
    for begin, end in list(pairwise(edges))[::2]:
        if end_s and begin * STEP_S >= max(end_s, disturbed_s) + hold_s:
            break
        if not end_s and begin * STEP_S >= disturbed_s + hold_s:
            break
        end_s = math.inf if end == len(bad) else end * STEP_S
    return float(end_s)
