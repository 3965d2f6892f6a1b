"""How the gateway answers faults: whom it stops sending requests to, for how long, and what it tries again.

Frozen data that crosses two pipes as JSON, with the spec of the cluster. Where meanings or defaults follow somebody
else's: outlier detection, its ejection time that grows and its largest share are Envoy's (its default share of 10 %
could not cover a third of the replicas, so it is half here), the retry budget is Finagle's (20 % and 10 per second).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class EjectionSpec:
    """When a replica that is ready is worse than its peers, and gets no requests for a while."""

    errors: bool = True
    """By answers of 5xx, and connections that fail before an answer."""
    broken_streams: bool = True
    """By streams that are cut, report an error, stall, or do not begin."""
    latency: bool = False
    """By first tokens and token gaps that are slower than the peers'."""
    consecutive: int = 3
    """Failures in a row that are needed at least."""
    first_token_s: float = 2.0
    """A stream that has not begun after this long counts as broken."""
    stall_s: float = 2.0
    """So does one that had begun and has sent nothing for this long."""
    slow_factor: float = 3.0
    """Slow is more than this many times the peers' median."""
    most: float = 0.5
    """The largest share of all replicas that may be out."""
    base_s: float = 10.0
    """For how long the first time; twice as long at each further time."""
    longest_s: float = 60.0
    """But no longer; who was in rotation for so long begins anew."""

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1 or self.consecutive < 1 or self.slow_factor <= 1:
            raise ValueError(f"ejection needs 0 <= most <= 1, consecutive >= 1 and slow_factor > 1: {self}")
        if min(self.first_token_s, self.stall_s, self.base_s) <= 0 or self.base_s > self.longest_s:
            raise ValueError(f"ejection's times are positive, and base_s <= longest_s: {self}")


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """When a request is tried again on another replica."""

    enabled: bool = True
    budget: float = 0.2
    """As many retries may go on as this share of the open requests."""
    min_per_second: float = 10.0
    """So many more are allowed in any case."""

    def __post_init__(self) -> None:
        if not 0 <= self.budget <= 1 or self.min_per_second < 0:
            raise ValueError(f"a retry budget is a share, and min_per_second is not negative: {self}")


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """All of it."""

    ejection: EjectionSpec = EjectionSpec()
    retries: RetrySpec = RetrySpec()
    e2e_s: float | None = None
    """An end-to-end objective that is to be among the bucket edges of its latencies."""

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Self:
        """The spec that `dataclasses.asdict` was given; TypeError or ValueError when the row is none."""
        return cls(EjectionSpec(**row["ejection"]), RetrySpec(**row["retries"]), row["e2e_s"])
