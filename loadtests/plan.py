"""The arrival plan: at which instants requests leave, as a pure function of process, rate, duration and seed.

The same four values give the same plan, bit for bit, on every platform and Python version: the uniform
numbers come from `random.Random(seed).random()`, which the standard library promises never to change, and
the logarithm is `decimal`'s, which is correctly rounded, where the C library's may differ in its last bit.
"""

import hashlib
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from typing import Literal, get_args

Process = Literal["poisson", "constant"]
PROCESSES: tuple[Process, ...] = get_args(Process)

_CONTEXT = Context(prec=20)


@dataclass(frozen=True)
class Plan:
    """When each request of a run leaves. Raises ValueError for a rate or duration that is not positive."""

    process: Process
    rate_per_s: float
    duration_s: float
    seed: int

    def __post_init__(self) -> None:
        if self.process not in PROCESSES:
            raise ValueError(f"arrivals must be one of {', '.join(PROCESSES)}, not {self.process!r}")
        for name in ("rate_per_s", "duration_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)!r}")

    @cached_property
    def offsets_s(self) -> tuple[float, ...]:
        """Seconds after the plan's first instant, ascending, all in [0, duration).

        Constant: the i-th arrival is at i / rate, rounded once, so that no error adds up.
        Poisson: the gaps are exponential with mean 1 / rate, by inversion: -ln(1 - u) / rate.
        """
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
        uniform = random.Random(self.seed).random  # noqa: S311 - a repeatable plan, not a secret
        rate = Decimal(self.rate_per_s)
        offset = Decimal(0)
        while True:
            gap = _CONTEXT.divide(-_CONTEXT.ln(Decimal(1 - uniform())), rate)
            offset = _CONTEXT.add(offset, gap)
            if (offset_s := float(offset)) >= self.duration_s:
                return
            yield offset_s
