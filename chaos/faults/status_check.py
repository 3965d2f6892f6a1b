"""StatusCheck: a URL that is asked again and again, and the statuses that are good."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.faults.doubts import Doubt, never
from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import Camel, FaultObject, WholeSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import go_atoi
from chaos.reading.strict import Count, Listed

_HOST = re.compile(r"(\[[^\]]*\]|[^\s:<>\"\\^`{|}]*)(:[0-9]*)?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
STATUS = "a status such as '200', or a range such as '200-400'"


def status_range(text: str) -> tuple[int, int]:
    """The least and the greatest status of `200` or `200-400`; the webhook takes numbers 1..999, in any order.

    Raises:
        ValueError: it is neither.
    """
    try:
        first = last = go_atoi(text)
    except ValueError:
        start, dash, end = text.partition("-")
        if not dash:
            raise
        first, last = go_atoi(start), go_atoi(end)
    if not (0 < first < 1000 and 0 < last < 1000):
        raise ValueError(f"no status: {text!r}")
    return first, last


def _status(text: str) -> str:
    try:
        status_range(text)
    except ValueError as error:
        raise PydanticCustomError("status", "{expected}", {"expected": STATUS}) from error
    return text


def _url(text: str) -> str:
    # Go's url.ParseRequestURI: a path, or what has a scheme. It looks at the host and at escapes, not at the query.
    before, _, _ = text.partition("?")
    try:
        parts = urlsplit(before)
    except ValueError:
        parts = urlsplit("")
    host = parts.netloc.rpartition("@")[2]
    if (
        not (text.startswith("/") or parts.scheme)
        or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text)
        or not _HOST.fullmatch(host)
        or _BROKEN_ESCAPE.search(before)
    ):
        raise PydanticCustomError("url", "a URL such as http://service/healthz")
    return text


class Criteria(Camel):
    """What is good."""

    status_code: Annotated[str, AfterValidator(_status)]
    """the statuses that are good"""


class Http(Camel):
    """What is asked."""

    url: Annotated[str, AfterValidator(_url)]
    """where"""
    method: Literal["GET", "POST"] = "GET"
    """how"""
    headers: Mapping[str, Listed[str]] = {}
    """with which headers"""
    body: str = ""
    """with which body, as text"""
    criteria: Criteria
    """what is good"""


class StatusCheckSpec(WholeSpec):
    """What is asked, and how often."""

    mode: Literal["Synchronous", "Continuous"] = "Synchronous"
    """until a threshold is met, or until a failure's is"""
    type: Literal["HTTP"] = "HTTP"
    """how it is asked"""
    interval_seconds: Count = 10
    """seconds between two questions"""
    timeout_seconds: Count = 1
    """seconds that an answer may take"""
    failure_threshold: Count = 3
    """bad answers in a row that fail it"""
    success_threshold: Count = 1
    """good answers in a row that it succeeds with"""
    records_history_limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """answers that are remembered"""
    http: Http | None = None
    """what is asked"""


class StatusCheck(FaultObject):
    """A Chaos Mesh StatusCheck."""

    kind: Literal["StatusCheck"]
    """StatusCheck"""
    spec: StatusCheckSpec
    """the check"""


def _problems(spec: StatusCheckSpec) -> Iterator[Problem]:
    if spec.http is None:
        yield Problem(("http",), "expected this key (what is asked), got nothing")


def _doubts(spec: StatusCheckSpec) -> Iterator[Doubt]:
    if spec.http is None:
        return
    first, last = status_range(spec.http.criteria.status_code)
    if not 100 <= first <= last < 600:
        complaint = "expected statuses that an answer can have, 100 to 599, the lower one first"
        yield never("impossible-status", ("http", "criteria", "statusCode"), complaint, f"{first}-{last}")


STATUS_CHECK = elsewhere(
    StatusCheck,
    "it asks and injects nothing; the assertions and the guards of an experiment do that here",
    plane="telemetry",
    problems=_problems,
    doubts=_doubts,
    lasts=False,
)
