"""What a streamed answer says of itself while it passes: that it goes on, that it failed, that it is complete.

Nothing is held back or changed. An event is parsed, by the load's own reader, where a word in it gives reason to; of
all others only their end is looked for, because each passes through here.
"""

import json
import re
from typing import Any

from loadtests.answer import EVENT_STREAM
from loadtests.completions import BadEventError, ErrorEventError, read_chunk
from loadtests.sse import EventParser

__all__ = ["EVENT_STREAM", "AnswerWatch", "is_error"]

_GIVEN_UP = frozenset(("abort", "error"))
"""Reasons to finish with which engines end politely what they gave up."""
_WORDS = (b"error", b"abort")
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"')
_DONE = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]\s*$")
"""Blanks behind it are nothing."""
_LONGEST_EVENT_BYTES = 1 << 16
_FAREWELL_BYTES = 64
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class AnswerWatch:
    """One answer as server-sent events."""

    def __init__(self) -> None:
        self.failed = False
        """It reported an error, or was given up by its engine."""
        self._finished = False
        """A reason to finish has come."""
        self._rest = b""
        """Of an event that has not ended yet."""
        self._last = b""

    def feed(self, chunk: bytes) -> bool:
        """Whether these bytes are more than what keeps a connection alive: comments, and events without a word."""
        text = self._rest + chunk
        end = max(text.rfind(mark) + len(mark) if mark in text else 0 for mark in _ENDS)
        whole, self._rest = text[:end], text[end:][-_LONGEST_EVENT_BYTES:]
        self._last = (self._last + chunk)[-_FAREWELL_BYTES:]
        if not self.failed and any(word in whole for word in _WORDS):
            self.failed = _says_so(whole)
        self._finished = self._finished or _FINISH.search(whole) is not None
        if b"event:" in whole or b"data:\n" in whole or b"data: \n" in whole:
            return _says_anything(whole)
        return b"data" in chunk or not chunk.startswith(b":")

    @property
    def complete(self) -> bool:
        """Whether its terminal event has come, after a reason to finish: the load's own rule (`loadtests.answer`)."""
        return self._finished and _DONE.search(self._last) is not None


def is_error(body: bytes) -> bool:
    """Whether an answer that is no stream is an error, whatever its status says."""
    if b"error" not in body:
        return False
    try:
        said: Any = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and bool(said.get("error") or said.get("object") == "error")


def _says_so(events: bytes) -> bool:
    for event in EventParser().feed(events):
        try:
            chunk = read_chunk(event)
        except ErrorEventError:
            return True
        except BadEventError:  # of some other dialect, or the end: not for a gateway to judge
            continue
        if chunk is not None and chunk.finish_reason in _GIVEN_UP:
            return True
    return False


def _says_anything(events: bytes) -> bool:
    for event in EventParser().feed(events):
        try:
            if read_chunk(event) is not None:
                return True
        except (BadEventError, ErrorEventError):
            return True
    return False
