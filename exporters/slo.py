"""The service level objectives as data; standard library only, so that whoever judges can read them.

The defaults suit the local demo: ten replicas of a tiny model on a few shared cores. `exporters.slo_file` reads
those of somebody's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Objective:
    """The share of requests that must meet a bound, and the bound where there is one."""

    name: str
    meaning: str
    share: float
    """Ratio of requests, 0 to 1."""
    bound_s: float | None = None
    """A request is good at or below this many seconds; None when being answered is all that counts."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"{self.name}: share must lie between 0 and 1, not {self.share}")
        if self.bound_s is not None and self.bound_s <= 0:
            raise ValueError(f"{self.name}: bound_s must be above 0, not {self.bound_s}")

    @property
    def sentence(self) -> str:
        """`99% of requests within 0.5 s`."""
        within = "" if self.bound_s is None else f" within {self.bound_s:g} s"
        return f"{self.share * 100:g}% of requests{within}"


BURN_RATE_PAGE = 14.4
"""Uses 2 % of a 30 days' budget in one hour: the factor at which the workbook on SLOs pages somebody."""
LEAST_SHARE = 1 - 1 / BURN_RATE_PAGE
"""At or below it not even an outage burns the budget fast enough for anybody to be paged."""

TTFT_BOUND_S = 0.5
ITL_BOUND_S = 0.25
TPOT_BOUND_S = 0.1
E2E_BOUND_S = 2.5

TTFT = Objective("ttft", "time to first token", share=0.99, bound_s=TTFT_BOUND_S)
ITL = Objective("itl", "largest gap between two tokens", share=0.99, bound_s=ITL_BOUND_S)
TPOT = Objective(
    "tpot", "mean time per token after the first, of each answer", share=0.99, bound_s=TPOT_BOUND_S
)
E2E = Objective("e2e", "end-to-end latency", share=0.99, bound_s=E2E_BOUND_S)
AVAILABILITY = Objective("availability", "requests answered completely", share=0.99)
GOODPUT = Objective("goodput", "requests within every bound at once", share=0.99)
"""What a load is held to as a whole; made of the others, so that no rule of its own watches it."""

OBJECTIVES = (TTFT, ITL, E2E, AVAILABILITY)
"""What is held where nobody says otherwise."""
KNOWN = (TTFT, ITL, TPOT, E2E, AVAILABILITY, GOODPUT)
"""Everything that can be an objective, in the order in which it is told."""


def named(objectives: Iterable[Objective], name: str) -> Objective | None:
    """The objective of that name; None where there is none."""
    return next((objective for objective in objectives if objective.name == name), None)
