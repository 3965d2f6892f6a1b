"""Slow steps: tokens of the witness' own that come so many times slower than before."""

import math

from chaos.targets.engine_effects import SlowSteps
from chaos.targets.local.means.client import ClientWitness
from chaos.targets.local.means.completion import Heard
from chaos.targets.local.means.door import DoorEnforcer, no_door
from chaos.targets.local.means.means import Means
from chaos.targets.local.wire import Message


class _Enforcer(DoorEnforcer[SlowSteps]):
    def order(self, effect: SlowSteps) -> Message:
        return {"fault": "slow-steps", "factor": effect.factor}


class _Witness(ClientWitness[SlowSteps]):
    """Compares the median time between two tokens: halfway to the factor, on a scale of ratios, decides."""

    tokens = 12

    def is_struck(self, effect: SlowSteps, before: Heard, now: Heard) -> bool:
        return math.sqrt(effect.factor) * before.gap_s <= now.gap_s < math.inf

    def is_well(self, effect: SlowSteps, before: Heard, now: Heard) -> bool:
        return now.gap_s < math.sqrt(effect.factor) * before.gap_s

    def in_words(self, before: Heard, now: Heard) -> str:
        return (
            f"between two tokens of a completion asked for beside the gateway {now.gap_s * 1000:.1f} ms pass at the "
            f"median, {before.gap_s * 1000:.1f} ms before the fault"
        )


MEANS = Means(SlowSteps, _Enforcer, _Witness, no_door)
