"""Whether what a client sees of a replica's HTTP is as a rule wants it: judgements over questions and their answers.

What tells a changed message from an unchanged one is found before the fault, from answers that came straight: facts
that were the same both times, and that are others once the rule has been applied. A request that a rule changes is
asked in its changed form then; an answer is changed on paper.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaos.targets import Evidence
from chaos.targets.http import rules as http_rules
from chaos.targets.http.effects import HttpRule, Patch, Replacement
from chaos.targets.http.questions import Answer, Question
from chaos.targets.http.rules import BodyError

_ENOUGH = 0.8
"""Of a delay, so much must be seen: clocks and schedulers take the rest."""
LONGEST_WAIT_S = 2.0
"""For a message that is delayed: that it has not come by then is the proof of a longer delay."""
_ANSWER_S = 3.0
"""More than that no question may take."""
_OF_ONE_ANSWER = ("date", "content-length", "x-request-id")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of one replica, and what tells whether the rule is in force."""

    question: Question
    breaks: bool
    """Whether the rule ends the connection."""
    tells: Mapping[str, tuple[str | None, str | None]]
    """By fact: what it is without the rule, and with it."""
    before: "Pair | None" = None
    """What came of the question before the fault."""

    def tells_still(self, direct: Answer) -> Mapping[str, tuple[str | None, str | None]]:
        """Those facts that the replica's own answer has now as before: what changes with time tells nothing."""
        now = facts(direct)
        return {fact: each for fact, each in self.tells.items() if now.get(fact) == each[0]}

    @property
    def could_be_told(self) -> bool:
        """Whether the network let it through before the fault."""
        return self.before is not None and self.before.through.ended == "answered"

    def late_s(self, now: "Pair") -> float:
        """How much later than before the answer comes through the network, what it takes beside it left out."""
        assert self.before is not None
        return now.late_s - max(0.0, self.before.late_s)


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers to one question asked twice, right after each other."""

    through: Answer
    """Through the network in front of the replica."""
    direct: Answer
    """Without the rule."""
    otherwise: str = "beside it"
    """Where or when the latter was heard."""

    @property
    def late_s(self) -> float:
        """What the network costs."""
        return self.through.took_s - self.direct.took_s

    def __str__(self) -> str:
        """For evidence."""
        return f"through its network {self.through}, {self.otherwise} {self.direct}"


def patience_s(rule: HttpRule) -> float:
    """How long to wait for an answer through the rule."""
    return min(rule.delay_s, LONGEST_WAIT_S) + _ANSWER_S


def plan(
    rule: HttpRule,
    candidates: Iterable[Question],
    ask: Callable[[Question], Answer],
    ask_through: Callable[[Question], Answer],
) -> Plan | None:
    """The first of the questions by which it can be told whether a rule is in force; None where none is.

    Args:
        rule: what is to be proved.
        candidates: harmless, and selected by the rule as requests.
        ask: asks the replica straight.
        ask_through: asks it through its network.
    """
    found = _plan(rule, candidates, ask)
    if found is None:
        return None
    return replace(found, before=Pair(ask_through(found.question), ask(found.question)))


def _plan(rule: HttpRule, candidates: Iterable[Question], ask: Callable[[Question], Answer]) -> Plan | None:
    for question in candidates:
        plain = (ask(question), ask(question))
        if any(answer.ended != "answered" for answer in plain):
            continue
        if rule.target == "Response" and not all(
            http_rules.selects_response(rule, question.head, answer.head) for answer in plain
        ):
            continue
        try:
            changed = _changed(rule, question, plain, ask)
        except BodyError:
            return Plan(question, breaks=True, tells={})
        tells = _tells(plain, changed)
        if rule.abort or rule.delay_s or tells:
            return Plan(question, rule.abort, tells if _changes(rule) else {})
    return None


def hit(name: str, rule: HttpRule, of: Plan | None, now: Pair) -> Evidence:
    """Whether a replica's HTTP is as the rule wants it.

    Args:
        name: of the replica.
        rule: what the fault wants.
        of: what is asked; None where nothing can be.
        now: what came of it.
    """
    if of is None:
        return Evidence(name, verified=False, how=_nothing_to_ask(rule))
    how = f"{of.question} {now}"
    if not of.could_be_told or now.direct.ended != "answered":
        return Evidence(name, verified=False, how=f"{how}; before the fault {of.before}")
    if of.breaks:
        return Evidence(name, verified=now.through.ended == "broken off", how=how)
    if rule.delay_s > LONGEST_WAIT_S and now.through.ended == "silence":
        return Evidence(name, verified=True, how=f"{how} within {patience_s(rule):g} s")
    late = not rule.delay_s or of.late_s(now) >= _ENOUGH * rule.delay_s
    tells, seen = of.tells_still(now.direct), facts(now.through)
    wrong = [fact for fact, (_, wanted) in tells.items() if seen.get(fact) != wanted]
    more = f"; {', '.join(wrong)} not as the rule has it" if wrong else _told(tells)
    can_tell = bool(tells) or not of.tells
    verified = now.through.ended == "answered" and late and can_tell and not wrong
    return Evidence(name, verified=verified, how=how + more)


def back(name: str, rule: HttpRule, of: Plan | None, now: Pair, others: Iterable[HttpRule] = ()) -> Evidence:
    """Whether it is again as it was before; arguments as for `hit`, and other rules that are in force on it."""
    if of is None:
        return Evidence(name, verified=True, how=_nothing_to_ask(rule))
    how = f"{of.question} {now}"
    if not of.could_be_told:
        return Evidence(name, verified=True, how=f"{how}; before the fault {of.before}")
    if now.direct.ended != "answered":
        return Evidence(name, verified=True, how=f"{how}: nothing can be told of its network")
    answered = now.through.ended == "answered"
    on_time = answered and (not rule.delay_s or of.late_s(now) < rule.delay_s / 2)
    tells, seen = of.tells_still(now.direct), facts(now.through)
    wrong = [fact for fact, (before, _) in tells.items() if seen.get(fact) != before]
    if on_time and not wrong:
        return Evidence(name, verified=True, how=how)
    if any(
        http_rules.selects_request(replace(other, target="Request"), of.question.head) for other in others
    ):
        return Evidence(name, verified=True, how=f"{how}, which another rule that is in force selects too")
    more = f"; {', '.join(wrong)} not as before" if answered and wrong else ""
    return Evidence(name, verified=False, how=how + more)


def _changed(
    rule: HttpRule, question: Question, plain: tuple[Answer, ...], ask: Callable[[Question], Answer]
) -> tuple[Answer, ...]:
    """The answers where the rule is in force."""
    if rule.abort or not _changes(rule):
        return plain
    if rule.target == "Response":
        return tuple(answer.changed(rule) for answer in plain)
    other = question.changed(rule)
    return ask(other), ask(other)


def _changes(rule: HttpRule) -> bool:
    return rule.replace != Replacement() or rule.patch != Patch()


def _tells(plain: Sequence[Answer], changed: Sequence[Answer]) -> dict[str, tuple[str | None, str | None]]:
    """What is the same of all plain answers, and of all changed ones, and not of both."""
    before, after = [facts(answer) for answer in plain], [facts(answer) for answer in changed]
    found = {}
    for fact in sorted({fact for each in (*before, *after) for fact in each}):
        without, by_rule = {each.get(fact) for each in before}, {each.get(fact) for each in after}
        if len(without) == len(by_rule) == 1 and without != by_rule:
            found[fact] = (without.pop(), by_rule.pop())
    return found


def facts(answer: Answer) -> dict[str, str]:
    """Everything about an answer, by what it is about."""
    if answer.ended != "answered":
        return {"ended": answer.ended}
    found = {"status": str(answer.status)}
    for name, value in answer.headers:
        if name.lower() not in _OF_ONE_ANSWER:
            fact = f"header {name.lower()}"
            found[fact] = f"{found[fact]}, {value}" if fact in found else value
    try:
        found.update(_leaves("body", json.loads(answer.body)))
    except (ValueError, RecursionError):
        found["body"] = http_rules.text(answer.body)
    return found


def _leaves(where: str, value: Any) -> dict[str, str]:
    if isinstance(value, dict) and value:
        return {k: v for key, each in value.items() for k, v in _leaves(f"{where}.{key}", each).items()}
    if isinstance(value, list) and value:
        return {k: v for at, each in enumerate(value) for k, v in _leaves(f"{where}.{at}", each).items()}
    return {where: json.dumps(value)}


def _told(tells: Iterable[str]) -> str:
    return f"; {', '.join(tells)} as the rule has it, and not as before" if tells else ""


def _nothing_to_ask(rule: HttpRule) -> str:
    what = "a request that it selects" if rule.target == "Request" else "a request whose answer it selects"
    return f"found nothing harmless to ask that the rule would show on: {what}, and that a client sees a difference of"
