"""An HTTP response as its bytes come: geventhttpclient's parser (llhttp in C), and the little of it that counts here.

Its own response keeps an index of headers and the body until somebody asks; here two headers are looked up once, and
the body is handed on piece by piece.
"""

from geventhttpclient._parser import HTTPResponseParser
from geventhttpclient.response import HTTPParseError, HTTPProtocolViolationError

__all__ = ["HTTPParseError", "Response"]


class Response(HTTPResponseParser):
    """One response to a POST, interim ones before it included. The parser calls what begins with `_on_`."""

    def __init__(self) -> None:
        super().__init__()
        self.message_complete = False
        self._headers_complete = self._begun = self._in_name = False
        self._names: list[str] = []
        self._values: list[str] = []
        self._body: list[bytes] = []

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self.get_code()

    @property
    def has_headers(self) -> bool:
        """Of the final response: interim ones (1xx) have headers too."""
        return self._headers_complete and self.get_code() >= 200

    def header(self, name: str) -> str | None:
        """The first value of a header, whose name is given in lower case; None where there is none."""
        for place, each in enumerate(self._names):
            if each.lower() == name:
                return self._values[place]
        return None

    def take_body(self) -> bytes:
        """What has come of the body since the last call."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        return body

    def _on_message_begin(self) -> None:
        if self._begun and not self.message_complete:
            raise HTTPProtocolViolationError("a new response began before the end of this one")
        self._begun = True
        self.message_complete = self._headers_complete = self._in_name = False
        self._names.clear()
        self._values.clear()

    def _on_status(self, _: str) -> None:
        """The reason phrase says nothing that the number does not."""

    def _on_header_field(self, part: str) -> None:
        if self._in_name:  # bytes may come in any portions, and so does the name
            self._names[-1] += part
        else:
            self._names.append(part)
            self._values.append("")
            self._in_name = True

    def _on_header_value(self, part: str) -> None:
        self._values[-1] += part
        self._in_name = False

    def _on_headers_complete(self) -> bool:
        self._headers_complete = True
        return False  # a body follows

    def _on_body(self, part: bytearray) -> None:
        self._body.append(bytes(part))

    def _on_message_complete(self) -> None:
        self.message_complete = True
