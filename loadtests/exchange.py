"""One request under way: what has happened to it so far, and how long it may go on like that."""

from dataclasses import dataclass, field
from typing import Protocol

from loadtests.completions import COMPLETE_REASONS, DONE, BadEventError, ErrorEventError, read_chunk
from loadtests.rows import OK, Row
from loadtests.spec import Timeouts
from loadtests.sse import ServerEvent

REPLICA_HEADER = "x-aftershock-replica"
ATTEMPTS_HEADER = "x-aftershock-attempts"
"""How a gateway names the replica that answered, and how many it tried."""

_FAREWELL_S = 1.0
"""How long what follows the end of an answer is waited for: to go earlier would look like an abort to a gateway."""


class Headers(Protocol):
    """The head of a response."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    def header(self, name: str) -> str | None:
        """The first value of a header."""


class RequestFailedError(Exception):
    """A request's end other than success: one of the outcomes of a row, and what was seen."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(slots=True)
class Exchange:
    """A request under way; all stamps in seconds on the run clock."""

    index: int
    intended_s: float
    dispatched_s: float
    asked_tokens: int | None = None
    """How many tokens a whole answer has; None where the server may find an end before that."""
    connected_s: float | None = None
    sent_s: float | None = None
    headers_s: float | None = None
    token_s: list[float] = field(default_factory=list)
    last_event_s: float = 0.0
    ended_s: float | None = None
    """The terminal event came, or the head of a refusal: what this request is does not change any more."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    status: int | None = None
    attempts: int | None = None
    replica: str | None = None
    refusal: bytes = b""
    """The body of an answer with another status than 200."""
    finish_reason: str | None = None
    """Once it came, all that is missing is the terminal event."""

    def next_limit(self, timeouts: Timeouts) -> tuple[float, str]:
        """The instant by which something has to happen, and the outcome if nothing does."""
        if self.ended_s is not None:
            return self.ended_s + _FAREWELL_S, "ended"  # no outcome: it has one by now
        if not self.token_s:
            silence = (self.dispatched_s + timeouts.ttft_s, "ttft_timeout")
        else:
            silence = (self.last_event_s + timeouts.stall_s, "stall_timeout")
        return min(silence, (self.dispatched_s + timeouts.deadline_s, "deadline"))

    def take_headers(self, headers: Headers, now_s: float) -> None:
        """Note the status, and what a gateway says about the replica."""
        self.headers_s = now_s
        self.status = headers.status_code
        self.replica = headers.header(REPLICA_HEADER)
        attempts = headers.header(ATTEMPTS_HEADER)
        self.attempts = int(attempts) if attempts and attempts.isdecimal() else None

    def take_event(self, event: ServerEvent, now_s: float) -> bool:
        """Note one event of the stream; whether it was the terminal one.

        Raises:
            RequestFailedError: the event is an error, or no event that this stream could have now.
        """
        self.last_event_s = now_s
        if event.data == DONE:
            if self.finish_reason is None:
                raise RequestFailedError("truncated", f"{DONE} came without a finish_reason before it")
            self.ended_s = now_s
            return True
        try:
            chunk = read_chunk(event)
        except BadEventError as error:
            raise RequestFailedError("bad_event", str(error)) from error
        except ErrorEventError as error:
            raise RequestFailedError("error_event", str(error)) from error
        if chunk.has_token:
            self.token_s.append(now_s)
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.prompt_tokens = chunk.prompt_tokens or self.prompt_tokens
        self.output_tokens = chunk.output_tokens or self.output_tokens
        return False

    def verdict(self) -> tuple[str, str | None]:
        """Outcome and message of what has ended: refused, complete, or less than was asked for.

        Tokens are counted by the server's usage block, and by events where it sends none.
        """
        if self.status != 200:
            return _refused(self.status or 0), f"{self.status} {self.refusal.decode(errors='replace')}"
        count = len(self.token_s) if self.output_tokens is None else self.output_tokens
        if self.finish_reason not in COMPLETE_REASONS:
            return "aborted", f"finish_reason {self.finish_reason} after {count} tokens"
        if not self.token_s:
            return "empty", f"finish_reason {self.finish_reason} without a token"
        if self.asked_tokens is not None and count < self.asked_tokens:
            return "short", f"{count} tokens where {self.asked_tokens} were asked for"
        return OK, None

    def closed(self) -> RequestFailedError:
        """The failure that the server's closing means now."""
        if self.headers_s is None:
            return RequestFailedError("eof_before_headers", "the server closed without an answer")
        seen = f"the stream ended after {len(self.token_s)} tokens without {DONE}"
        return RequestFailedError("truncated", seen)

    def broken(self, error: OSError) -> RequestFailedError:
        """The failure that an error of the connection means now."""
        outcome = "reset_before_headers" if self.headers_s is None else "reset_mid_stream"
        return RequestFailedError(outcome, str(error))

    def row(self, outcome: str, error: str | None) -> Row:
        """The row that this request leaves."""
        return Row(
            index=self.index,
            intended_s=self.intended_s,
            outcome=outcome,
            dispatched_s=self.dispatched_s,
            connected_s=self.connected_s,
            sent_s=self.sent_s,
            headers_s=self.headers_s,
            token_s=tuple(self.token_s),
            ended_s=self.ended_s,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            status=self.status,
            attempts=self.attempts,
            replica=self.replica,
            error=error,
        )


def _refused(status: int) -> str:
    """Of a status other than 200: 429 and 503 apart, redirects counted as `http_4xx`."""
    return f"http_{status}" if status in (429, 503) else "http_5xx" if status >= 500 else "http_4xx"
