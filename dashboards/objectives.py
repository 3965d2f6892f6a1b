"""What queries, panels and rules need of an objective: its bound in seconds, its error budget."""

from exporters.slo import Objective


def bound_s(objective: Objective) -> float:
    """The objective's bound in seconds; ValueError when it has none, and so no bucket to count."""
    if objective.bound_s is None:
        raise ValueError(f"{objective.name}: a latency objective needs a bound")
    return objective.bound_s


def budget(objective: Objective) -> float:
    """The share that may be bad, 0 to 1, without the digits that floating point adds."""
    return round(1 - objective.share, 9)
