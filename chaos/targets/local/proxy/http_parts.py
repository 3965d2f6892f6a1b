"""One HTTP/1.1 message cut into parts, byte for byte: what is put together again is what was sent."""

from dataclasses import dataclass
from typing import Literal

import h11

from chaos.targets.http.rules import Request, Response, text

_LONGEST_HEAD_BYTES = 1 << 20
Body = Literal["body", "framing"]


class NotHttpError(ValueError):
    """What came is no HTTP/1.1 message, or goes over to another protocol."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message."""

    raw: bytes
    """As it came."""
    head: Request | Response | None = None
    """Where it is a head."""
    interim: bool = False
    """Whether it is the head of an answer before the answer: a 100 or a 103."""
    data: bytes = b""
    """What it holds of the body."""
    last: bool = False
    """Whether the message ends with it."""


class MessageReader:
    """Reads one message, and nothing behind its end."""

    def __init__(self, answers: str | None = None) -> None:
        """Read a request, or the answer to a request of this method."""
        self.ended = False
        self._h11 = h11.Connection(
            h11.SERVER if answers is None else h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD_BYTES
        )
        if (
            answers is not None
        ):  # an answer's length depends on the method of its request, and on nothing else of it
            self._h11.send(h11.Request(method=answers, target="/", headers=[("Host", "x")]))
            self._h11.send(h11.EndOfMessage())
        self._unread = b""

    @property
    def unread(self) -> bytes:
        """What was fed and is in no part yet: behind the end, or the beginning of a part."""
        return self._unread

    def feed(self, data: bytes) -> None:
        """Take in what came next; no bytes are the end of the stream."""
        self._unread += data
        if not self.ended:
            self._h11.receive_data(data)

    def next(self) -> Part | None:
        """The next part; None where more has to come, or the message has ended.

        Raises:
            NotHttpError: it is none; what is unread is from where it could not be understood any more.
        """
        if self.ended:
            return None
        try:
            event = self._h11.next_event()
        except h11.ProtocolError as error:
            raise NotHttpError(str(error)) from error
        raw = self._consumed()
        if event is h11.NEED_DATA:
            return Part(raw) if raw else None
        if isinstance(event, h11.Data):
            return Part(raw, data=bytes(event.data))
        if isinstance(event, h11.EndOfMessage):
            self.ended = True
            return Part(raw, last=True)
        if isinstance(event, h11.Request):
            headers = tuple((text(name), text(value)) for name, value in event.headers.raw_items())
            version = text(event.http_version)
            return Part(raw, Request(text(event.method), text(event.target), version, headers))
        if isinstance(event, h11.Response | h11.InformationalResponse):
            headers = tuple((text(name), text(value)) for name, value in event.headers.raw_items())
            version = text(event.http_version)
            head = Response(event.status_code, text(event.reason), version, headers)
            return Part(raw, head, interim=isinstance(event, h11.InformationalResponse))
        raise NotHttpError("another protocol follows")

    def _consumed(self) -> bytes:
        left = len(self._h11.trailing_data[0])
        cut = len(self._unread) - left
        raw, self._unread = self._unread[:cut], self._unread[cut:]
        return raw
