"""What a streamed answer says of itself while it passes: that it goes on, that it failed, that it is complete.

Nothing is held back or changed. An event is parsed where a word in it gives reason to; of all others only their end is
looked for, because each passes through here.
"""

from loadtests.completions import DONE, BadEventError, ErrorEventError, read_chunk
from loadtests.sse import EventParser

EVENT_STREAM = "text/event-stream"
_GIVEN_UP = frozenset(("abort", "error"))
"""Reasons to finish with which engines end politely what they gave up."""
_WORDS = (b"error", b"abort")
_LONGEST_EVENT_BYTES = 1 << 16
_FAREWELL_BYTES = 64
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class AnswerWatch:
    """One answer as server-sent events."""

    def __init__(self) -> None:
        self.failed = False
        """It reported an error, or was given up by its engine."""
        self._rest = b""
        """Of an event that has not ended yet."""
        self._last = b""

    def feed(self, chunk: bytes) -> bool:
        """Whether these bytes are more than comments."""
        text = self._rest + chunk
        end = max(text.rfind(mark) + len(mark) if mark in text else 0 for mark in _ENDS)
        whole, self._rest = text[:end], text[end:][-_LONGEST_EVENT_BYTES:]
        self._last = (self._last + chunk)[-_FAREWELL_BYTES:]
        if not self.failed and any(word in whole for word in _WORDS):
            self.failed = _says_so(whole)
        return b"data" in chunk or not chunk.startswith(b":")

    @property
    def complete(self) -> bool:
        """Whether its terminal event has come."""
        return DONE.encode() in self._last


def _says_so(events: bytes) -> bool:
    for event in EventParser().feed(events):
        if event.data == DONE:
            continue
        try:
            if read_chunk(event).finish_reason in _GIVEN_UP:
                return True
        except ErrorEventError:
            return True
        except BadEventError:  # of some other dialect: not for a gateway to judge
            if '"object":"error"' in event.data.replace(" ", ""):
                return True
    return False
