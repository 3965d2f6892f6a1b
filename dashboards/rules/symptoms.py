"""What a symptom alert is, and the few pieces of PromQL that several of them share."""

from dataclasses import dataclass

from dashboards.rules.groups import Alert
from dashboards.rules.slo import KEEP

UP = "up"
"""Prometheus' own series of every target: the one signal that no engine can withhold."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """An alert on something that hurts or soon will, and the signals that it reads."""

    needs: tuple[str, ...]
    alert: Alert


def total(selector: str, window: str, *labels: str, offset: str = "") -> str:
    """Events over a window, from recorded rates; only ratios of two such totals mean anything."""
    samples = f"{selector}[{window}]" + (f" offset {offset}" if offset else "")
    return f"sum by ({', '.join([KEEP, *labels])}) (sum_over_time({samples}))"


def percent(ratio: float) -> str:
    """For sentences: 0.25 is `25 %`."""
    return f"{ratio * 100:g} %"
