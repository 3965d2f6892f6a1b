"""One question to an endpoint over HTTP, bounded in time and in size whatever it answers.

urllib's own timeout is one of each read: an endpoint that sends a byte a second holds it for ever, and one that ends
before the length that it named is taken for a short answer.
"""

import io
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
)
from typing import Any
from urllib.parse import unquote, urlsplit

_MOST_BYTES = 64_000_000
_HEADS_BYTES = 1_000_000
"""Beside the body: status, headers, and the sizes of its pieces."""
_PIECE_BYTES = 65_536
_SAID_BYTES = 4_000
_SHOWN = 200
_OK = 200
_CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class FetchError(Exception):
    """An endpoint did not answer as it should; the message names it, and says what was wrong."""

    def __init__(self, message: str, *, status: int | None = None, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        """Of an answer, where there was one."""
        self.said = said
        """The beginning of that answer's body."""


class _TooLargeError(Exception):
    """There is more than anybody wants."""


def fetch(question: str | urllib.request.Request, within_s: float, *, most_bytes: int = _MOST_BYTES) -> bytes:
    """The body of an answer of status 200, redirections followed.

    Args:
        question: an http or https URL, or a request of one; a key may stand before its host, `http://KEY@host`.
        within_s: for all of it, from the connection to the last byte.
        most_bytes: of the body.

    Raises:
        FetchError: nothing answers, or not in time, in whole, with success and within the size.
    """
    url = _CREDENTIALS.sub("", question if isinstance(question, str) else question.full_url)
    try:
        request = _with_key(urllib.request.Request(question) if isinstance(question, str) else question)  # noqa: S310 - no other handler
        with _opener(url, within_s, most_bytes).open(request, timeout=within_s) as answer:
            if answer.status != _OK:
                message = f"{url}: expected status {_OK}, got {answer.status} {answer.reason}"
                raise FetchError(message, status=answer.status)
            body = bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = _said(error)
        shown = ": ".join(part for part in (str(error.reason), said[:_SHOWN]) if part)
        message = f"{url}: expected status {_OK}, got {error.code} {shown}"
        raise FetchError(message, status=error.code, said=said) from error
    except _TooLargeError as error:
        raise FetchError(f"{url}: expected at most {most_bytes} bytes, got more") from error
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise FetchError(f"{url}: expected an answer within {within_s:g} s") from error
        raise FetchError(f"{url}: expected an endpoint that answers: {_words(reason)}") from error
    if len(body) > most_bytes:
        raise FetchError(f"{url}: expected at most {most_bytes} bytes, got {len(body)}")
    return body


def _with_key(request: urllib.request.Request) -> urllib.request.Request:
    """The same with the key of its URL in a header, and nowhere else."""
    parts = urlsplit(request.full_url)
    if key := unquote(parts.password or parts.username or ""):
        request.full_url = _CREDENTIALS.sub("", request.full_url)
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    return request


def _opener(url: str, within_s: float, most_bytes: int) -> urllib.request.OpenerDirector:
    """What asks over HTTP and HTTPS alone, wherever an answer leads; this machine without a proxy."""
    bounds = (time.monotonic() + within_s, most_bytes + _HEADS_BYTES)
    here = urlsplit(url).hostname in _LOOPBACK
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if here else None),
        _Http(*bounds),
        _Https(*bounds),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _said(error: urllib.error.HTTPError) -> str:
    """The first words of an answer that refuses; none where it has none."""
    with error:
        try:
            return " ".join(error.read(_SAID_BYTES).decode(errors="replace").split())
        except (OSError, ValueError, HTTPException, _TooLargeError):
            return ""


def _words(reason: object) -> str:
    """What went wrong, in a line."""
    if isinstance(reason, IncompleteRead):
        return f"it ended after {len(reason.partial)} bytes, before it said it would"
    if isinstance(reason, BadStatusLine) and not isinstance(reason, ConnectionError):
        return f"expected HTTP, got {str(reason)[:80]!r:.80}"
    return " ".join(str(reason).split())[:_SHOWN] or type(reason).__name__


class _Http(urllib.request.HTTPHandler):
    """Asks over HTTP, within the bounds."""

    def __init__(self, deadline_s: float, most_bytes: int) -> None:
        super().__init__()
        self._bounds = (deadline_s, most_bytes)

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """The answer to a request."""
        return self.do_open(_bounded(HTTPConnection, *self._bounds), req)


class _Https(urllib.request.HTTPSHandler):
    """Asks over HTTPS, within the bounds."""

    def __init__(self, deadline_s: float, most_bytes: int) -> None:
        super().__init__()
        self._bounds = (deadline_s, most_bytes)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """The answer to a request."""
        return self.do_open(_bounded(HTTPSConnection, *self._bounds), req)


def _bounded(kind: type[HTTPConnection], deadline_s: float, most_bytes: int) -> Callable[..., HTTPConnection]:
    """What makes a connection whose answers are read within the bounds."""

    def connection(host: str, **options: Any) -> HTTPConnection:
        made = kind(host, **options)
        made.response_class = partial(_Answer, deadline_s, most_bytes)  # type: ignore[assignment]
        return made

    return connection


class _Answer(HTTPResponse):
    """An answer that is read within bounds, and as long as it said that it would be."""

    def __init__(
        self, deadline_s: float, most_bytes: int, sock: socket.socket, *args: Any, **options: Any
    ) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Bytes(sock, self.fp, deadline_s, most_bytes))

    def read(self, amt: int | None = None) -> bytes:
        """Some of it, or all that is left.

        Raises:
            IncompleteRead: it ended before the length that it named.
        """
        if amt is not None:
            return super().read(amt)
        # In pieces: of a length that is a lie, memory is asked for at once otherwise.
        whole = b"".join(iter(partial(super().read, _PIECE_BYTES), b""))
        if self.length:
            raise IncompleteRead(whole, self.length)
        return whole


class _Bytes(io.RawIOBase):
    """The bytes that a socket still has, until a deadline, and up to a number of them."""

    def __init__(self, sock: socket.socket, file: Any, deadline_s: float, most_bytes: int) -> None:
        super().__init__()
        self._sock, self._file, self._raw = sock, file, file.raw
        self._deadline_s, self._left_bytes = deadline_s, most_bytes

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some bytes.

        Raises:
            TimeoutError: the deadline is over.
            _TooLargeError: there are too many.
        """
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        count = int(self._raw.readinto(buffer) or 0)
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise _TooLargeError
        return count

    def close(self) -> None:
        """Let go of the socket."""
        self._file.close()
        super().close()
