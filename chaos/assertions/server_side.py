"""Terms that the cluster's own series decide: expressions, alerts, the time in the server's queue."""

import math

from chaos.assertions.asked import values_in
from chaos.assertions.stretches import missing, phase_of
from chaos.assertions.term import Observed, Recorded, Term, exactly
from chaos.measuring.quantiles import needed_for_interval
from chaos.measuring.queue_time import queue_time


def alerts(_: Term, run: Recorded) -> Observed:
    """How many fired once the load had begun; what was firing before is nobody's doing here."""
    if run.alerts is None:
        return Observed(None, reason="Prometheus was not asked for alerts")
    return exactly(sum(alert.fired_s >= 0 for alert in run.alerts))


def promql(term: Term, run: Recorded) -> Observed:
    """The largest, or the smallest, value of an expression in a phase: of those that were scraped."""
    phase = phase_of(term, run.measurements)
    if phase is None:
        return Observed(None, reason=missing(term))
    if run.promql is None:
        return Observed(None, reason="Prometheus was not asked")
    values = values_in(run.promql.get(term.promql or "", ()), phase)
    if isinstance(values, str):
        return Observed(None, reason=values)
    return exactly((max if term.name == "promql_max" else min)(values))


def queue_quantile(term: Term, run: Recorded) -> Observed:
    """A quantile of the time that requests waited in the server's queue, as far as its buckets tell."""
    phase = phase_of(term, run.measurements)
    if phase is None:
        return Observed(None, reason=missing(term))
    found = queue_time(run.queue, phase, term.percent or 0.0)
    if isinstance(found, str):
        return Observed(None, reason=found)
    wide = f"the server's histogram tells only that it is {found.low_s:g} to {found.high_s:g} s"
    if math.isinf(found.high_s):
        wide = f"it is at least {found.low_s:g} s; {found.n} requests left the queue, too few to bound it from above"
        if found.n >= needed_for_interval(term.percent or 0.0):
            wide = f"it is at least {found.low_s:g} s, and may lie beyond the last edge of the server's histogram"
    return Observed(found.value_s, (found.low_s, found.high_s), found.n, wide)
