"""HTTPChaos: requests and answers of one port are ended, delayed, replaced or changed."""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.faults.doubts import Doubt, never
from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import Camel, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import DurationText
from chaos.reading.strict import Int32, Listed

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT")


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
    if not (spec.abort or spec.delay or spec.replace or spec.patch):
        complaint = "expected abort, delay, replace or patch: without any, nothing happens to what passes"
        yield never("nothing-to-do", (), complaint, "none of them")
    if spec.port >= 2**16:
        yield never("impossible-port", ("port",), "expected a port, at most 65535", spec.port)


HTTP = elsewhere(
    HttpChaos,
    "nothing here reads the HTTP that passes in front of a replica",
    plane="network",
    problems=_problems,
    doubts=_doubts,
)
