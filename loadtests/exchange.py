"""One request under way: what has happened to it so far, and how long it may go on like that."""

from dataclasses import dataclass, field
from typing import Protocol

from loadtests.answer import Answer, RequestFailedError
from loadtests.refusals import words_of
from loadtests.rows import Row, of_status
from loadtests.spec import Timeouts

__all__ = ["Exchange", "RequestFailedError"]

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
    answer: Answer = field(default_factory=Answer)
    """What the body said, of an answer with status 200."""
    content_type: str | None = None
    status: int | None = None
    attempts: int | None = None
    replica: str | None = None
    refusal: bytes = b""
    """The body of an answer with another status than 200."""

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
        self.content_type = headers.header("content-type")
        self.replica = headers.header(REPLICA_HEADER)
        attempts = headers.header(ATTEMPTS_HEADER)
        self.attempts = int(attempts) if attempts and attempts.isdecimal() else None

    def take_body(self, body: bytes, now_s: float) -> bool:
        """Note what came of the stream; whether its terminal event was in it.

        Raises:
            RequestFailedError: an event is an error, or no event that this stream could have now.
        """
        answer = self.answer
        events = answer.events
        try:
            answer.feed(body)
        finally:
            if answer.events > events:
                self.last_event_s = now_s
            while len(self.token_s) < answer.tokens:
                self.token_s.append(now_s)
        if answer.done:
            self.ended_s = now_s
        return answer.done

    def verdict(self) -> tuple[str, str | None]:
        """Outcome and message of what has ended: refused, complete, or less than was asked for."""
        if self.status != 200:
            return of_status(self.status or 0), f"{self.status} {words_of(self.refusal)}"
        return self.answer.verdict(self.asked_tokens)

    def closed(self) -> RequestFailedError:
        """The failure that the server's closing means now."""
        if self.headers_s is None:
            return RequestFailedError("eof_before_headers", "the server closed without an answer")
        return self.answer.closed(self.content_type)

    def broken(self, error: OSError) -> RequestFailedError:
        """The failure that an error of the connection means now."""
        outcome = "reset_before_headers" if self.headers_s is None else "reset_mid_stream"
        return RequestFailedError(outcome, str(error))

    def row(self, outcome: str, error: str | None, answer: str | None = None) -> Row:
        """The row that this request leaves; of a canary with what is kept of its answer."""
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
            prompt_tokens=self.answer.prompt_tokens,
            output_tokens=self.answer.output_tokens,
            status=self.status,
            attempts=self.attempts,
            replica=self.replica,
            error=error,
            answer=answer,
        )
