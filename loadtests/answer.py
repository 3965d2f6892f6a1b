"""The one reader of streamed answers: what one has said so far, and what its end makes of it.

The load and the probe of `exporters` read with it, and a test holds the gateway's quick look to it, so that all call
the same bytes the same. The rule of the end (docs/open-loop.md): an answer is whole when `[DONE]` came after a
`finish_reason` that whole answers have. A stream that merely ends is `truncated`, whichever of the two is missing.
"""

import json
from typing import Any

from loadtests.canaries import text_of
from loadtests.completions import COMPLETE_REASONS, DONE, BadEventError, ErrorEventError, read_chunk
from loadtests.refusals import words_of
from loadtests.rows import OK
from loadtests.sse import EventParser, ServerEvent

__all__ = ["EVENT_STREAM", "OK", "Answer", "RequestFailedError"]

EVENT_STREAM = "text/event-stream"
_OPENING_BYTES = 4096
"""Of a body without an event: enough to say what it is in place of a stream."""


class RequestFailedError(Exception):
    """A request's end other than success: one of the outcomes of a row, and what was seen."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Answer:
    """The body of one answer with status 200, as its bytes come."""

    __slots__ = (
        "_opening",
        "_parser",
        "done",
        "events",
        "finish_reason",
        "output_tokens",
        "prompt_tokens",
        "text",
        "tokens",
    )

    def __init__(self, *, keeps_text: bool = False) -> None:
        """With `keeps_text` what it says is kept, at the cost of reading each event once more."""
        self.tokens = 0
        """Events with something for a user."""
        self.events = 0
        """Those that say anything: no comment, no ping."""
        self.finish_reason: str | None = None
        """Once it came, all that is missing is the terminal event."""
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.text: list[str] | None = [] if keeps_text else None
        """Its words, where they are kept."""
        self.done = False
        """The terminal event has come; whatever follows it is not read."""
        self._parser = EventParser()
        self._opening = b""

    def feed(self, body: bytes) -> None:
        """Read on.

        Raises:
            RequestFailedError: an event is an error, or none that this stream could have now. What came before it in
                the same bytes has been noted.
        """
        if not self.events and len(self._opening) < _OPENING_BYTES:
            self._opening = (self._opening + body)[:_OPENING_BYTES]
        for event in self._parser.feed(body):
            self._take(event)
            if self.done:
                return

    def verdict(self, asked_tokens: int | None = None) -> tuple[str, str | None]:
        """Outcome and message of an answer that is done: complete, or less than was asked for.

        Tokens are counted by the server's usage block, and by events where it sends none.
        """
        count = self.tokens if self.output_tokens is None else self.output_tokens
        if self.finish_reason not in COMPLETE_REASONS:
            return "aborted", f"finish_reason {self.finish_reason} after {count} tokens"
        if not self.tokens:
            return "empty", f"finish_reason {self.finish_reason} without a token"
        if asked_tokens is not None and count < asked_tokens:
            return "short", f"{count} tokens where {asked_tokens} were asked for"
        return OK, None

    def closed(self, content_type: str | None) -> RequestFailedError:
        """The failure that the end of the body means now.

        Args:
            content_type: as the head of the answer has it.
        """
        if self._opening.strip() and not self.events and EVENT_STREAM not in (content_type or "").lower():
            return self._no_stream(content_type)
        said = f" and finish_reason {self.finish_reason}" if self.finish_reason else ""
        return RequestFailedError(
            "truncated", f"the stream ended after {self.tokens} tokens{said} without {DONE}"
        )

    def _take(self, event: ServerEvent) -> None:
        if event.type == "message" and event.data.strip() == DONE:
            self.events += 1
            if self.finish_reason is None:
                raise RequestFailedError("truncated", f"{DONE} came without a finish_reason before it")
            self.done = True
            return
        try:
            chunk = read_chunk(event)
        except BadEventError as error:
            self.events += 1
            raise RequestFailedError("bad_event", str(error)) from error
        except ErrorEventError as error:
            self.events += 1
            raise RequestFailedError("error_event", words_of(str(error).encode())) from error
        if chunk is None:
            return
        self.events += 1
        self.tokens += chunk.has_token
        if self.text is not None:
            self.text.append(text_of(event))
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.prompt_tokens = chunk.prompt_tokens or self.prompt_tokens
        self.output_tokens = chunk.output_tokens or self.output_tokens

    def _no_stream(self, content_type: str | None) -> RequestFailedError:
        """A body that had no event: an error that came with status 200, or an answer of another kind."""
        try:
            body: Any = json.loads(self._opening)
        except ValueError:
            body = None
        if isinstance(body, dict) and (body.get("error") or body.get("object") == "error"):
            return RequestFailedError("error_event", words_of(self._opening))
        kind = content_type or "without a content type"
        return RequestFailedError("no_stream", f"the answer is no stream of events: {kind}")
