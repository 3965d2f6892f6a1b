"""Terms about the requests of a phase: counts, shares, quantiles."""

from collections.abc import Callable

import numpy as np

from chaos.assertions.stretches import Requests, missing, phase_of, requests_of
from chaos.assertions.term import Observed, Recorded, Term, exactly
from chaos.measuring.canaries import wrong_answers
from chaos.measuring.columns import Flags
from chaos.measuring.intervals import quantile_interval, share_interval
from chaos.measuring.measurements import Measurements
from chaos.measuring.quantiles import needed_for_interval, quantile, quantile_bounds
from chaos.measuring.slis import on_time, samples
from chaos.measuring.timeline import fewest_ready, ready_steps
from chaos.measuring.token_counts import doubled_tokens, lost_tokens

Counting = Callable[[Term, Measurements, Requests], Observed]


def of_requests(count: Counting, *, of_none: bool = False) -> Callable[[Term, Recorded], Observed]:
    """A term's function from one over the requests of its phase; without any unknown, or with `of_none` counted."""

    def observe(term: Term, run: Recorded) -> Observed:
        found = requests_of(term, run.measurements)
        if found is None:
            return Observed(None, reason=missing(term))
        if not len(found) and not of_none:
            whose = f" of {' and '.join(term.only.words)}" if term.only.words else ""
            return Observed(None, n=0, reason=f"no planned arrival{whose} in the {term.arguments[-1]} phase")
        return count(term, run.measurements, found)

    return observe


def number(_: Term, __: Measurements, requests: Requests) -> Observed:
    """Planned arrivals."""
    return exactly(len(requests), len(requests))


def outcome(term: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Those that ended in one way."""
    of_it = measurements.evidence.rows.ended_as(term.arguments[0])[requests.places]
    return exactly(int(np.sum(of_it)), len(requests))


def goodput(_: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Good ones per planned arrival."""
    found, places = measurements.evidence, requests.places
    return _share(found.good[places], found.unknown[places])


def smooth_goodput(_: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Good ones every token of which came by its own deadline, per planned arrival."""
    found, places = measurements.evidence, requests.places
    smooth = found.good[places] & on_time(found.rows, places, measurements.objectives)
    return _share(smooth, found.unknown[places])


def goodput_rate(term: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Good ones per second."""
    share, length_s = goodput(term, measurements, requests), requests.phase.length_s
    if share.interval is None or share.value is None or length_s <= 0:
        return Observed(None, n=len(requests), reason="the phase has no length")
    rate, (low, high) = len(requests) / length_s, share.interval
    return Observed(share.value * rate, (low * rate, high * rate), len(requests))


def error_ratio(_: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Failed ones per planned arrival."""
    found, places = measurements.evidence, requests.places
    return _share(found.failed[places], found.unknown[places])


def tokens_lost(_: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Tokens that the server counted in complete answers, and that did not arrive."""
    return _counted(lost_tokens(measurements, requests.places))


def tokens_doubled(_: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Tokens that arrived in complete answers beyond those that the server counted."""
    return _counted(doubled_tokens(measurements.evidence.rows, requests.places))


def answers_wrong(_: Term, measurements: Measurements, requests: Requests) -> Observed:
    """Complete answers to canaries that say something else than the right one."""
    return _counted(wrong_answers(measurements, requests.places))


def latency(term: Term, measurements: Measurements, requests: Requests) -> Observed:
    """A quantile of a metric, or its largest sample."""
    metric, rows = term.arguments[0], measurements.timeline.rows
    # To the precision of stamps: the noise of floats repeats itself, and seems a dependence of requests.
    values = np.round(samples(rows, metric, requests.places), 6)
    # Gaps of one answer are not independent of each other: requests are what a claim about ITL rests on.
    n = len(requests) if metric == "itl" else len(values)
    if not len(values):
        return Observed(None, n=n, reason=f"no request has a {metric}")
    if term.percent is None:
        return exactly(float(np.max(values)), n)
    value = quantile(np.sort(values), term.percent)
    if metric == "itl":
        bounds, reason = quantile_bounds(np.sort(values), term.percent, n), None
    else:
        found = quantile_interval(values, term.percent, steady=False)
        bounds, reason = (max(found.low, 0.0), found.high), found.reason
    if reason:
        return Observed(value, n=n, reason=reason)
    needed = needed_for_interval(term.percent)
    wide = (
        f"{term.name} needs {needed} requests to be bounded from above, there are {n}" if n < needed else None
    )
    return Observed(value, bounds, n, wide)


def ready(term: Term, run: Recorded) -> Observed:
    """The fewest replicas ready at any instant of the phase."""
    phase = phase_of(term, run.measurements)
    if phase is None:
        return Observed(None, reason=missing(term))
    steps = ready_steps(run.measurements.timeline)
    if not steps:
        return Observed(None, reason="no event tells which replicas were ready")
    return exactly(fewest_ready(steps, phase.start_s, phase.end_s))


def _counted(found: tuple[int, int] | str) -> Observed:
    return Observed(None, reason=found) if isinstance(found, str) else exactly(*found)


def _share(flags: Flags, unknown: Flags) -> Observed:
    """A share of requests; those that say nothing of the service may have been either."""
    lowest = share_interval(flags & ~unknown, steady=False)
    highest = share_interval(flags | unknown, steady=False)
    reason = lowest.reason or highest.reason
    interval = None if reason else (lowest.low, highest.high)
    return Observed(float(np.mean(flags)), interval, len(flags), reason)
