"""Response bodies: whole answers as JSON, streamed ones as events whose constant parts are built once."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reference_server.sequence import TokenSequence

DONE = b"data: [DONE]\n\n"

Said = dict[str, Any]
"""What a choice says, beside its index and why it finished."""


@dataclass(frozen=True, slots=True)
class Format:
    """What completions and chat say differently."""

    prefix: str
    """Of identifiers."""
    whole: str
    """`object` of a whole answer."""
    chunk: str
    """`object` of a streamed part."""
    text: Callable[[str], Said]
    """The text of a whole answer."""
    delta: Callable[[str], Said]
    """A piece of text in a stream."""
    opening: Said | None
    """What comes before the first piece."""
    ending: Said
    """What stands beside the reason why a stream finished."""


COMPLETION = Format(
    prefix="cmpl-",
    whole="text_completion",
    chunk="text_completion",
    text=lambda text: {"text": text},
    delta=lambda text: {"text": text},
    opening=None,
    ending={"text": ""},
)
CHAT = Format(
    prefix="chatcmpl-",
    whole="chat.completion",
    chunk="chat.completion.chunk",
    text=lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    delta=lambda text: {"delta": {"content": text}},
    opening={"delta": {"role": "assistant", "content": ""}},
    ending={"delta": {}},
)


class Answer:
    """The bytes of one answer."""

    def __init__(self, form: Format, model: str, *, include_usage: bool) -> None:
        self._form = form
        self._include_usage = include_usage
        self._head = {
            "id": form.prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }
        # One token's event differs from the next in its text alone.
        self._before, self._after = self._event(form.delta("\0")).split(json.dumps("\0").encode())

    def whole(self, text: str, finish_reason: str, usage: dict[str, Any]) -> dict[str, Any]:
        """The body of an answer that does not stream."""
        choices = [_choice(self._form.text(text), finish_reason)]
        return {**self._head, "object": self._form.whole, "choices": choices, "usage": usage}

    def opening(self) -> bytes:
        """What comes before the first text."""
        return self._event(self._form.opening) if self._form.opening else b""

    def text(self, text: str) -> bytes:
        """The event of a piece of text; none for none."""
        return self._before + json.dumps(text).encode() + self._after if text else b""

    def ending(self, finish_reason: str, usage: dict[str, Any]) -> bytes:
        """The last events: why it ended, the counts if they were asked for, and the terminal one."""
        counts = self._event(None, usage=usage) if self._include_usage else b""
        return self._event(self._form.ending, finish_reason) + counts + DONE

    def _event(
        self, said: Said | None, finish_reason: str | None = None, usage: dict[str, Any] | None = None
    ) -> bytes:
        choices = [] if said is None else [_choice(said, finish_reason)]
        body = {**self._head, "object": self._form.chunk, "choices": choices}
        return event({**body, "usage": usage} if self._include_usage else body)


def _choice(said: Said, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason}


def usage(sequence: TokenSequence) -> dict[str, Any]:
    """OpenAI's `usage` object; complete once the last output came."""
    return {
        "prompt_tokens": len(sequence.prompt),
        "completion_tokens": sequence.generated,
        "total_tokens": len(sequence.prompt) + sequence.generated,
        "prompt_tokens_details": {"cached_tokens": sequence.cached},
    }


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
