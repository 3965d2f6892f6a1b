"""What the target of a run asks of an API server beyond single objects.

Lists with their version, watches, rehearsals, and what a pod answers to the API server itself.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from chaos.targets.http.questions import Answer, Question
from chaos.targets.kubernetes.calls import Calls, short
from chaos.targets.kubernetes.objects import FORBIDDEN, ApiError, Collection, Item, Place

GONE = 410
UNREACHABLE, REFUSED = "error trying to reach service", "connection refused"
"""What the API server says of a pod that it cannot reach."""
_BROKEN_OFF = ("EOF", "reset by peer", "broken pipe")
_OF_THE_PROXY = ("Audit-Id", "Date", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid")
_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, and the version of the cluster that it is true of."""

    items: tuple[Item, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of news of a watch."""

    at_s: float
    """Monotonic seconds of its arrival."""
    type: str
    """ADDED, MODIFIED or DELETED."""
    item: Item


@dataclass(frozen=True, slots=True)
class Passed:
    """What came of one request to a pod by way of the API server."""

    status: int
    """Of the pod's answer, or of the API server's where it could not reach the pod."""
    size: int
    """Bytes of the body."""
    took_s: float
    text: str
    """The beginning of the body."""


class Api(Calls):
    """One API server, as the target of a run asks it."""

    def listing(
        self, collection: Collection, *, labels: str = "", fields: str = "", within_s: float
    ) -> Listing:
        """Everything that both selectors let through, and the version that a watch goes on from."""
        listed = self._call("GET", collection.path, query=_selecting(labels, fields), within_s=within_s)
        items = tuple(item for item in listed.get("items") or () if isinstance(item, dict))
        return Listing(items, str((listed.get("metadata") or {}).get("resourceVersion") or ""))

    def version(self, *, within_s: float) -> str:
        """Of the server."""
        return str(self._call("GET", "/version", within_s=within_s).get("gitVersion") or "")

    def kinds(self, group: str, version: str, *, within_s: float) -> Sequence[str]:
        """Every resource of an API group, in the plural; ApiError 404 where there is no such group."""
        told = self._call("GET", f"/apis/{group}/{version}", within_s=within_s)
        return [str(each["name"]) for each in told.get("resources") or ()]

    def rehearse(self, collection: Collection, body: Item, *, within_s: float) -> Item:
        """Have an object checked as if it were to be made: by its schema, key by key, and by every webhook."""
        strictly = {"fieldValidation": "Strict", "dryRun": "All"}
        return self._call("POST", collection.path, body, query=strictly, within_s=within_s)

    def watch(
        self, collection: Collection, since: str, *, labels: str = "", fields: str = "", lasts_s: float
    ) -> Iterator[Frame]:
        """News as it comes, for so long; the server ends it, and is given up where it is silent for longer.

        Raises:
            ApiError: 410 where the version is too old and must be had by a list again; or it was cut.
        """
        query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": f"{lasts_s:.0f}"}
        response = self._open(
            collection.path, {**query, **_selecting(labels, fields)}, (_CONNECT_S, lasts_s + _CONNECT_S)
        )
        if response.status >= 300:
            raise ApiError(response.status, f"{response.status}: {response.read()[:200]!r}")
        with response.response as stream:
            for line in _lines(stream):
                yield _frame(line, time.monotonic())

    def ask_pod(self, pod: Place, port: int, path: str, *, within_s: float) -> Passed:
        """What a pod answers to a GET that the API server hands on: who calls it so is no pod of the cluster."""
        began_s = time.monotonic()
        where = f"{pod.collection.path}/{pod.name}:{port}/proxy/{path.lstrip('/')}"
        response = self._open(where, {}, (_CONNECT_S, within_s))
        try:
            body = response.read()
        except _errors() as error:
            raise ApiError(0, f"the answer broke off: {short(error)}") from error
        return Passed(
            response.status, len(body), time.monotonic() - began_s, body[:300].decode(errors="replace")
        )

    def question_pod(self, pod: Place, port: int, question: Question, *, within_s: float) -> Answer:
        """What a pod answers to any request that the API server hands on.

        Raises:
            ApiError: the API server itself refuses.
        """
        began_s = time.monotonic()
        where = f"{pod.collection.path}/{pod.name}:{port}/proxy/{question.target.lstrip('/')}"
        path, _, query = where.partition("?")
        try:
            response = self._open(path, dict(parse_qsl(query)), (_CONNECT_S, within_s), question)
            took_s = time.monotonic() - began_s
            body = response.read()
        except ApiError:
            return Answer("silence")
        except _errors():
            return Answer("broken off")
        if response.status == FORBIDDEN and (why := _of_the_server(body)):
            raise ApiError(FORBIDDEN, f"{FORBIDDEN}: {why}")
        if UNREACHABLE.encode() in body:
            return Answer(_ended(body.decode(errors="replace")))
        headers = tuple(
            (name, value) for name, value in response.headers.items() if name not in _OF_THE_PROXY
        )
        return Answer("answered", took_s, response.status, response.reason or "", headers, body)

    def _open(
        self,
        path: str,
        query: Mapping[str, str],
        within_s: tuple[float, float],
        question: Question | None = None,
    ) -> Any:
        """The beginning of an answer; its time is of the connection, and of each read."""
        question = question or Question("GET", path)
        try:
            asked = self._client.param_serialize(
                question.method,
                path,
                query_params=[*query.items()],
                header_params=dict(question.headers),
                body=json.loads(question.body) if question.body else None,
                auth_settings=["BearerToken"],
            )
            return self._client.call_api(*asked, _request_timeout=within_s)
        except _errors() as error:
            raise ApiError(0, f"the API server does not answer: {short(error)}") from error


def _of_the_server(body: bytes) -> str:
    """Why the API server itself refuses; empty where an answer is a pod's own."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    of_it = isinstance(told, dict) and told.get("kind") == "Status" and told.get("status") == "Failure"
    return str(told.get("message") or told.get("reason")) if of_it else ""


def _ended(text: str) -> Literal["broken off", "silence", "refused"]:
    """What became of a request that the API server could not hand on, by its words."""
    if REFUSED in text:
        return "refused"
    return "broken off" if any(each in text for each in _BROKEN_OFF) else "silence"


def _lines(stream: Any) -> Iterator[bytes]:
    left = b""
    try:
        for chunk in stream.stream():
            *whole, left = (left + chunk).split(b"\n")
            yield from (line for line in whole if line.strip())
    except _errors() as error:
        raise ApiError(0, f"the watch was cut: {short(error)}") from error


def _frame(line: bytes, at_s: float) -> Frame:
    try:
        row = json.loads(line)
        type_, item = row["type"], row["object"]
    except (ValueError, TypeError, KeyError) as error:
        raise ApiError(0, "the watch sent something that is no news") from error
    if type_ == "ERROR":
        raise ApiError(int(item.get("code") or 0), str(item.get("message") or "the watch failed"))
    return Frame(at_s, type_, item)


def _selecting(labels: str, fields: str) -> dict[str, str]:
    asked = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in asked.items() if value}


def _errors() -> tuple[type[Exception], ...]:
    """What a client's call may raise."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    return HTTPError, ApiException, OSError
