"""Small harmless requests to a replica, by whichever way, and all that a client sees of their answers."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from chaos.targets.http import rules as http_rules
from chaos.targets.http.effects import HttpRule
from chaos.targets.http.rules import Request, Response

_COMPLETION = {"prompt": "Tell me what a witness is.", "max_tokens": 1, "temperature": 0}
_CHAT = {"messages": [{"role": "user", "content": _COMPLETION["prompt"]}], "max_tokens": 1, "temperature": 0}
_HARMLESS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Question:
    """A request that changes nothing wherever it comes."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Request:
        """As rules see it."""
        return Request(self.method, self.target, "1.1", tuple(self.headers.items()))

    def __str__(self) -> str:
        """For evidence."""
        return f"{self.method} {self.target}"

    def changed(self, rule: HttpRule) -> "Question":
        """As a rule whose target is requests makes it; BodyError where that breaks the connection."""
        head = http_rules.changed_request(rule, self.head)
        body = http_rules.changed_body([rule], self.body) if http_rules.body_is_changed([rule]) else self.body
        return Question(head.method, head.target, body, dict(head.headers))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client saw of one question."""

    ended: Literal["answered", "broken off", "silence", "refused"]
    took_s: float = math.inf
    """Until the head of the answer; infinite where none came in time."""
    status: int = 0
    reason: str = ""
    headers: http_rules.Headers = ()
    body: bytes = b""

    @property
    def head(self) -> Response:
        """As rules see it."""
        return Response(self.status, self.reason, "1.1", self.headers)

    def changed(self, rule: HttpRule) -> "Answer":
        """As a rule whose target is answers makes it; BodyError where that breaks the connection."""
        head = http_rules.changed_response(rule, self.head)
        body = http_rules.changed_body([rule], self.body) if http_rules.body_is_changed([rule]) else self.body
        return replace(self, status=head.status, reason=head.reason, headers=head.headers, body=body)

    def __str__(self) -> str:
        """For evidence."""
        if self.ended == "answered":
            return f"was answered {self.status} after {self.took_s:.3f} s"
        return {"silence": "had no answer", "refused": "was refused a connection"}.get(
            self.ended, "was broken off without an answer"
        )


def questions(rule: HttpRule, paths: Sequence[str], own: Mapping[str, str]) -> list[Question]:
    """Those of the harmless questions that a rule selects as requests.

    Args:
        rule: whatever its target.
        paths: which the replica answers to a GET at this port.
        own: headers by which the replica knows that a question for tokens is no load, if there are any.
    """
    gets = [rule.method] if rule.method in _HARMLESS else ["GET"]
    filled = (rule.path or "/").replace("*", "x").replace("?", "x")
    asked = [Question(method, path) for path in (*paths, filled) for method in gets]
    posted = {"Content-Type": "application/json", **own}
    asked += [
        Question("POST", path, json.dumps(body).encode(), posted)
        for path, body in (("/v1/completions", _COMPLETION), ("/v1/chat/completions", _CHAT))
    ]
    dressed = [replace(each, headers={**each.headers, **rule.request_headers}) for each in asked]
    as_request = replace(rule, target="Request")
    return [each for each in dressed if http_rules.selects_request(as_request, each.head)]
