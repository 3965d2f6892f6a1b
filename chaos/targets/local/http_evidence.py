"""Whether what a client sees of a replica's HTTP is as a rule wants it: judgements over questions and their answers.

What tells a changed message from an unchanged one is found before the fault, from answers that came straight: facts
that were the same both times, and that are others once the rule has been applied. A request that a rule changes is
asked in its changed form then; an answer is changed on paper.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chaos.targets import Evidence
from chaos.targets.http_effects import HttpRule, Patch, Replacement
from chaos.targets.local.proxy import http_rules
from chaos.targets.local.proxy.http_rules import BodyError
from chaos.targets.local.questions import Answer, Question

Facts = Mapping[str, str]
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


def patience_s(rule: HttpRule) -> float:
    """How long to wait for an answer through the rule."""
    return min(rule.delay_s, LONGEST_WAIT_S) + _ANSWER_S


def plan(rule: HttpRule, candidates: Iterable[Question], ask: Callable[[Question], Answer]) -> Plan | None:
    """The first of the questions by which it can be told whether a rule is in force; None where none is.

    Args:
        rule: what is to be proved.
        candidates: harmless, and selected by the rule as requests.
        ask: asks the replica straight.
    """
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
        tells = _tells(_stable(plain), _stable(changed))
        if rule.abort or rule.delay_s or tells:
            return Plan(question, rule.abort, tells if _changes(rule) else {})
    return None


def hit(name: str, rule: HttpRule, of: Plan | None, through: Answer, direct: Answer) -> Evidence:
    """Whether a replica's HTTP is as the rule wants it.

    Args:
        name: of the replica.
        rule: what the fault wants.
        of: what was asked; None where nothing could be.
        through: the answer through its network.
        direct: the answer beside it.
    """
    if of is None:
        return Evidence(name, verified=False, how=_nothing_to_ask(rule))
    how = _in_words(of, through, direct)
    if direct.ended != "answered":
        return Evidence(name, verified=False, how=how)
    if of.breaks:
        return Evidence(name, verified=through.ended == "broken off", how=how)
    if rule.delay_s > LONGEST_WAIT_S and through.ended == "silence":
        return Evidence(name, verified=True, how=f"{how} within {patience_s(rule):g} s")
    late = through.took_s - direct.took_s >= _ENOUGH * rule.delay_s
    seen = _facts(through)
    wrong = [fact for fact, (_, wanted) in of.tells.items() if seen.get(fact) != wanted]
    more = f"; {', '.join(wrong)} not as the rule has it" if wrong else _told(of)
    return Evidence(name, verified=through.ended == "answered" and late and not wrong, how=how + more)


def back(name: str, rule: HttpRule, of: Plan | None, through: Answer, direct: Answer) -> Evidence:
    """Whether it is again as it was before; arguments as for `hit`."""
    if of is None:
        return Evidence(name, verified=True, how=_nothing_to_ask(rule))
    how = _in_words(of, through, direct)
    if direct.ended != "answered":
        return Evidence(name, verified=True, how=f"{how}: nothing can be told of its network")
    on_time = not rule.delay_s or through.took_s - direct.took_s < rule.delay_s / 2
    seen = _facts(through)
    wrong = [fact for fact, (before, _) in of.tells.items() if seen.get(fact) != before]
    more = f"; {', '.join(wrong)} not as before" if wrong else ""
    return Evidence(name, verified=through.ended == "answered" and on_time and not wrong, how=how + more)


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


def _stable(answers: tuple[Answer, ...]) -> Facts:
    """What is the same of all of them."""
    first, *others = map(_facts, answers)
    return {fact: value for fact, value in first.items() if all(each.get(fact) == value for each in others)}


def _tells(before: Facts, after: Facts) -> dict[str, tuple[str | None, str | None]]:
    facts = before.keys() | after.keys()
    return {
        fact: (before.get(fact), after.get(fact))
        for fact in sorted(facts)
        if before.get(fact) != after.get(fact)
    }


def _facts(answer: Answer) -> dict[str, str]:
    """Everything about an answer, by what it is about."""
    if answer.ended != "answered":
        return {"ended": answer.ended}
    facts = {"status": str(answer.status)}
    for name, value in answer.headers:
        if name.lower() not in _OF_ONE_ANSWER:
            fact = f"header {name.lower()}"
            facts[fact] = f"{facts[fact]}, {value}" if fact in facts else value
    try:
        facts.update(_leaves("body", json.loads(answer.body)))
    except ValueError:
        facts["body"] = http_rules.text(answer.body)
    return facts


def _leaves(where: str, value: Any) -> dict[str, str]:
    if isinstance(value, dict) and value:
        return {k: v for key, each in value.items() for k, v in _leaves(f"{where}.{key}", each).items()}
    if isinstance(value, list) and value:
        return {k: v for at, each in enumerate(value) for k, v in _leaves(f"{where}.{at}", each).items()}
    return {where: json.dumps(value)}


def _in_words(of: Plan, through: Answer, direct: Answer) -> str:
    return f"{of.question.method} {of.question.target} through its network {through}, beside it {direct}"


def _told(of: Plan) -> str:
    return f"; {', '.join(of.tells)} as the rule has it, and not as before" if of.tells else ""


def _nothing_to_ask(rule: HttpRule) -> str:
    what = "a request that it selects" if rule.target == "Request" else "a request whose answer it selects"
    return f"found nothing harmless to ask that the rule would show on: {what}, and that a client sees a difference of"
