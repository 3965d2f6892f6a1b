"""Looks whether victims are hit: at their pods in the watch, through the API server's proxy, and into their containers.

What Chaos Mesh's records say is told beside it, and proves nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from chaos.interrupts import hurrying
from chaos.targets import Evidence, Replica
from chaos.targets.effects import Effect, Link, MemoryStress, ProcessorStress
from chaos.targets.http.effects import HttpRule
from chaos.targets.kubernetes.evidence import link as link_evidence
from chaos.targets.kubernetes.evidence import pod as pod_evidence
from chaos.targets.kubernetes.evidence import stress as stress_evidence
from chaos.targets.kubernetes.evidence.http import HttpSight
from chaos.targets.kubernetes.evidence.link import Asked
from chaos.targets.kubernetes.evidence.probing import Prober
from chaos.targets.kubernetes.evidence.stress import Stressor
from chaos.targets.kubernetes.objects import ApiError
from chaos.targets.kubernetes.pods import Pod

T = TypeVar("T")
R = TypeVar("R")
_LOOK_EVERY_S = 0.1
_BETWEEN_LOOKS_S = 0.4
_MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Before:
    """How a victim was before the fault."""

    victim: Replica
    pod: Pod
    links: Mapping[int, Asked] = field(default_factory=dict)
    """By the place of the effect."""
    stressors: Mapping[int, Stressor] | None = None
    """By pid; None where nobody could look."""
    http: Mapping[int, HttpSight] = field(default_factory=dict)
    """By the place of the effect; without those at which nobody could look."""
    why_not: str = ""
    """Why nobody could."""


@dataclass(slots=True)
class Witness:
    """Of one cluster."""

    prober: Prober
    pod: Callable[[str], Pod | None]
    """Of a uid; None where it is gone."""

    def before(self, effects: Sequence[Effect], victims: Sequence[Replica]) -> Sequence[Before]:
        """How the victims are, as far as that is needed to tell whether they are hit."""
        return _all(lambda victim: self._before(effects, victim), victims)

    def hit(self, effects: Sequence[Effect], known: Sequence[Before], within_s: float) -> Sequence[Evidence]:
        """Look until each victim is hit by every effect, or the time is over."""
        return _until_verified(lambda: _all(lambda one: self._hit(effects, one), known), within_s)

    def over(self, effects: Sequence[Effect], known: Sequence[Before], within_s: float) -> Sequence[Evidence]:
        """Look until each victim that still lives is as it was before, or the time is over."""
        return _until_verified(lambda: _all(lambda one: self._over(effects, one), known), within_s)

    def _before(self, effects: Sequence[Effect], victim: Replica) -> Before:
        pod = self.pod(victim.uid)
        assert pod is not None, "drawn from the same watch a moment ago"
        links = {
            place: self.prober.ask(victim, effect)
            for place, effect in enumerate(effects)
            if isinstance(effect, Link)
        }
        stresses = any(isinstance(effect, ProcessorStress | MemoryStress) for effect in effects)
        try:
            stressors = self._stressors(victim, pod) if stresses else None
            http = {
                place: self.prober.http(victim, effect)
                for place, effect in enumerate(effects)
                if isinstance(effect, HttpRule)
            }
        except ApiError as error:
            return Before(victim, pod, links, why_not=f"{error}")
        return Before(victim, pod, links, stressors, http)

    def _hit(self, effects: Sequence[Effect], one: Before) -> Evidence:
        return _together(one, [self._look(effect, place, one) for place, effect in enumerate(effects)])

    def _over(self, effects: Sequence[Effect], one: Before) -> Evidence:
        return _together(one, [self._look_after(effect, place, one) for place, effect in enumerate(effects)])

    def _look(self, effect: Effect, place: int, one: Before) -> tuple[bool, str]:
        now = self.pod(one.victim.uid)
        if now is not None and isinstance(effect, HttpRule):
            http = one.http.get(place)
            return _told(http.hit) if http else (False, f"nobody could ask it: {one.why_not}")
        if now is not None and isinstance(effect, Link):
            return link_evidence.hit(effect, one.links[place], self.prober.ask(one.victim, effect))
        if now is not None and isinstance(effect, ProcessorStress | MemoryStress):
            if one.stressors is None:
                return False, f"nobody could look into its container: {one.why_not}"
            try:
                first = self._stressors(one.victim, now)
                time.sleep(_BETWEEN_LOOKS_S)
                return stress_evidence.hit(effect, one.stressors, first, self._stressors(one.victim, now))
            except ApiError as error:
                return False, f"nobody could look into its container: {error}"
        return pod_evidence.hit(effect, one.pod, now)

    def _look_after(self, effect: Effect, place: int, one: Before) -> tuple[bool, str]:
        now = self.pod(one.victim.uid)
        if now is not None and place in one.http:
            return _told(one.http[place].over)
        if now is not None and isinstance(effect, Link):
            return link_evidence.over(
                effect, one.links[place], self.prober.ask(one.victim, effect, once=True)
            )
        if (
            now is not None
            and isinstance(effect, ProcessorStress | MemoryStress)
            and one.stressors is not None
        ):
            try:
                return stress_evidence.over(one.stressors, self._stressors(one.victim, now))
            except ApiError as error:
                return False, f"nobody could look into its container: {error}"
        return pod_evidence.over(effect, one.pod, now)

    def _stressors(self, victim: Replica, pod: Pod) -> Mapping[int, Stressor]:
        container = pod.containers[0].name
        return stress_evidence.stressors(self.prober.run(victim, container, stress_evidence.LIST))


def _told(look: Callable[[], Evidence]) -> tuple[bool, str]:
    try:
        evidence = look()
    except ApiError as error:
        return False, f"nobody could ask it: {error}"
    return evidence.verified, evidence.how


def _together(one: Before, looks: Sequence[tuple[bool, str]]) -> Evidence:
    how = "; ".join(dict.fromkeys(said for _, said in looks))
    return Evidence(one.victim.name, all(seen for seen, _ in looks), how)


def _all(look: Callable[[T], R], each: Sequence[T]) -> list[R]:
    """Whatever is looked at, at once: each of them may have to wait for silence."""
    with ThreadPoolExecutor(_MOST_AT_ONCE, "witness") as looking:
        return [*looking.map(look, each)]


def _until_verified(look: Callable[[], Sequence[Evidence]], within_s: float) -> Sequence[Evidence]:
    deadline_s = time.monotonic() + within_s
    while True:
        evidence = look()
        if all(each.verified for each in evidence) or time.monotonic() > deadline_s or hurrying():
            return evidence
        time.sleep(_LOOK_EVERY_S)
