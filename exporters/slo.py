"""The service level objectives as data; standard library only, so that whoever judges can read them.

The defaults suit the local demo: ten replicas of a tiny model on a few shared cores.
"""

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


TTFT_BOUND_S = 0.5
ITL_BOUND_S = 0.25
E2E_BOUND_S = 2.5

TTFT = Objective("ttft", "time to first token", share=0.99, bound_s=TTFT_BOUND_S)
ITL = Objective("itl", "largest gap between two tokens", share=0.99, bound_s=ITL_BOUND_S)
E2E = Objective("e2e", "end-to-end latency", share=0.99, bound_s=E2E_BOUND_S)
AVAILABILITY = Objective("availability", "requests answered completely", share=0.99)

OBJECTIVES = (TTFT, ITL, E2E, AVAILABILITY)
