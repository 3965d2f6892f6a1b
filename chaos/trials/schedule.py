"""What a series will do, before it does anything: the order of its trials, and their seeds, by one seed."""

import hashlib
import math
from random import Random

from chaos.record.trials import Trial, TrialState

_SEEDS = 2**31


def schedule(seed: int, faults: int, shams: int) -> tuple[Trial, ...]:
    """Every trial in the order in which it is run; the shams lie anywhere among the others.

    The same seed and numbers give the same schedule. A trial's seed depends on the series' and its number alone.
    """
    rng = Random(f"schedule {seed}")  # noqa: S311 - repeatable
    total = faults + shams
    drawn = set(rng.sample(range(1, total + 1), shams))
    digits = max(2, len(str(total)))
    return tuple(
        Trial(
            number=number,
            folder=f"trial-{number:0{digits}}",
            sham=number in drawn,
            seed=seed_of(seed, number),
            state=TrialState.PLANNED,
        )
        for number in range(1, total + 1)
    )


def seed_of(seed: int, number: int) -> int:
    """The seed of one trial: below 2^31, and unlike that of any other trial of any series but by accident."""
    digest = hashlib.sha256(f"trial {seed} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _SEEDS


def shams_of(asked: float, faults: int) -> int:
    """How many shams were asked for: a number of them, or a share of the trials with a fault, rounded up."""
    return asked if isinstance(asked, int) else math.ceil(asked * faults)
