"""Request bodies as they come: every field that is served, strictly typed. The rest is in `field_list`.

`ignore_eos`, `cache_salt`, `priority`, `top_k`, `min_p`, `repetition_penalty`, `min_tokens` and `stop_token_ids` are
the extensions that vLLM also has; `timeout_seconds` ends a request that is not finished by then, waiting or running.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from reference_server.models.served_model import ServedModel

MAX_STOPS = 4
MAX_CHOICES = 128
"""Answers to one request, over all of its prompts."""
MAX_LOGPROBS = 20
MAX_BIAS = 100.0

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


def _prompts(value: Any, info: ValidationInfo[ServedModel]) -> Any:
    """One prompt or several, each text or tokens; of each its tokens."""
    tokenizer = info.context.tokenizer

    def is_tokens(one: Any) -> bool:
        return isinstance(one, list) and all(
            type(token) is int and 0 <= token < tokenizer.size for token in one
        )

    prompts = value if isinstance(value, list) and value and not is_tokens(value) else [value]
    if not all(isinstance(one, str) or is_tokens(one) for one in prompts):
        raise ValueError(
            f"a string, a list of tokens 0 to {tokenizer.size - 1}, or a list of such prompts is expected"
        )
    return [tokenizer.encode(one) if isinstance(one, str) else one for one in prompts]


def _bias(value: Any, info: ValidationInfo[ServedModel]) -> Any:
    """Tokens of the vocabulary, written as JSON's keys are, and what is added to their logits."""
    size = info.context.shape.vocabulary
    biases = {} if value is None else value
    is_object = isinstance(biases, dict)
    if not is_object or not all(token.isdecimal() and int(token) < size for token in biases):
        raise ValueError(f"an object of tokens 0 to {size - 1} is expected")
    for token, more in biases.items():
        if type(more) not in (int, float) or not -MAX_BIAS <= more <= MAX_BIAS:
            raise ValueError(f"token {token}: a number from {-MAX_BIAS:g} to {MAX_BIAS:g} is expected")
    return tuple((int(token), float(more)) for token, more in biases.items())


def _stop_ids(value: Any, info: ValidationInfo[ServedModel]) -> Any:
    size = info.context.shape.vocabulary
    tokens = [] if value is None else value
    if not isinstance(tokens, list) or not all(type(one) is int and 0 <= one < size for one in tokens):
        raise ValueError(f"a list of tokens 0 to {size - 1} is expected")
    return frozenset(tokens)


def _content(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(_is_text_part(part) for part in value):
        return "".join(part["text"] for part in value)
    raise ValueError("a string or a list of text parts is expected")


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


class Body(BaseModel):
    """One JSON object; what it has besides is in `model_extra`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)


class StreamOptions(Body):
    """`include_usage`: one more event before the end, with the token counts; `continuous_usage_stats`: in each."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


_Penalty = Annotated[float, Field(ge=-2, le=2)] | None


class Request(Body):
    """What both kinds of request have."""

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: _Penalty = None
    frequency_penalty: _Penalty = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    logit_bias: Annotated[tuple[tuple[int, float], ...], BeforeValidator(_bias)] = ()
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_stops)] = ()
    stop_token_ids: Annotated[frozenset[int], BeforeValidator(_stop_ids)] = frozenset()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    ignore_eos: bool | None = None
    cache_salt: str | None = None
    priority: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None


class CompletionRequest(Request):
    """The body of `/v1/completions`."""

    prompt: Annotated[list[list[int]], BeforeValidator(_prompts)]
    best_of: int | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None


class Message(Body):
    """One turn of a chat."""

    role: str
    content: Annotated[str | None, BeforeValidator(_content)] = None


class ChatRequest(Request):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
