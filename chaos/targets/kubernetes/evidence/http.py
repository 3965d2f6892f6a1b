"""Whether HTTP to a pod is as a rule wants it: harmless questions by way of the API server, before the fault and in it.

Nobody can ask a pod beside its network here: what it answered before the fault stands for that. Every question that a
rule is told by is one that the pod answers alike time and again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from chaos.targets import Evidence, Replica
from chaos.targets.http import evidence
from chaos.targets.http.effects import HttpRule
from chaos.targets.http.evidence import Pair, Plan
from chaos.targets.http.questions import Answer, Question, questions
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.objects import Item, pods

_PATIENCE_S = 5.0
_NOTHING = Pair(Answer("refused"), Answer("refused"))
_BEFORE = "before the fault it"
_COMMON = ("/v1/models", "/metrics")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(frozen=True, slots=True)
class HttpSight:
    """How the HTTP of one victim is looked at, from before the fault on."""

    api: Api
    victim: Replica
    rule: HttpRule
    of: Plan | None
    """None where nothing harmless tells."""

    @classmethod
    def before(cls, api: Api, victim: Replica, item: Item, rule: HttpRule) -> "HttpSight":
        """Find out what can be asked.

        Raises:
            ApiError: this account may not ask.
        """
        ask = partial(_ask, api, victim, rule.port, _PATIENCE_S)
        found = questions(rule, [*_paths(item, rule.port), *_COMMON], {})
        return cls(api, victim, rule, evidence.plan(rule, found, ask, ask))

    def hit(self) -> Evidence:
        """Whether it is as the rule wants it."""
        return evidence.hit(self.victim.name, self.rule, self.of, self._now())

    def over(self) -> Evidence:
        """Whether it is as it was."""
        return evidence.back(self.victim.name, self.rule, self.of, self._now())

    def _now(self) -> Pair:
        if self.of is None or self.of.before is None:
            return _NOTHING
        patience_s = evidence.patience_s(self.rule)
        now = _ask(self.api, self.victim, self.rule.port, patience_s, self.of.question)
        return Pair(now, self.of.before.direct, _BEFORE)


def _ask(api: Api, victim: Replica, port: int, patience_s: float, question: Question) -> Answer:
    return api.question_pod(pods(victim.namespace) / victim.name, port, question, within_s=patience_s)


def _paths(item: Item, port: int) -> Iterator[str]:
    """What the pod's probes ask at this port."""
    for container in item["spec"].get("containers") or ():
        named = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
        for name in _PROBES:
            http = (container.get(name) or {}).get("httpGet") or {}
            if named.get(http.get("port"), http.get("port")) == port:
                yield str(http.get("path") or "/")
