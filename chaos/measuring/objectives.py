"""The objectives of a request, and whether one row meets them: the word `good`, for one request at a time."""

from dataclasses import dataclass

from loadtests.rows import Row


@dataclass(frozen=True, slots=True)
class Objectives:
    """The SLO of one request: upper bounds in seconds, inclusive."""

    ttft_s: float
    e2e_s: float
    itl_s: float | None = None
    """Bound of the largest gap between two tokens; None leaves gaps unbounded."""
    tpot_s: float | None = None
    """Bound of the mean time per token after the first; None leaves it unbounded."""


def is_good(row: Row, objectives: Objectives) -> bool:
    """Whether the arrival was answered completely and within every bound."""
    if not row.ok or row.ttft_s is None or row.e2e_s is None:
        return False
    if row.ttft_s > objectives.ttft_s or row.e2e_s > objectives.e2e_s:
        return False
    if objectives.itl_s is not None and max(row.itl_s, default=0.0) > objectives.itl_s:
        return False
    return objectives.tpot_s is None or round(row.tpot_s or 0.0, 9) <= objectives.tpot_s
