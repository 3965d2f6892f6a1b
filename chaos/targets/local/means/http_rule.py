"""HTTP on its way to a replica and back: ruled by the proxy, and looked at with questions through it and beside it."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import msgspec

from chaos.targets import Evidence, Replica
from chaos.targets.http import evidence as http_evidence
from chaos.targets.http.effects import HttpRule
from chaos.targets.http.evidence import Pair, Plan
from chaos.targets.http.questions import Answer, Question, questions
from chaos.targets.local import naming
from chaos.targets.local.means.door import KEY_HEADER
from chaos.targets.local.means.means import Enforcer, Means, Sight, View, Witness, there
from chaos.targets.local.pod import Pod
from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

T = TypeVar("T")

_PATIENCE_S = 5.0
"""Of a question asked beside the network."""


class _Enforcer(Enforcer[HttpRule]):
    async def cause(self, occurrence: str, effect: HttpRule, pods: Sequence[Pod]) -> float:
        at_s = time.monotonic()
        callers = naming.calling(self.cluster.spec, effect.port)
        routes = [naming.route(caller, pod.name) for pod in pods for caller in callers]
        rule = msgspec.to_builtins(effect)
        await self.cluster.order_proxy("rule", occurrence=occurrence, routes=routes, rule=rule)
        return at_s

    async def undo(self, occurrence: str) -> None:
        await self.cluster.order_proxy("unrule", occurrence=occurrence)


@dataclass(slots=True)
class _Sight(Sight[HttpRule]):
    plans: dict[str, Plan] = field(default_factory=dict)
    """What each victim is asked, by uid; of those for which something was found."""


@dataclass(frozen=True, slots=True)
class _Doors:
    """The two ways to one replica, as ports."""

    through: int
    direct: int


_NOBODY_THERE = Pair(Answer("refused"), Answer("refused"))


class _Witness(Witness[HttpRule]):
    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._in_force: dict[str, tuple[HttpRule, frozenset[str]]] = {}

    def aim(self, occurrence: str, effect: HttpRule, victims: Sequence[Replica]) -> _Sight:
        sight = _Sight(occurrence, effect, tuple(victims), self.view.processes(victims))
        spec = self.view.spec
        serves = naming.GATEWAY in naming.calling(spec, effect.port)
        paths = (spec.readiness.path, spec.liveness.path, "/v1/models") if serves else ("/metrics",)
        candidates = questions(effect, paths, {KEY_HEADER: spec.faults_key})
        plans = _at_once(
            {
                uid: partial(
                    http_evidence.plan,
                    effect,
                    candidates,
                    partial(_ask, doors.direct),
                    partial(_ask, doors.through),
                )
                for uid, doors in self._doors(sight, self.view.rows()).items()
            }
        )
        sight.plans = {uid: plan for uid, plan in plans.items() if plan is not None}
        return sight

    def injected(self, sight: Sight[HttpRule], uids: Sequence[str]) -> None:
        self._in_force[sight.occurrence] = (sight.effect, frozenset(uids))

    def undone(self, sight: Sight[HttpRule]) -> None:
        self._in_force.pop(sight.occurrence, None)

    def hit(self, sight: Sight[HttpRule]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        pairs, counts = self._pairs(sight, self.view.rows()), self.view.network()["ruled"]
        found = [
            http_evidence.hit(
                victim.name,
                sight.effect,
                sight.plans.get(victim.uid),
                pairs.get(victim.uid, _NOBODY_THERE),
            )
            for victim in sight.victims
        ]
        return [
            replace(
                each, how=f"{each.how}; its proxy counts {_selected(counts, each, sight)} messages selected"
            )
            for each in found
        ]

    def unharmed(self, sight: Sight[HttpRule]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        rows = self.view.rows()
        pairs = self._pairs(sight, rows)
        return [
            http_evidence.back(
                victim.name,
                sight.effect,
                sight.plans.get(victim.uid),
                pairs.get(victim.uid, _NOBODY_THERE),
                self._others(sight.occurrence, victim.uid),
            )
            if victim.uid in rows
            else there(victim, listed=False)
            for victim in sight.victims
        ]

    def _others(self, occurrence: str, uid: str) -> list[HttpRule]:
        """Other rules that are in force on this replica now."""
        return [
            rule
            for which, (rule, uids) in self._in_force.copy().items()
            if which != occurrence and uid in uids
        ]

    def _pairs(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, Pair]:
        """What came of each victim's question, through its network and beside it."""
        patience_s = http_evidence.patience_s(sight.effect)
        return _at_once(
            {
                uid: partial(_pair, doors, sight.plans[uid].question, patience_s)
                for uid, doors in self._doors(sight, rows).items()
                if uid in sight.plans
            }
        )

    def _doors(self, sight: _Sight, rows: Mapping[str, Message]) -> dict[str, _Doors]:
        serves = naming.GATEWAY in naming.calling(self.view.spec, sight.effect.port)
        through, direct = ("proxy_port", "port") if serves else ("metrics_proxy_port", "metrics_port")
        return {
            uid: _Doors(rows[uid][through], rows[uid][direct])
            for uid in sight.processes
            if uid in rows and rows[uid][through] and rows[uid][direct]
        }


def _selected(counts: Mapping[str, Mapping[str, int]], evidence: Evidence, sight: _Sight) -> int:
    names = (naming.route(caller, evidence.replica) for caller in naming.PORTS)
    return sum(counts.get(name, {}).get(sight.occurrence, 0) for name in names)


def _ask(port: int, question: Question) -> Answer:
    return _answer(port, question, _PATIENCE_S)


def _answer(port: int, question: Question, patience_s: float) -> Answer:
    """Ask, over a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=patience_s)
    began_s = time.monotonic()
    try:
        connection.request(question.method, question.target, question.body or None, dict(question.headers))
        response = connection.getresponse()
        took_s = time.monotonic() - began_s
        headers = tuple(response.getheaders())
        return Answer("answered", took_s, response.status, response.reason, headers, response.read())
    except TimeoutError:
        return Answer("silence")
    except ConnectionRefusedError:
        return Answer("refused")
    except (OSError, http.client.HTTPException):
        return Answer("broken off")
    finally:
        connection.close()


def _pair(doors: _Doors, question: Question, patience_s: float) -> Pair:
    return Pair(_answer(doors.through, question, patience_s), _ask(doors.direct, question))


def _at_once(jobs: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """What comes of each job, done beside each other."""
    if not jobs:
        return {}
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="question") as pool:
        begun = {name: pool.submit(job) for name, job in jobs.items()}
        return {name: each.result() for name, each in begun.items()}


def _hindrance(rule: HttpRule, spec: LocalSpec) -> str | None:
    """Why this rule is none that replicas have here."""
    if rule.encrypted:
        return "nothing that passes in front of a replica is encrypted here: leave tls out"
    if naming.calling(spec, rule.port):
        return None
    ports = {port for port in naming.PORTS.values() if naming.calling(spec, port)}
    known = " and ".join(f"{port} ({_MEANT[port]})" for port in sorted(ports))
    return f"nobody calls replicas here at port {rule.port}: what stands for theirs is {known}"


_MEANT = {naming.PORTS[naming.GATEWAY]: "requests", naming.PORTS[naming.PROMETHEUS]: "metrics"}


MEANS = Means(HttpRule, _Enforcer, _Witness, _hindrance)
