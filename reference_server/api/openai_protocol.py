"""Request bodies: OpenAI's fields, strictly typed, into what the engine needs. Fields we do not know are ignored.

What would change an answer but cannot be done here (several choices, log probabilities) is refused, not
ignored. `ignore_eos`, `cache_salt` and `priority` are the extensions that vLLM also has; `timeout_seconds` ends a
request that is not finished by then, waiting or running.
"""

import math
import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from reference_server.api.errors import ApiError, invalid
from reference_server.models.served_model import ServedModel
from reference_server.models.tokenizer import Tokenizer
from reference_server.sampler import Sampling
from reference_server.sequence import TokenSequence
from reference_server.text_stream import TextStream

MAX_STOPS = 4
COMPLETION_MAX_TOKENS = 16
"""OpenAI's default for completions; a chat answer may fill the context."""

INT64 = 1 << 63


def _stops(value: Any) -> Any:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if (
        not isinstance(stops, list)
        or len(stops) > MAX_STOPS
        or not all(isinstance(s, str) and s for s in stops)
    ):
        raise ValueError(f"a string or a list of up to {MAX_STOPS} strings, none of them empty, is expected")
    return tuple(stops)


def _prompt(value: Any, info: ValidationInfo[Tokenizer]) -> Any:
    tokenizer = info.context
    if isinstance(value, str):
        return tokenizer.encode(value)
    if isinstance(value, list) and all(type(token) is int and 0 <= token < tokenizer.size for token in value):
        return value
    raise ValueError(f"one string, or one list of tokens 0 to {tokenizer.size - 1}, is expected")


def _content(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(_is_text_part(part) for part in value):
        return "".join(part["text"] for part in value)
    raise ValueError("a string or a list of text parts is expected")


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class StreamOptions(_Body):
    """`include_usage`: one more event before the end, with the token counts."""

    include_usage: bool | None = None


class _Request(_Body):
    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_stops)] = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    ignore_eos: bool | None = None
    cache_salt: str | None = None
    priority: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None


class CompletionRequest(_Request):
    """The body of `/v1/completions`."""

    prompt: Annotated[list[int], BeforeValidator(_prompt)]
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    logprobs: None = None


class Message(_Body):
    """One turn of a chat."""

    role: str
    content: Annotated[str, BeforeValidator(_content)]


class ChatRequest(_Request):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: Literal[False] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks for: of the engine, and of the answer."""

    sequence: TokenSequence
    within_s: float
    """Infinite where the request does not say."""
    streaming: bool
    include_usage: bool


def completion_order(body: bytes, served: ServedModel) -> Order:
    """The order in the body of `/v1/completions`.

    Raises:
        ApiError: the body is not one that can be served.
    """
    request = _parsed(CompletionRequest, body, served)
    wanted = COMPLETION_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    return _order(request, request.prompt, wanted, served)


def chat_order(body: bytes, served: ServedModel) -> Order:
    """The order in the body of `/v1/chat/completions`.

    Raises:
        ApiError: the body is not one that can be served.
    """
    request = _parsed(ChatRequest, body, served)
    try:
        prompt = served.tokenizer.chat((message.role, message.content) for message in request.messages)
    except ValueError as error:
        raise invalid(f"messages: {error}", "messages") from None
    wanted = request.max_completion_tokens or request.max_tokens or max(1, served.longest - len(prompt))
    return _order(request, prompt, wanted, served)


_AnyRequest = TypeVar("_AnyRequest", bound=_Request)


def _parsed(kind: type[_AnyRequest], body: bytes, served: ServedModel) -> _AnyRequest:
    try:
        request = kind.model_validate_json(body, context=served.tokenizer)
    except ValidationError as error:
        raise _explained(error) from None
    if request.model not in (None, served.name):
        raise ApiError(
            404,
            f"The model {request.model!r} does not exist; this replica serves {served.name!r}.",
            code="model_not_found",
            param="model",
        )
    return request


def _explained(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = ".".join(str(step) for step in first["loc"]) or None
    problem = first["msg"].removeprefix("Value error, ")
    return invalid(f"{param}: {problem}" if param else problem, param, first["type"])


def _order(request: _Request, prompt: list[int], max_tokens: int, served: ServedModel) -> Order:
    if not prompt:
        raise invalid("prompt: at least one token is expected", "prompt")
    if len(prompt) + max_tokens > served.longest:
        raise invalid(
            f"This model's maximum context length is {served.longest} tokens; the prompt has {len(prompt)} and "
            f"{max_tokens} were asked for.",
            "max_tokens",
            "context_length_exceeded",
        )
    sequence = TokenSequence(
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=Sampling(
            seed=secrets.randbits(63) if request.seed is None else request.seed,
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
        ),
        text=TextStream(request.stop, served.tokenizer.to_bytes),
        ignore_eos=bool(request.ignore_eos),
        salt=request.cache_salt or "",
        priority=request.priority or 0,
    )
    return Order(
        sequence,
        within_s=request.timeout_seconds or math.inf,
        streaming=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
    )
