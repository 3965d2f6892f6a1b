"""Every query of the faults in force, and other queries seen by phase: baseline, fault, recovery."""

from dashboards.config import PHASE_MEMORY, RUN
from dashboards.queries.expression import Expression, promql
from dashboards.queries.promql import now
from exporters.series.run import CHAOS_ACTIVE


def faults_active() -> Expression:
    """1 while a fault is in force, by fault, kind and target."""
    return now("max", CHAOS_ACTIVE, RUN, by=("experiment", "fault", "kind", "target"))


def fault_windows() -> Expression:
    """The faults in force and nothing else: what annotations are made of."""
    return promql("{active} > 0", active=faults_active())


def in_baseline(expression: Expression) -> Expression:
    """A series without labels, where no fault is in force nor was one lately."""
    return promql("({all}) unless on () ({lately})", all=expression, lately=_lately())


def in_fault(expression: Expression) -> Expression:
    """A series without labels, while a fault is in force."""
    return promql("({all}) and on () ({active})", all=expression, active=_active())


def in_recovery(expression: Expression) -> Expression:
    """A series without labels, after a fault."""
    form = "(({all}) and on () ({lately})) unless on () ({active})"
    return promql(form, all=expression, lately=_lately(), active=_active())


def _active() -> Expression:
    return promql("{active} > 0", active=now("max", CHAOS_ACTIVE, RUN))


def _lately() -> Expression:
    return Expression((f"max (max_over_time({CHAOS_ACTIVE.name}{{{RUN}}}[{PHASE_MEMORY}])) > 0",))
