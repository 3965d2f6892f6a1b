"""The dialect of streaming chat completions: the request, and what each event of the answer means."""

import json
from typing import Any

import msgspec

from loadtests.sse import ServerEvent

PATH = "/v1/chat/completions"
DONE = "[DONE]"
COMPLETE_REASONS = frozenset({"stop", "length", "tool_calls", "function_call"})
"""Why an answer may end and be whole.

Engines say `abort` in a 200 of what they gave up (vLLM when it shuts down, sleeps or scales down). A `content_filter`
withheld text or cut it off: a load of harmless words gives it no reason to; a moderation that fails closed looks so.
Of any other reason nobody has said that it means a whole answer.
"""
_TOKEN_KEYS = ("content", "reasoning_content", "reasoning", "tool_calls")


class BadEventError(Exception):
    """An event that is no chunk of a completion."""


class ErrorEventError(Exception):
    """The server said inside the stream that it failed."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """What one event of a stream says."""

    has_token: bool = False
    """Text, reasoning or a tool call that is not empty; role-only and usage-only chunks have none."""
    finish_reason: str | None = None
    """Why no more tokens will come; None while they may."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None


def request_body(model: str, prompt: str, output_tokens: int, *, ignore_eos: bool) -> bytes:
    """One streaming request for at most `output_tokens` tokens; exactly as many with `ignore_eos`.

    `ignore_eos` is an extension of inference engines (vLLM, SGLang, the reference server), so it is left
    out unless wanted.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if ignore_eos:
        body["ignore_eos"] = True
    return msgspec.json.encode(body)


def read_chunk(event: ServerEvent) -> Chunk:
    """What an event other than `[DONE]` says.

    Raises:
        ErrorEventError: it reports an error.
        BadEventError: it is not a JSON object with a list of choices.
    """
    if event.type == "error":
        raise ErrorEventError(event.data)
    try:
        return _chunk(_COMMON.decode(event.data))
    except (
        msgspec.MsgspecError,
        TypeError,
    ):  # of an unusual shape, which may still be one that clients bear with
        pass
    try:
        return _read_bearing(json.loads(event.data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadEventError(f"not a completion chunk: {event.data[:200]!r}") from error


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    """Chat puts text into `delta`, plain completions into `text`."""

    delta: _Delta | None = None
    text: Any = None
    finish_reason: Any = None

    @property
    def has_token(self) -> bool:
        if self.text:
            return True
        says = self.delta
        return says is not None and bool(
            says.content or says.reasoning_content or says.reasoning or says.tool_calls
        )


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


_NO_USAGE = _Usage()


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None
    error: Any = None


_COMMON = msgspec.json.Decoder(_Body)
"""Reads only what is looked at: at a tenth of the cost of a dictionary of everything."""


def _read_bearing(body: Any) -> Chunk:
    """By truth, not by type, as clients in Python read: a delta that is an empty list says as little as null."""
    if body.get("error"):
        raise ErrorEventError(json.dumps(body["error"]))
    choices, usage = body["choices"], body.get("usage") or {}
    return Chunk(
        has_token=any(_has_token(choice) for choice in choices),
        finish_reason=next((str(why) for choice in choices if (why := choice.get("finish_reason"))), None),
        prompt_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
    )


def _has_token(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or any(delta.get(key) for key in _TOKEN_KEYS))


def _chunk(body: _Body) -> Chunk:
    if body.error:
        raise ErrorEventError(json.dumps(body.error))
    has_token, finish_reason = False, None
    for choice in body.choices:
        has_token = has_token or choice.has_token
        finish_reason = finish_reason or choice.finish_reason
    usage = body.usage or _NO_USAGE
    why = str(finish_reason) if finish_reason else None
    return Chunk(has_token, why, usage.prompt_tokens, usage.completion_tokens)
