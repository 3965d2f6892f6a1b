"""HTTPChaos: requests and answers of one port are ended, delayed, replaced or changed, on open connections too.

What its proxy makes of a rule is read off chaos-mesh/rs-tproxy (`src/handler.rs`, `src/cmd/config.rs`): it takes a
configuration only as a whole, so that a rule with one impossible part is never in force.
"""

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.faults.doubts import Doubt, never
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH, Camel, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import DurationText, go_duration_ns
from chaos.reading.strict import Int32, Listed
from chaos.targets.effects import exact, modelled
from chaos.targets.http import effects as http_effects

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_PATH = re.compile(r"[!-~\x80-\U0010ffff]+")


def _base64(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PydanticCustomError("base64", "bytes in base64") from error
    return text


class Body(Camel):
    """How a body is changed."""

    type: str = ""
    """JSON"""
    value: str = ""
    """a JSON merge patch, as text"""


class Patch(Camel):
    """What is changed."""

    body: Body | None = None
    """of the body"""
    queries: Listed[Listed[str]] = ()
    """name and value of each query that is added"""
    headers: Listed[Listed[str]] = ()
    """name and value of each header that is added"""


class Replace(Camel):
    """What is replaced."""

    path: str | None = None
    """the request's path"""
    method: str | None = None
    """the request's method"""
    code: Int32 | None = None
    """the answer's status"""
    body: Annotated[str, AfterValidator(_base64)] | None = None
    """the body, in base64"""
    queries: Mapping[str, str] = {}
    """values of queries, by name"""
    headers: Mapping[str, str] = {}
    """values of headers, by name"""


class Tls(Camel):
    """Where the certificates of encrypted traffic are."""

    secret_name: str = ""
    """the secret that holds them"""
    secret_namespace: str = ""
    """its namespace"""
    cert_name: str = ""
    """the certificate in it"""
    key_name: str = ""
    """its key"""
    ca_name: str | None = None
    """whom to trust"""


class HttpSpec(FaultSpec):
    """What happens to which requests."""

    target: Literal["Request", "Response"]
    """what is changed: requests or answers"""
    port: Annotated[int, Field(ge=1, lt=2**31)]
    """the port that is served"""
    path: str | None = None
    """of these paths alone, with `*`"""
    method: str | None = None
    """of this method alone"""
    code: Int32 | None = None
    """of answers with this status alone"""
    request_headers: Annotated[Mapping[str, str], Field(alias="request_headers")] = {}
    """of requests with these headers alone"""
    response_headers: Annotated[Mapping[str, str], Field(alias="response_headers")] = {}
    """of answers with these headers alone"""
    tls: Tls | None = None
    """certificates of encrypted traffic"""
    abort: bool | None = None
    """end the connection"""
    delay: DurationText | None = None
    """how much later"""
    replace: Replace | None = None
    """what is replaced"""
    patch: Patch | None = None
    """what is changed"""


class HttpChaos(FaultObject):
    """A Chaos Mesh HTTPChaos."""

    kind: Literal["HTTPChaos"]
    """HTTPChaos"""
    spec: HttpSpec
    """the fault"""


def _problems(spec: HttpSpec) -> Iterator[Problem]:
    if spec.target == "Request" and spec.method is not None and spec.method not in _METHODS:
        yield Problem(("method",), f"expected one of {', '.join(_METHODS)}", spec.method)


def _doubts(spec: HttpSpec) -> Iterator[Doubt]:
    changes = spec.replace not in (None, Replace()) or spec.patch not in (None, Patch())
    if not (spec.abort or spec.delay or changes):
        complaint = "expected abort, delay, replace or patch: without any, nothing happens to what passes"
        yield never("nothing-to-do", (), complaint, "none of them")
    if spec.port >= 2**16:
        yield never("impossible-port", ("port",), "expected a port, at most 65535", spec.port)
    if spec.delay and go_duration_ns(spec.delay) < 0:
        yield never("impossible-delay", ("delay",), "expected no negative delay", spec.delay)
    yield from _code_doubts(spec)
    yield from _header_doubts(spec)
    yield from _patch_doubts(spec.patch or Patch())
    yield from _idle_doubts(spec)


def _code_doubts(spec: HttpSpec) -> Iterator[Doubt]:
    codes = {("code",): spec.code, ("replace", "code"): spec.replace.code if spec.replace else None}
    for where, code in codes.items():
        if code is not None and not 100 <= code <= 999:
            yield never("impossible-code", where, "expected a status, 100 to 999", code)


def _header_doubts(spec: HttpSpec) -> Iterator[Doubt]:
    headers: dict[tuple[str, ...], Iterable[tuple[str, str]]] = {
        ("request_headers",): spec.request_headers.items(),
        ("response_headers",): spec.response_headers.items(),
        ("replace", "headers"): spec.replace.headers.items() if spec.replace else (),
        ("patch", "headers"): _pairs(spec.patch.headers) if spec.patch else (),
    }
    for where, pairs in headers.items():
        for name, value in pairs:
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                complaint = "expected a header's name, and a value of one line"
                yield never("impossible-header", where, complaint, f"{name}: {value}")
    path, method = (spec.replace.path, spec.replace.method) if spec.replace else (None, None)
    if path and not _PATH.fullmatch(path):
        yield never("impossible-path", ("replace", "path"), "expected a path, such as /v2/", path)
    methods: dict[tuple[str, ...], str | None] = {("method",): spec.method, ("replace", "method"): method}
    for where, named in methods.items():
        if named is not None and not _HEADER_NAME.fullmatch(named):
            yield never("impossible-method", where, "expected a method, such as GET", named)


def _patch_doubts(patch: Patch) -> Iterator[Doubt]:
    for where, lists in (("queries", patch.queries), ("headers", patch.headers)):
        for each in lists:
            if len(each) != 2:
                yield never("impossible-pair", ("patch", where), "expected a name and a value", list(each))
    if patch.body is None:
        return
    if patch.body.type != "JSON":
        yield never("impossible-patch", ("patch", "body", "type"), "expected JSON", patch.body.type)
    try:
        json.loads(patch.body.value)
    except (ValueError, RecursionError):
        complaint = "expected a JSON merge patch, as text"
        yield never("impossible-patch", ("patch", "body", "value"), complaint, patch.body.value)


def _idle_doubts(spec: HttpSpec) -> Iterator[Doubt]:
    """Of what a rule says and never does."""
    replaced, patched = spec.replace or Replace(), spec.patch or Patch()
    if spec.abort and (spec.delay or spec.replace or spec.patch):
        complaint = "expected nothing beside it: what is aborted is neither delayed nor changed"
        yield Doubt("abort-alone", Problem(("abort",), complaint, spec.abort))
    of_requests: dict[tuple[str, ...], object] = {
        ("replace", "path"): replaced.path,
        ("replace", "method"): replaced.method,
        ("replace", "queries"): dict(replaced.queries),
        ("patch", "queries"): [*map(list, patched.queries)],
    }
    of_answers: dict[tuple[str, ...], object] = {
        ("code",): spec.code,
        ("response_headers",): dict(spec.response_headers),
        ("replace", "code"): replaced.code,
    }
    others, which = (of_answers, "answers") if spec.target == "Request" else (of_requests, "requests")
    for where, value in others.items():
        if value not in (None, {}, []):
            complaint = f"expected no such key: it is of {which}, and never looked at where the target is {spec.target}"
            yield Doubt("other-target", Problem(where, complaint, value))


def _pairs(lists: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Those that are pairs."""
    return tuple((each[0], each[1]) for each in lists if len(each) == 2)


def _effects(spec: HttpSpec) -> tuple[http_effects.HttpRule, ...]:
    replaced, patched = spec.replace or Replace(), spec.patch or Patch()
    return (
        http_effects.HttpRule(
            target=spec.target,
            port=spec.port,
            path=spec.path,
            method=spec.method,
            code=spec.code,
            request_headers=spec.request_headers,
            response_headers=spec.response_headers,
            abort=bool(spec.abort),
            delay_s=max(0.0, go_duration_ns(spec.delay) / 1e9) if spec.delay else 0.0,
            replace=http_effects.Replacement(
                path=replaced.path,
                method=replaced.method,
                code=replaced.code,
                body=None if replaced.body is None else b64decode(replaced.body),
                queries=replaced.queries,
                headers=replaced.headers,
            ),
            patch=http_effects.Patch(
                queries=_pairs(patched.queries),
                headers=_pairs(patched.headers),
                body=None if patched.body is None else patched.body.value,
            ),
            encrypted=spec.tls is not None,
        ),
    )


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="HTTPChaos",
    manifest=HttpChaos,
    effects=_effects,
    problems=_problems,
    doubts=_doubts,
    plane="network",
    done="had requests or answers of theirs held, changed or broken off",
    fidelities={
        "local": modelled(
            "a user-space proxy in front of the replica reads the HTTP/1.1 that passes, on open connections from their "
            "next request on; probes do not pass it"
        ),
        "kubernetes": exact("a proxy that Chaos Mesh puts into the pod's network; probes pass it too"),
    },
)
