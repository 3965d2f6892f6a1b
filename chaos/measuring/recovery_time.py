"""What a recovery time is: a value with its interval, its status, and the criteria that it is held to."""

import math
from dataclasses import dataclass
from enum import StrEnum

NOTHING_INJECTED = "nothing was injected"


class Status(StrEnum):
    """What kind of answer a recovery time is."""

    RECOVERED = "recovered"
    NO_IMPACT = "no impact"
    NOT_RECOVERED = "not recovered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Criteria:
    """When a service counts as recovered."""

    goodput: float = 0.95
    """Share of the baseline's goodput that must be reached."""
    error_ratio: float = 0.02
    """Failures per planned arrival beyond those of the baseline that are tolerated."""
    window_s: float = 2.0
    """How long a partial loss is of which the design speaks; the unit of an observation's usual level."""
    hold_s: float = 5.0
    """How long after its end a disturbance must not come back."""
    within_s: float = 30.0
    """Later than this is not recovered."""
    cache: float = 0.9
    """Share of the baseline's hit ratio of prefix caches that must be reached."""

    def __post_init__(self) -> None:
        if not 0 < self.goodput <= 1 or not 0 <= self.error_ratio <= 1:
            raise ValueError(f"goodput and error_ratio are ratios, not {self.goodput} and {self.error_ratio}")
        if not 0 < self.window_s <= self.hold_s:
            raise ValueError(
                f"hold must be at least one window of {self.window_s:g} s, not {self.hold_s:g} s"
            )
        if self.within_s <= 0:
            raise ValueError(f"within must be above 0 s, not {self.within_s:g} s")


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """One recovery, in seconds from where it is counted."""

    status: Status
    value_s: float | None
    """0.0 without impact, +inf when not recovered, None when unknown."""
    interval_s: tuple[float, float]
    """What the observation proves: recovery took at least and at most so long; +inf where it proves no end."""
    resolution_s: float | None = None
    """The gap between the arrivals around the instant: between them nothing was asked."""
    first_touch_s: float | None = None
    """When the first disturbance ended; earlier than the value when the service flapped."""
    relapse_s: float | None = None
    """Start of the first disturbance after the full hold; None when there was none."""
    reason: str | None = None
    """Why the value is missing or infinite."""


def unknown(reason: str, at_least_s: float = 0.0, first_touch_s: float | None = None) -> RecoveryTime:
    """A recovery that could not be had."""
    return RecoveryTime(
        Status.UNKNOWN, None, (at_least_s, math.inf), first_touch_s=first_touch_s, reason=reason
    )


def never(at_least_s: float, reason: str, first_touch_s: float | None = None) -> RecoveryTime:
    """A recovery that did not come within what was observed."""
    return RecoveryTime(
        Status.NOT_RECOVERED, math.inf, (at_least_s, math.inf), first_touch_s=first_touch_s, reason=reason
    )
