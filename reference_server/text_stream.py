"""Bytes to the text that may be sent: whole characters only, and nothing of a stop string."""

import codecs
from collections.abc import Callable, Sequence

from reference_server.models.tokenizer import ByteTokenizer


class TextStream:
    """The text of one answer as its tokens arrive.

    Text that could still turn out to be the beginning of a stop string is held back until it is decided.
    `to_bytes` is the tokenizer's; without it, tokens are bytes.
    """

    def __init__(
        self, stops: Sequence[str] = (), to_bytes: Callable[[int], bytes] = ByteTokenizer.to_bytes
    ) -> None:
        self._stops = tuple(stops)
        self._to_bytes = to_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False
        """Whether a stop string has appeared: the text ended before it."""

    def token(self, token: int) -> str:
        """The text that may be sent now that this token came."""
        return self.push(self._to_bytes(token))

    def unguarded(self, token: int) -> str:
        """All text that there is now that this token came, whatever stop string it may begin or be."""
        self._held += self._decoder.decode(self._to_bytes(token))
        return self._release(len(self._held))

    def push(self, data: bytes) -> str:
        """The text that may be sent now that these bytes came."""
        return self._advance(self._decoder.decode(data))

    def finish(self) -> str:
        """What was held back, when no more will come; an unfinished character becomes U+FFFD."""
        return self._advance(self._decoder.decode(b"", final=True)) + self._release(len(self._held))

    def _advance(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            # The stop that is complete first ends the text, however the characters were cut into tokens.
            sent = self._release(min(found)[1])
            self._held, self.stopped = "", True
            return sent
        return self._release(len(self._held) - self._undecided())

    def _undecided(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0

    def _release(self, length: int) -> str:
        sent, self._held = self._held[:length], self._held[length:]
        return sent
