"""The dialect of streaming chat completions: the request, and what each event of the answer means."""

import json
from collections.abc import Mapping
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
_TOKEN_KEYS = (
    "content",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
)
"""Of a delta: what a user, or the program in a user's place, gets to see."""
_MOST_TOKENS = 10**12
"""Beyond that a count is none."""


class BadEventError(Exception):
    """An event that is no chunk of a completion."""


class ErrorEventError(Exception):
    """The server said inside the stream that it failed."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """What one event of a stream says."""

    has_token: bool = False
    """Text, reasoning, a refusal or a call that is not empty; role-only and usage-only chunks have none."""
    finish_reason: str | None = None
    """Why no more tokens will come; None while they may."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None


def request_body(
    model: str,
    prompt: str,
    output_tokens: int,
    *,
    ignore_eos: bool,
    user: str | None = None,
    besides: Mapping[str, Any] | None = None,
) -> bytes:
    """One streaming request for at most `output_tokens` tokens; exactly as many with `ignore_eos`.

    `ignore_eos` is an extension of inference engines (vLLM, SGLang, the reference server), so it is left
    out unless wanted. `user` is OpenAI's word for whom a request is from. A key of `besides` is set as it says, and
    left out where it says null.
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
    if user is not None:
        body["user"] = user
    if besides:
        body = {key: value for key, value in {**body, **besides}.items() if value is not None}
    return msgspec.json.encode(body)


def prompt_in(body: bytes) -> str:
    """The prompt of a `request_body`; empty where there is none."""
    try:
        return str(msgspec.json.decode(body)["messages"][0]["content"])
    except (msgspec.MsgspecError, LookupError, TypeError):
        return ""


def read_chunk(event: ServerEvent) -> Chunk | None:
    """What an event other than `[DONE]` says; None for one that only keeps the connection alive.

    That is one without data, and one of a type of its own (`event: ping`): whoever listens to an event source does
    not hear of it. Only `error` has a meaning whatever its data is.

    Raises:
        ErrorEventError: it reports an error, as `{"error": ...}` or as `{"object": "error", ...}`.
        BadEventError: it is not a JSON object with a list of choices, nor one that has but a count of tokens.
    """
    if event.type == "error":
        raise ErrorEventError(event.data)
    if event.type != "message" or not event.data.strip():
        return None
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
    reasoning_details: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None

    @property
    def says(self) -> bool:
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.tool_calls
            or self.function_call
            or self.refusal
            or self.reasoning_details
            or self.audio
        )


class _Choice(msgspec.Struct):
    """Chat puts text into `delta`, plain completions into `text`; whoever answers at once into `message`."""

    delta: _Delta | None = None
    message: _Delta | None = None
    text: Any = None
    finish_reason: Any = None

    @property
    def has_token(self) -> bool:
        if self.text or (self.delta is not None and self.delta.says):
            return True
        return self.message is not None and self.message.says


class _Usage(msgspec.Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None


_NO_USAGE = _Usage()


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None
    error: Any = None
    object: Any = None


_COMMON = msgspec.json.Decoder(_Body)
"""Reads only what is looked at: at a tenth of the cost of a dictionary of everything."""


def _read_bearing(body: Any) -> Chunk:
    """By truth, not by type, as clients in Python read: a delta that is an empty list says as little as null."""
    if body.get("error") or body.get("object") == "error":
        raise ErrorEventError(json.dumps(body.get("error") or body))
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    choices = (body.get("choices") if usage else body["choices"]) or ()
    return Chunk(
        has_token=any(_has_token(choice) for choice in choices),
        finish_reason=next((str(why) for choice in choices if (why := choice.get("finish_reason"))), None),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
    )


def _has_token(choice: dict[str, Any]) -> bool:
    says = (choice.get("delta") or {}, choice.get("message") or {})
    return bool(choice.get("text") or any(part.get(key) for part in says for key in _TOKEN_KEYS))


def _chunk(body: _Body) -> Chunk:
    if body.error or body.object == "error":
        raise ErrorEventError(json.dumps(body.error or "an object of the type error"))
    has_token, finish_reason = False, None
    for choice in body.choices:
        has_token = has_token or choice.has_token
        finish_reason = finish_reason or choice.finish_reason
    usage = body.usage or _NO_USAGE
    why = str(finish_reason) if finish_reason else None
    return Chunk(has_token, why, _count(usage.prompt_tokens), _count(usage.completion_tokens))


def _count(value: Any) -> int | None:
    """A number of tokens however it is written; None for what is none, so that nobody has to expect it later."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= 12 else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else None
