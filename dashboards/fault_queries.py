"""Every query of the faults in force, and other queries seen by phase: baseline, fault, recovery."""

from dashboards.config import PHASE_MEMORY
from dashboards.promql import now
from exporters.series.run import CHAOS_ACTIVE


def faults_active() -> str:
    """1 while a fault is in force, by fault, kind and target."""
    return now("max", CHAOS_ACTIVE, "", by=("experiment", "fault", "kind", "target"))


def fault_windows() -> str:
    """The faults in force and nothing else: what annotations are made of."""
    return f"{faults_active()} > 0"


def in_baseline(expression: str) -> str:
    """A series without labels, where no fault is in force nor was one lately."""
    return f"({expression}) unless on () ({_lately()})"


def in_fault(expression: str) -> str:
    """A series without labels, while a fault is in force."""
    return f"({expression}) and on () ({_active()})"


def in_recovery(expression: str) -> str:
    """A series without labels, after a fault."""
    return f"(({expression}) and on () ({_lately()})) unless on () ({_active()})"


def _active() -> str:
    return f"max ({CHAOS_ACTIVE.name}) > 0"


def _lately() -> str:
    return f"max (max_over_time({CHAOS_ACTIVE.name}[{PHASE_MEMORY}])) > 0"
