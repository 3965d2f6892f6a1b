"""Server-sent events, parsed as the bytes arrive.

Follows https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation: CR, LF
and CRLF end lines, several data lines join with LF, comments and unknown fields are nothing, a byte order
mark at the very beginning is skipped, and an event that the end of the stream cuts off never happened. `id`
and `retry` only matter to clients that reconnect, which this load never does.
"""

import msgspec


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event."""

    data: str
    type: str = "message"


class EventParser:
    """Turns any chunking of the same bytes into the same events."""

    def __init__(self) -> None:
        self._rest = b""
        self._first_line = True
        self._after_carriage_return = False
        self._data: list[str] = []
        self._type = ""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` completes."""
        if (
            self._whole_lines
            and chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and b"\r" not in chunk
        ):
            return self._plain(chunk)
        if self._after_carriage_return and chunk:
            self._after_carriage_return = False
            chunk = chunk.removeprefix(b"\n")  # the second half of a CRLF that the chunking cut in two
        lines = (self._rest + chunk).splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith((b"\r", b"\n")) else lines.pop()
        if lines and not self._rest:
            self._after_carriage_return = lines[-1].endswith(b"\r")
        return [event for line in lines if (event := self._line(line.rstrip(b"\r\n"))) is not None]

    @property
    def _whole_lines(self) -> bool:
        """Whether the next byte begins a line, and an event."""
        return not (self._rest or self._data or self._type or self._after_carriage_return)

    def _plain(self, chunk: bytes) -> list[ServerEvent]:
        """What nearly every chunk of every server is: whole events of one data line each."""
        self._first_line = False
        events = []
        for block in chunk[:-2].split(b"\n\n"):
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(ServerEvent(block[6:].decode(errors="replace")))
            else:
                events += [
                    event for line in (*block.split(b"\n"), b"") if (event := self._line(line)) is not None
                ]
        return events

    def _line(self, line: bytes) -> ServerEvent | None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode(errors="replace"))
        elif name == b"event":
            self._type = value.removeprefix(b" ").decode(errors="replace")
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, kind = self._data, self._type or "message"
        self._data, self._type = [], ""
        return ServerEvent("\n".join(data), kind) if data else None
