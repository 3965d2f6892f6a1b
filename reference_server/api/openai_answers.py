"""Response bodies: whole answers as JSON, streamed ones as events whose constant parts are built once."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reference_server.api.probabilities import Probability, chat_logprobs, completion_logprobs
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
    logprobs: Callable[[Sequence[Probability]], dict[str, Any]]
    """How likely the tokens were that were drawn."""


COMPLETION = Format(
    prefix="cmpl-",
    whole="text_completion",
    chunk="text_completion",
    text=lambda text: {"text": text},
    delta=lambda text: {"text": text},
    opening=None,
    ending={"text": ""},
    logprobs=completion_logprobs,
)
CHAT = Format(
    prefix="chatcmpl-",
    whole="chat.completion",
    chunk="chat.completion.chunk",
    text=lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    delta=lambda text: {"delta": {"content": text}},
    opening={"delta": {"role": "assistant", "content": ""}},
    ending={"delta": {}},
    logprobs=chat_logprobs,
)


class Answer:
    """The bytes of one answer, or of one of its choices."""

    def __init__(
        self,
        form: Format,
        model: str,
        *,
        include_usage: bool,
        index: int = 0,
        head: dict[str, Any] | None = None,
    ) -> None:
        self._form = form
        self._model = model
        self._include_usage = include_usage
        self._index = index
        self._head = head or {
            "id": form.prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }
        # One token's event differs from the next in its text alone.
        self._before, self._after = self._event(form.delta("\0")).split(json.dumps("\0").encode())

    def choice(self, index: int) -> "Answer":
        """Another choice of the same answer."""
        return Answer(
            self._form, self._model, include_usage=self._include_usage, index=index, head=self._head
        )

    def whole(self, text: str, finish_reason: str, usage: dict[str, Any]) -> dict[str, Any]:
        """The body of an answer that does not stream."""
        return self.of_choices([self.chosen(text, finish_reason)], usage)

    def chosen(
        self, text: str, finish_reason: str, probabilities: Sequence[Probability] | None = None
    ) -> Said:
        """The choice, in an answer that does not stream."""
        return self._choice(self._form.text(text), finish_reason, probabilities)

    def of_choices(self, choices: Sequence[Said], usage: dict[str, Any]) -> dict[str, Any]:
        """The body of an answer with these choices."""
        return {**self._head, "object": self._form.whole, "choices": list(choices), "usage": usage}

    def opening(self) -> bytes:
        """What comes before the first text."""
        return self._event(self._form.opening) if self._form.opening else b""

    def text(self, text: str) -> bytes:
        """The event of a piece of text; none for none."""
        return self._before + json.dumps(text).encode() + self._after if text else b""

    def piece(
        self,
        text: str,
        probabilities: Sequence[Probability] | None = None,
        usage: dict[str, Any] | None = None,
    ) -> bytes:
        """The event of a piece of text with what is told beside it; where nothing is, as `text`."""
        if probabilities is None and usage is None:
            return self.text(text)
        return self._event(self._form.delta(text), None, usage, probabilities)

    def ending(self, finish_reason: str, usage: dict[str, Any]) -> bytes:
        """The last events: why it ended, the counts if they were asked for, and the terminal one."""
        return self.finish(finish_reason) + self.closing(usage)

    def finish(self, finish_reason: str, usage: dict[str, Any] | None = None) -> bytes:
        """The event that says why this choice ended."""
        return self._event(self._form.ending, finish_reason, usage)

    def closing(self, usage: dict[str, Any]) -> bytes:
        """What follows the last choice: the counts if they were asked for, and the terminal event."""
        return (self._event(None, usage=usage) if self._include_usage else b"") + DONE

    def _event(
        self,
        said: Said | None,
        finish_reason: str | None = None,
        usage: dict[str, Any] | None = None,
        probabilities: Sequence[Probability] | None = None,
    ) -> bytes:
        choices = [] if said is None else [self._choice(said, finish_reason, probabilities)]
        body = {**self._head, "object": self._form.chunk, "choices": choices}
        return event({**body, "usage": usage} if self._include_usage else body)

    def _choice(
        self, said: Said, finish_reason: str | None, probabilities: Sequence[Probability] | None
    ) -> Said:
        logprobs = None if probabilities is None else self._form.logprobs(probabilities)
        return {"index": self._index, **said, "logprobs": logprobs, "finish_reason": finish_reason}


def usage(sequence: TokenSequence) -> dict[str, Any]:
    """OpenAI's `usage` object of one choice; complete once the last output came."""
    return usage_of(len(sequence.prompt), sequence.generated, sequence.cached)


def usage_of(prompt: int, completion: int, cached: int) -> dict[str, Any]:
    """OpenAI's `usage` object of so many tokens."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
