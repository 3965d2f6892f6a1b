"""Whether a refusal means that the replica is full, and not that it is broken."""

import json
from collections.abc import Mapping
from typing import Any

_CODES = frozenset(
    (
        "queue_full",
        "overloaded",
        "overloaded_error",
        "server_overloaded",
        "rate_limit_exceeded",
        "rate_limit_error",
    )
)
"""Of our own server, and of what OpenAI's and Anthropic's protocols say, in `code` or `type` of the error."""


def is_backpressure(status: int, headers: Mapping[str, str], body: bytes, others_open: int) -> bool:
    """429, and 503 that says when to come back or that the server is overloaded, while it has something to do.

    A replica that refuses for being full while nothing of this gateway's is open there is not full: all requests
    come this way.

    Args:
        status: of the answer.
        headers: of the answer.
        body: as much of it as has come.
        others_open: attempts that the gateway has open at this replica beside this one.
    """
    if not others_open:
        return False
    return status == 429 or (status == 503 and ("Retry-After" in headers or _says_overloaded(body)))


def _says_overloaded(body: bytes) -> bool:
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return False
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    return isinstance(error, dict) and not _CODES.isdisjoint(
        value for key in ("code", "type") if isinstance(value := error.get(key), str)
    )
