"""Which HTTP messages a rule selects, and what it makes of them: functions of a message alone.

Source: chaos-mesh/rs-tproxy, `src/handler.rs` and `src/tproxy.rs`: what is selected by requests is decided before any
of them is changed, and rules are applied in their order; in a rule, path, method, body, queries and headers are
replaced first, then queries, headers and body are added to. Answers are selected by their request as it was changed.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from chaos.targets.http.effects import HttpRule

Headers = tuple[tuple[str, str], ...]
_FRAMING = ("content-length", "transfer-encoding", "trailer")


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request."""

    method: str
    target: str
    """Path and query, as sent."""
    version: str
    """`1.1`."""
    headers: Headers

    @property
    def path(self) -> str:
        """Its path alone."""
        return self.target.split("?", 1)[0]

    @property
    def start(self) -> str:
        """Its first line."""
        return f"{self.method} {self.target} HTTP/{self.version}"


@dataclass(frozen=True, slots=True)
class Response:
    """The head of an answer."""

    status: int
    reason: str
    version: str
    """`1.1`."""
    headers: Headers

    @property
    def start(self) -> str:
        """Its first line."""
        return f"HTTP/{self.version} {self.status} {self.reason}"

    @property
    def has_body(self) -> bool:
        """Whether a body may follow, be it an empty one; unless the request was a HEAD."""
        return self.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class BodyError(ValueError):
    """A body that cannot be changed as a rule wants it."""


def text(data: bytes) -> str:
    """Bytes of a head as text; `as_bytes` undoes it exactly, whatever they are."""
    return data.decode(errors="surrogateescape")


def as_bytes(head: Request | Response) -> bytes:
    """A head as it is sent, with the empty line at its end."""
    lines = [head.start, *(f"{name}: {value}" for name, value in head.headers), "", ""]
    return "\r\n".join(lines).encode(errors="surrogateescape")


def selects_request(rule: HttpRule, request: Request) -> bool:
    """Whether a rule whose target is requests selects this one."""
    return rule.target == "Request" and _fits(rule, request)


def selects_response(rule: HttpRule, request: Request, response: Response) -> bool:
    """Whether a rule whose target is answers selects this one."""
    return (
        rule.target == "Response"
        and _fits(rule, request)
        and rule.code in (None, response.status)
        and _has(response.headers, rule.response_headers)
    )


def changed_request(rule: HttpRule, request: Request) -> Request:
    """The head that a rule makes of one; the lengths of its body left out."""
    path, _, query = request.target.partition("?")
    if rule.replace.path is not None:
        path = rule.replace.path or "/"
    if rule.replace.queries:
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        query = urlencode({**pairs, **rule.replace.queries})
    query = "&".join(part for part in (query, urlencode(rule.patch.queries)) if part)
    return Request(
        rule.replace.method or request.method,
        f"{path}?{query}" if query else path,
        request.version,
        _changed_headers(rule, request.headers),
    )


def changed_response(rule: HttpRule, response: Response) -> Response:
    """The head that a rule makes of one; the lengths of its body left out."""
    headers, code = _changed_headers(rule, response.headers), rule.replace.code
    if code is None:
        return replace(response, headers=headers)
    return Response(code, _reason(code), response.version, headers)


def body_is_replaced(rules: Iterable[HttpRule]) -> bool:
    """Whether the first change of a body by these makes it unimportant what it was."""
    first = next((rule for rule in rules if body_is_changed([rule])), None)
    return first is not None and first.replace.body is not None


def body_is_changed(rules: Iterable[HttpRule]) -> bool:
    """Whether these do anything to a body."""
    return any(rule.replace.body is not None or rule.patch.body is not None for rule in rules)


def changed_body(rules: Sequence[HttpRule], body: bytes) -> bytes:
    """The body that these make of one, in their order.

    Raises:
        BodyError: it is to be patched, and it is not JSON.
    """
    for rule in rules:
        if rule.replace.body is not None:
            body = rule.replace.body
        if rule.patch.body is not None:
            try:
                patched = merged(json.loads(body), json.loads(rule.patch.body))
            except (ValueError, RecursionError) as error:
                raise BodyError("not JSON") from error
            body = json.dumps(patched, separators=(",", ":")).encode()
    return body


def with_length(headers: Headers, length: int | None) -> Headers:
    """Headers of a message whose body is one piece of this length; None for a message that has none and says none."""
    kept = tuple((name, value) for name, value in headers if name.lower() not in _FRAMING)
    return kept if length is None else (*kept, ("Content-Length", str(length)))


def with_or_without_body(response: Response, changed: Response) -> Response:
    """A changed head that has no lengths where no body may follow any more, and that of none where one may by now."""
    if response.has_body == changed.has_body:
        return changed
    return replace(changed, headers=with_length(changed.headers, 0 if changed.has_body else None))


def expects_leave(request: Request) -> bool:
    """Whether its sender keeps the body back until it is told to go on."""
    return any((name.lower(), value.lower()) == ("expect", "100-continue") for name, value in request.headers)


def merged(document: Any, patch: Any) -> Any:
    """A document with a JSON merge patch applied (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _fits(rule: HttpRule, request: Request) -> bool:
    return (
        (rule.path is None or wildcard(rule.path).fullmatch(request.path) is not None)
        and rule.method in (None, request.method)
        and _has(request.headers, rule.request_headers)
    )


@lru_cache(maxsize=256)
def wildcard(pattern: str) -> re.Pattern[str]:
    """A pattern in which `*` is any text, slashes too, and `?` is one character.

    What stands between two stars is looked for once, from the left, and not again: so no pattern takes long.
    """
    first, *others = (
        "".join("." if each == "?" else re.escape(each) for each in part) for part in pattern.split("*")
    )
    if not others:
        return re.compile(first, re.DOTALL)
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(f"{first}{between}.*{others[-1]}", re.DOTALL)


def _has(headers: Headers, wanted: Mapping[str, str]) -> bool:
    present = {(name.lower(), value) for name, value in headers}
    return all((name.lower(), value) in present for name, value in wanted.items())


def _changed_headers(rule: HttpRule, headers: Headers) -> Headers:
    replaced = {name.lower(): (name, value) for name, value in rule.replace.headers.items()}
    kept = tuple(each for each in headers if each[0].lower() not in replaced)
    return (*kept, *replaced.values(), *rule.patch.headers)


def _reason(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""
