"""When waiting requests may start: the three ways to batch, behind one interface.

- `none`: one request at a time, the baseline of every textbook.
- `window`: requests are gathered for a short time and run as one batch to its end; nobody joins on the way.
- `continuous`: whoever fits joins at the next step.
"""

from dataclasses import dataclass
from typing import Protocol


class Policy(Protocol):
    """How many may start, and how long that answer stands."""

    def may_start(self, waiting: int, oldest_s: float, *, busy: bool) -> int:
        """How many of the `waiting` may start now, of which the oldest waits for `oldest_s`; `busy`: others run."""
        ...

    def opens_in_s(self, waiting: int, oldest_s: float) -> float:
        """How long until some of the `waiting` may start, while nobody runs and no other arrives."""
        ...


class OneByOne:
    """`none`."""

    def may_start(self, waiting: int, oldest_s: float, *, busy: bool) -> int:  # noqa: ARG002  the protocol's signature
        """One, when nobody runs."""
        return 0 if busy else min(waiting, 1)

    def opens_in_s(self, waiting: int, oldest_s: float) -> float:  # noqa: ARG002
        """At once."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """`window`: a batch starts when `size` wait or the oldest has waited for `seconds`."""

    size: int
    seconds: float

    def may_start(self, waiting: int, oldest_s: float, *, busy: bool) -> int:
        """A whole batch, when its window is over."""
        return 0 if busy or self.opens_in_s(waiting, oldest_s) > 0 else min(waiting, self.size)

    def opens_in_s(self, waiting: int, oldest_s: float) -> float:
        """The rest of the window."""
        return 0.0 if waiting >= self.size else max(0.0, self.seconds - oldest_s)


class Continuous:
    """`continuous`."""

    def may_start(self, waiting: int, oldest_s: float, *, busy: bool) -> int:  # noqa: ARG002
        """All."""
        return waiting

    def opens_in_s(self, waiting: int, oldest_s: float) -> float:  # noqa: ARG002
        """At once."""
        return 0.0
