"""A clock that is wrong: the replica's own stamp on an answer, beside the clock of whoever asked for it."""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import ClockShift
from chaos.targets.local.means.client import of_each
from chaos.targets.local.means.crash import other_containers
from chaos.targets.local.means.door import KEY_HEADER, DoorEnforcer, no_door
from chaos.targets.local.means.means import Means, Sight, Witness, there
from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

SEEN_FROM_S = 3.0
"""A smaller shift cannot be told: the stamp of an answer has whole seconds, and an answer takes its time."""
_PATIENCE_S = 5.0
_REALTIME = "CLOCK_REALTIME"


class _Enforcer(DoorEnforcer[ClockShift]):
    persists = True  # the clock is the machine's: it does not end with a process

    def order(self, effect: ClockShift) -> Message:
        return {"fault": "clock-shift", "offset_s": effect.offset_s}


@dataclass(slots=True)
class _ClockSight(Sight[ClockShift]):
    """By how much each victim's clock was ahead before the fault, by uid."""

    before_s: dict[str, float | None] = field(default_factory=dict)


class _Witness(Witness[ClockShift]):
    def aim(self, occurrence: str, effect: ClockShift, victims: Sequence[Replica]) -> _ClockSight:
        sight = _ClockSight(occurrence, effect, tuple(victims), self.view.processes(victims))
        sight.before_s = of_each(self.view, victims, self._ahead_s)
        return sight

    def hit(self, sight: Sight[ClockShift]) -> Sequence[Evidence]:
        return self._compared(sight, sight.effect.offset_s)

    def unharmed(self, sight: Sight[ClockShift]) -> Sequence[Evidence]:
        rows = self.view.rows()
        there_still = {each.replica: each for each in self._compared(sight, 0.0)}
        return [
            there_still[victim.name] if victim.uid in rows else there(victim, listed=False)
            for victim in sight.victims
        ]

    def _compared(self, sight: Sight[ClockShift], wanted_s: float) -> Sequence[Evidence]:
        """Whether each victim's clock is ahead by so much."""
        assert isinstance(sight, _ClockSight)
        now_s = of_each(self.view, sight.victims, self._ahead_s)
        return [
            self._judged(victim, sight.before_s.get(victim.uid), now_s.get(victim.uid), wanted_s)
            for victim in sight.victims
        ]

    def _judged(
        self, victim: Replica, before_s: float | None, now_s: float | None, wanted_s: float
    ) -> Evidence:
        if now_s is None:
            return Evidence(victim.name, verified=False, how="stamped no answer that was asked for")
        was = "unknown" if before_s is None else f"{before_s:+.1f} s"
        how = f"the stamp of an answer was {now_s:+.1f} s from the clock of whoever asked, {was} before the fault"
        return Evidence(victim.name, abs(now_s - wanted_s) < SEEN_FROM_S / 2, how)

    def _ahead_s(self, port: int) -> float | None:
        """How far the replica's clock is ahead, by the stamp of a completion; None where it gives none."""
        connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE_S)
        body = {"prompt": "What time is it?", "max_tokens": 1, "temperature": 0}
        headers = {"Content-Type": "application/json", KEY_HEADER: self.view.spec.faults_key}
        try:
            asked_s = time.time()
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            response = connection.getresponse()
            answered_s, said = time.time(), response.read()
            # Stamped in whole seconds, at some instant between the two.
            return float(json.loads(said)["created"]) + 0.5 - (asked_s + answered_s) / 2
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
            return None
        finally:
            connection.close()


def _hindrance(effect: ClockShift, spec: LocalSpec) -> str | None:
    """Why these replicas cannot have such a clock."""
    others = [clock for clock in effect.clocks if clock != _REALTIME]
    if others:
        return f"{_REALTIME} alone can be shifted here: a process that lost {others[0]} would lose its own timers"
    if abs(effect.offset_s) < SEEN_FROM_S:
        return f"a shift of less than {SEEN_FROM_S:g} s could not be proved: answers are stamped in whole seconds"
    return no_door(effect, spec) or other_containers(effect.containers, spec)


MEANS = Means(ClockShift, _Enforcer, _Witness, _hindrance)
