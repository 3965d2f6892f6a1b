"""The section of a journal about how long it took until all was well again."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from chaos.assertions.asked import Expressions, cache_hits
from chaos.assertions.recoveries import of_cache
from chaos.measuring import detection
from chaos.measuring.cold_start import cold_starts
from chaos.measuring.measurements import Measurements
from chaos.measuring.recovery_time import NOTHING_INJECTED
from chaos.measuring.timeline import FaultWindow
from chaos.record.cold_start import ColdStart
from chaos.record.sections import Recovery

_ENDLESS = ("service_s", "capacity_s", "cache_s")
"""What may be +inf, and says why."""
_UNTOLD = {
    "scheduled_s": "the target has no scheduler that tells, or it was started again in place",
    "pulled_s": "the target does not tell of images, or it was started again in place",
    "running_s": "the target did not tell",
    "first_token_s": "no request that it answered completely names it",
}


def section(measurements: Measurements, promql: Expressions | None) -> Recovery:
    """Every recovery, each null with its reason; `promql` is what Prometheus had of the run."""
    service, capacity = measurements.service, measurements.capacity
    after_end = measurements.service_after_end
    detection_s, sign = detection.slowest(measurements.timeline)
    cache = of_cache(measurements, cache_hits(promql))
    started = cold_starts(measurements.timeline)
    cold = None if isinstance(started, str) else [ColdStart.of(asdict(one), _UNTOLD) for one in started]
    entry = {
        "service_s": service.value_s,
        "service_interval_s": service.interval_s,
        "service_status": service.status,
        "service_after_end_s": None if after_end is None else after_end.value_s,
        "capacity_s": capacity.value_s,
        "capacity_status": capacity.status,
        "cache_s": cache.value_s,
        "cache_interval_s": None if cache.value_s is None else cache.interval_s,
        "cold_start_s": max((one.ready_s for one in cold or ()), default=None),
        "cold_starts": cold,
        "detection_s": detection_s,
        "first_touch_s": service.first_touch_s,
        "resolution_s": service.resolution_s,
        "relapse_s": service.relapse_s,
        "lost_requests": measurements.lost_requests,
    }
    reasons = {
        **dict.fromkeys(entry, service.reason),
        "service_after_end_s": _no_end(measurements.timeline.faults)
        if after_end is None
        else after_end.reason,
        "capacity_s": capacity.reason,
        **dict.fromkeys(("cache_s", "cache_interval_s"), cache.reason),
        **dict.fromkeys(("cold_start_s", "cold_starts"), str(started)),
        "detection_s": sign,
        "relapse_s": service.reason or "nothing disturbed it after the full hold",
    }
    beside = {f"{key}_reason": reasons[key] for key in _ENDLESS if entry[key] == math.inf}
    if detection_s is not None:
        beside["detection_s_reason"] = sign
    return Recovery.of({**entry, **beside, **asdict(measurements.criteria)}, reasons)


def _no_end(faults: Sequence[FaultWindow]) -> str:
    if not faults:
        return NOTHING_INJECTED
    if all(fault.lasts for fault in faults):
        return "a fault was in force when the run ended"
    return "a one-shot fault has no end to count from"
