"""Random numbers of a plan: one independent stream per purpose, so that a change of one leaves the others as they are.

NumPy's PCG64 under a `SeedSequence` whose spawn key is the purpose. NumPy promises the bits of PCG64 for ever, and of
the distributions drawn from them that they change with a new version only (NEP 19). Exponential and gamma draws go
through the C library's logarithm, whose last bit may differ between machines: instants are therefore rounded to whole
nanoseconds, which leaves a different plan on another machine possible, one arrival in ten million, and no more. A run
is not touched by that: it plays its plan from a file.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of every plan: add, never change."""

    GAPS = 1
    RATE_PROFILE = 2
    PROMPTS = 3
    OUTPUTS = 4
    SESSIONS = 5
    SPREAD = 6
    MIX = 7


def stream(seed: int, purpose: Purpose) -> np.random.Generator:
    """The stream of a purpose; any whole number is a seed, negative ones too."""
    entropy = [abs(seed), int(seed < 0)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=(purpose,))))
