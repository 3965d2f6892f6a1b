"""The sections of a journal about the phases of a run, and about the parts of its traffic in them."""

from dataclasses import asdict

import numpy as np

from chaos.assertions.asked import Expressions, queue_buckets
from chaos.measuring.columns import Ints
from chaos.measuring.measurements import Measurements, PhaseSlis
from chaos.measuring.quantiles import needed_for_interval, quantile
from chaos.measuring.queue_time import queue_time
from chaos.measuring.slis import samples
from chaos.measuring.token_counts import doubled_tokens, lost_tokens
from chaos.record.parts import TrafficPart
from chaos.record.sections import Phase

_EMPTY = "no planned arrival in this phase"


def section(slis: PhaseSlis, measurements: Measurements, promql: Expressions | None) -> Phase:
    """One phase; `promql` is what Prometheus had of the run."""
    indicators = {key: value for key, value in asdict(slis).items() if key != "phase"}
    places = measurements.evidence.within(slis.phase)
    queue = queue_time(queue_buckets(promql), slis.phase, 99)
    lost = lost_tokens(measurements, places)
    doubled = doubled_tokens(measurements.evidence.rows, places)
    of_server = {
        "queue_p99_s": None if isinstance(queue, str) else queue.value_s,
        "queue_p99_interval_s": None if isinstance(queue, str) else (queue.low_s, queue.high_s),
        "lost_tokens": None if isinstance(lost, str) else lost[0],
        "doubled_tokens": None if isinstance(doubled, str) else doubled[0],
    }
    reasons = {
        **dict.fromkeys(indicators, _EMPTY),
        "ttft_p99_interval_s": f"an interval for P99 needs {needed_for_interval(99)} arrivals",
        **dict.fromkeys(("queue_p99_s", "queue_p99_interval_s"), str(queue)),
        "lost_tokens": str(lost),
        "doubled_tokens": str(doubled),
    }
    return Phase.of({**asdict(slis.phase), **indicators, **of_server}, reasons)


def parts(measurements: Measurements) -> list[TrafficPart] | None:
    """Each part of the traffic in each phase of the run; None where the load has no parts."""
    labels = measurements.timeline.parts
    pairs = labels.pairs
    if len(pairs) < 2:
        return None
    phases = [slis.phase for slis in measurements.phases if slis.phase.of_occurrence is None]
    rows = measurements.evidence.rows
    return [
        _part(
            measurements,
            phase.name,
            profile,
            tenant,
            places[labels.flags(rows.index[places], profile, tenant)],
        )
        for phase in phases
        for places in (measurements.evidence.within(phase),)
        for profile, tenant in pairs
    ]


def _part(
    measurements: Measurements, phase: str, profile: str | None, tenant: str | None, places: Ints
) -> TrafficPart:
    found, n = measurements.evidence, len(places)
    ttft_s = np.sort(np.round(samples(found.rows, "ttft", places), 6))
    failed = int(np.sum(found.failed[places]))
    values = {
        "phase": phase,
        "n": n,
        "failed": failed,
        "goodput": int(np.sum(found.good[places])) / n if n else None,
        "error_ratio": failed / n if n else None,
        "ttft_p50_s": quantile(ttft_s, 50) if n else None,
        "ttft_p99_s": quantile(ttft_s, 99) if n else None,
    }
    names = {key: name for key, name in (("profile", profile), ("tenant", tenant)) if name is not None}
    return TrafficPart.of({**names, **values}, dict.fromkeys(values, _EMPTY))
