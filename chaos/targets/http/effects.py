"""What can be done to HTTP on its way: requests to a replica, or its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Replacement:
    """What takes the place of parts of a message; None and nothing leave them as they are."""

    path: str | None = None
    """Of a request; its query stays."""
    method: str | None = None
    """Of a request."""
    code: int | None = None
    """Of an answer."""
    body: bytes | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    """Of a request: values by name, beside those that have other names."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Values by name, beside those that have other names."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What is added to parts of a message."""

    queries: tuple[tuple[str, str], ...] = ()
    """Of a request: name and value of each."""
    headers: tuple[tuple[str, str], ...] = ()
    """Name and value of each, whether or not there is one of this name."""
    body: str | None = None
    """A JSON merge patch (RFC 7396), as text; a body that is not JSON ends the connection."""


@dataclass(frozen=True, slots=True)
class HttpRule:
    """What becomes of the messages of one port that a rule selects; from the next one on, on open connections too."""

    target: Literal["Request", "Response"]
    port: int
    """Of the replica, as the manifest has it."""
    path: str | None = None
    """Of the request, where `*` is anything and `?` is one character; None for every one."""
    method: str | None = None
    """Of the request."""
    code: int | None = None
    """Of the answer; looked at where answers are the target."""
    request_headers: Mapping[str, str] = field(default_factory=dict)
    """Which the request has, among others."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """Which the answer has, among others; looked at where answers are the target."""
    abort: bool = False
    """The connection ends without an answer; nothing else happens then."""
    delay_s: float = 0.0
    """How much later the message goes on."""
    replace: Replacement = Replacement()
    patch: Patch = Patch()
    encrypted: bool = False
    """Whether the messages are in TLS."""
