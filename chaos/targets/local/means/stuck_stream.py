"""Stuck streams: a stream of the witness' own that begins well and gets stuck as the fault says."""

from chaos.targets.engine_effects import StuckStream
from chaos.targets.local.means.client import ClientWitness
from chaos.targets.local.means.completion import Heard
from chaos.targets.local.means.door import DoorEnforcer, no_door
from chaos.targets.local.means.means import Means
from chaos.targets.local.wire import Message

_MORE = 4
"""Tokens to ask for beyond those that come in order."""
_ENDS = {"silence": "silence", "reset": "reset", "end": "end", "error": "error"}


class _Enforcer(DoorEnforcer[StuckStream]):
    def order(self, effect: StuckStream) -> Message:
        return {
            "fault": "stuck-stream",
            "way": effect.way,
            "after_tokens": effect.after_tokens,
            "drip_s": effect.drip_s,
        }


class _Witness(ClientWitness[StuckStream]):
    def asked_for(self, effect: StuckStream) -> int:
        return effect.after_tokens + _MORE

    def is_struck(self, effect: StuckStream, before: Heard, now: Heard) -> bool:
        if now.status != 200:
            return False
        if effect.way == "abort":
            return now.ended == "done" and now.finish_reason == "abort"
        if effect.way == "drip":
            return max(now.gaps_s, default=0.0) >= 0.8 * effect.drip_s > max(before.gaps_s, default=0.0)
        return now.ended == _ENDS[effect.way] and now.finish_reason is None

    def is_well(self, effect: StuckStream, before: Heard, now: Heard) -> bool:  # noqa: ARG002
        return now.ended == "done" and now.finish_reason == before.finish_reason

    def in_words(self, before: Heard, now: Heard) -> str:
        longest_s = max(now.gaps_s, default=0.0)
        return f"{super().in_words(before, now)}; its longest gap {longest_s * 1000:.0f} ms"


MEANS = Means(StuckStream, _Enforcer, _Witness, no_door)
