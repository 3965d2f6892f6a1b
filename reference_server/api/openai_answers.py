"""Response bodies: whole answers as JSON, streamed ones as events whose constant parts are built once."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, Protocol

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request."""

    prompt: int
    cached: int
    """Of the prompt, found in the prefix cache."""
    generated: int

    def body(self) -> dict[str, Any]:
        """OpenAI's `usage` object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.generated,
            "total_tokens": self.prompt + self.generated,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Format(Protocol):
    """What completions and chat say differently."""

    identifier: str
    """Prefix of response identifiers."""
    whole: str
    """`object` of a whole answer."""
    chunk: str
    """`object` of a streamed part."""

    def choice(self, text: str, finish_reason: str) -> dict[str, Any]:
        """The choice of a whole answer."""

    def delta(self, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        """The choice of a streamed part; without text, of the last one."""

    def opening(self) -> dict[str, Any] | None:
        """The choice of a first part that has no text, if there is one."""


class CompletionFormat:
    """`/v1/completions`."""

    identifier = "cmpl-"
    whole = "text_completion"
    chunk = "text_completion"

    def choice(self, text: str, finish_reason: str) -> dict[str, Any]:
        """The text itself."""
        return self.delta(text, finish_reason)

    def delta(self, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        """Streamed choices look like whole ones."""
        return {"index": 0, "text": text or "", "logprobs": None, "finish_reason": finish_reason}

    def opening(self) -> dict[str, Any] | None:
        """Text comes at once."""
        return None


class ChatFormat:
    """`/v1/chat/completions`."""

    identifier = "chatcmpl-"
    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def choice(self, text: str, finish_reason: str) -> dict[str, Any]:
        """A message."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}

    def delta(self, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        """What the message gains."""
        gain = {} if text is None else {"content": text}
        return {"index": 0, "delta": gain, "logprobs": None, "finish_reason": finish_reason}

    def opening(self) -> dict[str, Any] | None:
        """The role."""
        opening = {"role": "assistant", "content": ""}
        return {"index": 0, "delta": opening, "logprobs": None, "finish_reason": None}


COMPLETION: Format = CompletionFormat()
CHAT: Format = ChatFormat()


class Answer:
    """The bytes of one answer."""

    def __init__(self, form: Format, model: str, *, include_usage: bool) -> None:
        self._form = form
        self._include_usage = include_usage
        self._head = {
            "id": form.identifier + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }
        # One token's event differs from the next in its text alone.
        self._before, self._after = self._event([form.delta("\0", None)]).split(json.dumps("\0").encode())

    def whole(self, text: str, finish_reason: str, usage: Usage) -> dict[str, Any]:
        """The body of an answer that does not stream."""
        choices = [self._form.choice(text, finish_reason)]
        return {**self._head, "object": self._form.whole, "choices": choices, "usage": usage.body()}

    def opening(self) -> bytes:
        """What comes before the first text."""
        opening = self._form.opening()
        return self._event([opening]) if opening else b""

    def text(self, text: str) -> bytes:
        """The event of a piece of text; none for none."""
        return self._before + json.dumps(text).encode() + self._after if text else b""

    def ending(self, finish_reason: str, usage: Usage) -> bytes:
        """The last events: why it ended, the counts if they were asked for, and the terminal one."""
        ending = self._event([self._form.delta(None, finish_reason)])
        counts = self._event([], usage.body()) if self._include_usage else b""
        return ending + counts + DONE

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        body = {**self._head, "object": self._form.chunk, "choices": choices}
        return event({**body, "usage": usage} if self._include_usage else body)


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
