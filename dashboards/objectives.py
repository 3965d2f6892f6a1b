"""The objectives of exporters/slo.py as the dashboards need them: bounds in seconds, and limits of panels."""

from dashboards.panels import Limit
from exporters.slo import Objective


def bound_s(objective: Objective) -> float:
    """The objective's bound in seconds; ValueError when it has none, and so no bucket to count."""
    if objective.bound_s is None:
        raise ValueError(f"{objective.name} has no bound")
    return objective.bound_s


def latency_limit(objective: Objective) -> Limit:
    """Where a latency stops being good."""
    return Limit(bound_s(objective), good="below")


def share_limit(objective: Objective) -> Limit:
    """What share must be good."""
    return Limit(objective.share, good="above")


def failure_limit(objective: Objective) -> Limit:
    """What share may be bad: the error budget."""
    return Limit(budget(objective), good="below")


def budget(objective: Objective) -> float:
    """The share that may be bad, 0 to 1, without the digits that floating point adds."""
    return round(1 - objective.share, 9)
