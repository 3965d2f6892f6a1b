"""Terms about what happened after a fault, and how long it took: recoveries, losses, disturbances."""

import math

from chaos.assertions.term import Observed, Recorded, Term, exactly
from chaos.measuring.cache_recovery import Points, cache_recovery
from chaos.measuring.cold_start import cold_starts
from chaos.measuring.detection import slowest
from chaos.measuring.measurements import Measurements
from chaos.measuring.recovery_time import NOTHING_INJECTED, RecoveryTime


def service(_: Term, run: Recorded) -> Observed:
    """From the first fault until the service was good again, and stayed so."""
    return _observed(run.measurements.service)


def service_after_end(_: Term, run: Recorded) -> Observed:
    """The same from the end of the last fault."""
    time = run.measurements.service_after_end
    if time is None:
        return Observed(None, reason="a fault without an end: count from its start, recovery.service")
    return _observed(time)


def capacity(_: Term, run: Recorded) -> Observed:
    """From the first fault until every wanted replica was ready, and each new one had served."""
    return _observed(run.measurements.capacity)


def cache(_: Term, run: Recorded) -> Observed:
    """From the first fault until the prefix caches of the cluster found as much as before."""
    return _observed(of_cache(run.measurements, run.cache_hits))


def of_cache(measurements: Measurements, points: Points | None) -> RecoveryTime:
    """The recovery of prefix caches, from samples of their hit ratio; None where the run kept none."""
    baseline = measurements.phase("baseline")
    phase = None if baseline is None else baseline.phase
    return cache_recovery(measurements.timeline, phase, points, measurements.criteria)


def first_touch(_: Term, run: Recorded) -> Observed:
    """From the first fault to the end of the first disturbance."""
    time = run.measurements.service
    if time.first_touch_s is None:
        return Observed(None, time.interval_s, reason=time.reason)
    earliest_s = max(0.0, time.first_touch_s - (time.resolution_s or 0.0))
    return Observed(time.first_touch_s, (earliest_s, time.first_touch_s))


def cold_start(_: Term, run: Recorded) -> Observed:
    """The longest time from the beginning of a new replica to its readiness."""
    found = cold_starts(run.measurements.timeline)
    return (
        Observed(None, reason=found) if isinstance(found, str) else exactly(max(one.ready_s for one in found))
    )


def detection(_: Term, run: Recorded) -> Observed:
    """From a fault until the cluster knew of it, the slowest of all faults."""
    value, sign = slowest(run.measurements.timeline)
    return Observed(None, reason=sign) if value is None else exactly(value)


def lost_requests(_: Term, run: Recorded) -> Observed:
    """Requests that failed, in flight when the fault started or planned later."""
    lost, all_requests = run.measurements.lost_requests, run.measurements.phase("all")
    if lost is None or all_requests is None:
        return Observed(None, reason=NOTHING_INJECTED)
    return exactly(lost, all_requests.n)


def disturbances(_: Term, run: Recorded) -> Observed:
    """Stretches in which the service was worse than it usually is."""
    found = run.measurements.disturbances
    return Observed(None, reason=found.reason) if found.reason else exactly(len(found.found))


def _observed(time: RecoveryTime) -> Observed:
    return Observed(time.value_s, time.interval_s, reason=time.reason or _between(time))


def _between(time: RecoveryTime) -> str:
    low_s, high_s = time.interval_s
    if math.isinf(high_s):
        return f"it took at least {low_s:.3f} s; too few requests followed to prove that it was over"
    return f"all that is proved is that it took {low_s:.3f} to {high_s:.3f} s: more requests per second would tell"
