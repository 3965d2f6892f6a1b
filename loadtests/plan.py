"""The arrival plan: at which instants requests leave, as a pure function of process, rate, duration and seed.

The rate is the same throughout, or rises: a ramp, to find out what a server can carry. The same values give the
same plan, bit for bit, on every platform and Python version: the uniform numbers come from
`random.Random(seed).random()`, which the standard library promises never to change, and the logarithm is `decimal`'s,
which is correctly rounded, where the C library's may differ in its last bit.
"""

import hashlib
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from itertools import accumulate, chain, repeat
from typing import Literal, get_args

Process = Literal["poisson", "constant"]
PROCESSES: tuple[Process, ...] = get_args(Process)

_CONTEXT = Context(prec=20)


@dataclass(frozen=True)
class Plan:
    """When each request of a run leaves.

    Raises ValueError for a rate or duration that is not positive, or a ramp that does not rise.
    """

    process: Process
    rate_per_s: float
    duration_s: float
    seed: int
    from_per_s: float | None = None
    """Where the rate begins, to grow by the same factor each second up to `rate_per_s`; None: it is constant.

    By a factor and not by a step: whatever a server can carry, it is then approached equally gently.
    """

    def __post_init__(self) -> None:
        if self.process not in PROCESSES:
            raise ValueError(f"arrivals must be one of {', '.join(PROCESSES)}, not {self.process!r}")
        for name in ("rate_per_s", "duration_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)!r}")
        if self.from_per_s is not None and not 0 < self.from_per_s < self.rate_per_s:
            raise ValueError(f"from_per_s must be positive and below rate_per_s, not {self.from_per_s!r}")

    @cached_property
    def offsets_s(self) -> tuple[float, ...]:
        """Seconds after the plan's first instant, ascending, all in [0, duration).

        Constant: the i-th arrival is at i / rate, rounded once, so that no error adds up.
        Poisson: the gaps are exponential with mean 1 / rate, by inversion: -ln(1 - u) / rate.
        A ramp: the same processes at rate 1, each instant moved to where as many arrivals are expected by then.
        """
        if self.from_per_s is not None:
            return tuple(self._ramp(self.from_per_s))
        instants = self._poisson() if self.process == "poisson" else self._constant()
        return tuple(instants)

    @cached_property
    def sha256(self) -> str:
        """Of all offsets: equal hashes mean equal plans."""
        return hashlib.sha256(struct.pack(f"<{len(self.offsets_s)}d", *self.offsets_s)).hexdigest()

    def slice(self, worker: int, workers: int) -> list[tuple[int, float]]:
        """The (index, offset) pairs of one worker of several: those with index mod workers == worker.

        Cutting one plan is exact for every process; giving each worker a plan of its own at rate / workers
        is exact for Poisson alone.
        """
        return list(enumerate(self.offsets_s))[worker::workers]

    def _constant(self) -> Iterator[float]:
        index = 0
        while (offset_s := index / self.rate_per_s) < self.duration_s:
            yield offset_s
            index += 1

    def _poisson(self) -> Iterator[float]:
        rate, offset = Decimal(self.rate_per_s), Decimal(0)
        for gap in self._unit_gaps():
            offset = _CONTEXT.add(offset, _CONTEXT.divide(gap, rate))
            if (offset_s := float(offset)) >= self.duration_s:
                return
            yield offset_s

    def _ramp(self, from_per_s: float) -> Iterator[float]:
        """Where from (e^(g t) - 1) / g = n: t = ln(1 + g n / from) / g, with g = ln(to / from) / duration."""
        start, end, lasts = (Decimal(value) for value in (from_per_s, self.rate_per_s, self.duration_s))
        growth = _CONTEXT.divide(_CONTEXT.ln(_CONTEXT.divide(end, start)), lasts)
        gaps = self._unit_gaps() if self.process == "poisson" else chain((Decimal(0),), repeat(Decimal(1)))
        for expected in accumulate(gaps, _CONTEXT.add):
            grown = _CONTEXT.divide(_CONTEXT.multiply(growth, expected), start)
            offset = _CONTEXT.divide(_CONTEXT.ln(_CONTEXT.add(grown, 1)), growth)
            if (offset_s := float(offset)) >= self.duration_s:
                return
            yield offset_s

    def _unit_gaps(self) -> Iterator[Decimal]:
        uniform = random.Random(self.seed).random  # noqa: S311 - a repeatable plan, not a secret
        while True:
            yield -_CONTEXT.ln(Decimal(1 - uniform()))
