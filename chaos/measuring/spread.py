"""How a few samples lie: the quantiles that a chart may draw of them, and how many there are."""

from dataclasses import dataclass

import numpy as np

from chaos.measuring.columns import Floats
from chaos.measuring.quantiles import quantile


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of samples, failures as +inf."""

    n: int
    p50: float
    p95: float
    p99: float
    most: float


def spread(values: Floats) -> Spread | None:
    """Of samples in any order; None without one."""
    if not len(values):
        return None
    ordered = np.sort(values)
    return Spread(len(ordered), *(quantile(ordered, percent) for percent in (50, 95, 99, 100)))
