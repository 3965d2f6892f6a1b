"""Request bodies into what the engine needs. A field that is not served is refused by name, never ignored.

A request may have several answers, `n` for each of its prompts: as many sequences, each of which says what it would
say alone. The first for a prompt has the request's seed, others have seeds made of it.
"""

import hashlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from reference_server.api.errors import ApiError, invalid
from reference_server.api.field_list import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    MESSAGE_FIELDS,
    STREAM_FIELDS,
    FieldList,
)
from reference_server.api.request_bodies import MAX_CHOICES, ChatRequest, CompletionRequest, Message, Request
from reference_server.models.served_model import ServedModel
from reference_server.sampler import Sampling, Shaping
from reference_server.sequence import TokenSequence
from reference_server.text_stream import TextStream

COMPLETION_MAX_TOKENS = 16
"""OpenAI's default for completions; a chat answer may fill the context."""
SILENT_ROLES = ("assistant",)
"""Whose turns may be without content: an assistant that has nothing to say."""
_SHAPING_FIELDS = frozenset(
    {
        *("logit_bias", "presence_penalty", "frequency_penalty", "repetition_penalty"),
        *("top_k", "min_p", "min_tokens", "logprobs"),
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks for: of the engine, and of the answer."""

    sequences: tuple[TokenSequence, ...]
    """One for each choice, prompt by prompt."""
    per_prompt: int
    within_s: float
    """Infinite where the request does not say."""
    streaming: bool
    include_usage: bool
    continuous_usage: bool = False
    """Whether each event of a stream has the counts so far."""
    shaped_by: str | None = None
    """The first field for which the backend must draw otherwise than plainly; None: there is none."""

    @property
    def sequence(self) -> TokenSequence:
        """Of the first choice."""
        return self.sequences[0]

    @property
    def plain(self) -> bool:
        """Whether it is one choice that is told by its text alone, as nearly all are."""
        shaping = self.sequence.sampling.shaping
        told = shaping is not None and shaping.logprobs is not None
        return len(self.sequences) == 1 and not told and not self.continuous_usage


def completion_order(body: bytes, served: ServedModel) -> Order:
    """The order in the body of `/v1/completions`.

    Raises:
        ApiError: the body is not one that can be served.
    """
    request = _parsed(CompletionRequest, body, served, COMPLETION_FIELDS)
    if request.best_of is not None and request.best_of != (request.n or 1):
        raise invalid("best_of: as many as n are expected: all answers are given", "best_of")
    wanted = COMPLETION_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    return _order(request, request.prompt, lambda _: wanted, request.logprobs, served)


def chat_order(body: bytes, served: ServedModel) -> Order:
    """The order in the body of `/v1/chat/completions`.

    Raises:
        ApiError: the body is not one that can be served.
    """
    request = _parsed(ChatRequest, body, served, CHAT_FIELDS)
    if request.top_logprobs and not request.logprobs:
        raise invalid("top_logprobs: logprobs: true is expected beside it", "top_logprobs")
    turns = [_turn(number, message) for number, message in enumerate(request.messages)]
    try:
        prompt = served.tokenizer.chat(turns)
    except ValueError as error:
        raise invalid(f"messages: {error}", "messages") from None
    wanted = request.max_completion_tokens or request.max_tokens
    return _order(
        request,
        [prompt],
        lambda length: wanted or max(1, served.longest - length),
        (request.top_logprobs or 0) if request.logprobs else None,
        served,
    )


def _turn(number: int, message: Message) -> tuple[str, str]:
    path = f"messages.{number}."
    MESSAGE_FIELDS.check(message.model_extra, path)
    if message.role in ("tool", "function"):
        raise invalid(f"{path}role: not served here: no tools are called", f"{path}role")
    if message.content is None and message.role not in SILENT_ROLES:
        raise invalid(f"{path}content: a string or a list of text parts is expected", f"{path}content")
    return message.role, message.content or ""


_AnyRequest = TypeVar("_AnyRequest", bound=Request)


def _parsed(kind: type[_AnyRequest], body: bytes, served: ServedModel, fields: FieldList) -> _AnyRequest:
    try:
        request = kind.model_validate_json(body, context=served)
    except ValidationError as error:
        raise _explained(error) from None
    fields.check(request.model_extra)
    if request.stream_options is not None:
        STREAM_FIELDS.check(request.stream_options.model_extra, "stream_options.")
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


def _order(
    request: Request,
    prompts: list[list[int]],
    wanted: Callable[[int], int],
    logprobs: int | None,
    served: ServedModel,
) -> Order:
    """`wanted` is how long an answer to a prompt of that length may become."""
    per_prompt = request.n or 1
    if len(prompts) * per_prompt > MAX_CHOICES:
        raise invalid(f"n: at most {MAX_CHOICES} answers are given to one request, over all prompts", "n")
    shaping, shaped_by = _shaping(request, logprobs, served)
    seed = secrets.randbits(63) if request.seed is None else request.seed
    sequences = []
    for prompt in prompts:
        max_tokens = wanted(len(prompt))
        _check_lengths(request, len(prompt), max_tokens, served)
        for choice in range(per_prompt):
            sampling = Sampling(
                seed=_seed_of(seed, choice),
                temperature=1.0 if request.temperature is None else request.temperature,
                top_p=1.0 if request.top_p is None else request.top_p,
                shaping=shaping,
            )
            sequences.append(_sequence(request, prompt, max_tokens, sampling, served))
    told = request.stream_options
    return Order(
        tuple(sequences),
        per_prompt,
        within_s=request.timeout_seconds or math.inf,
        streaming=bool(request.stream),
        include_usage=bool(told and told.include_usage),
        continuous_usage=bool(told and told.include_usage and told.continuous_usage_stats),
        shaped_by=shaped_by,
    )


def _sequence(
    request: Request, prompt: list[int], max_tokens: int, sampling: Sampling, served: ServedModel
) -> TokenSequence:
    return TokenSequence(
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=sampling,
        text=TextStream(request.stop, served.tokenizer.to_bytes),
        ignore_eos=bool(request.ignore_eos),
        stop_ids=request.stop_token_ids,
        salt=request.cache_salt or "",
        priority=request.priority or 0,
    )


def _check_lengths(request: Request, prompt: int, max_tokens: int, served: ServedModel) -> None:
    if not prompt:
        raise invalid("prompt: at least one token is expected", "prompt")
    if prompt + max_tokens > served.longest:
        raise invalid(
            f"This model's maximum context length is {served.longest} tokens; the prompt has {prompt} and "
            f"{max_tokens} were asked for.",
            "max_tokens",
            "context_length_exceeded",
        )
    if (request.min_tokens or 0) > max_tokens:
        raise invalid(f"min_tokens: at most max_tokens, {max_tokens}, are expected", "min_tokens")


def _shaping(
    request: Request, logprobs: int | None, served: ServedModel
) -> tuple[Shaping | None, str | None]:
    """What is not to be drawn plainly, and the first field that asks for it; None for both where none does."""
    if _SHAPING_FIELDS.isdisjoint(request.model_fields_set):
        return None, None  # nearly every request
    could_end = (served.shape.eos and not request.ignore_eos) or request.stop_token_ids or request.stop
    min_tokens = request.min_tokens if could_end else 0
    asked = {
        "logit_bias": request.logit_bias,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "repetition_penalty": request.repetition_penalty not in (None, 1.0),
        "top_k": request.top_k not in (None, 0, -1),
        "min_p": request.min_p,
        "min_tokens": min_tokens,
        "logprobs": logprobs is not None,
    }
    shaped_by = next((name for name, value in asked.items() if value), None)
    if shaped_by is None:
        return None, None
    _check_drawable(request, served)
    return (
        Shaping(
            bias=request.logit_bias,
            presence=request.presence_penalty or 0.0,
            frequency=request.frequency_penalty or 0.0,
            repetition=request.repetition_penalty or 1.0,
            top_k=max(0, request.top_k or 0),
            min_p=request.min_p or 0.0,
            min_tokens=min_tokens or 0,
            barred=request.stop_token_ids,
            logprobs=logprobs,
        ),
        shaped_by,
    )


def _check_drawable(request: Request, served: ServedModel) -> None:
    """Refuse what could not be obeyed: more of a token that is never drawn, and an answer without any token."""
    ends = () if request.ignore_eos else served.shape.eos
    for token, more in request.logit_bias:
        if more > 0 and token not in served.drawable and token not in ends:
            raise invalid(f"logit_bias: token {token} is one that is never drawn here", "logit_bias")
    if request.min_tokens and served.drawable <= request.stop_token_ids:
        raise invalid("min_tokens: a token that ends no answer is expected to be left", "min_tokens")


def _seed_of(seed: int, choice: int) -> int:
    """The seed of one choice of several: the request's own for the first."""
    if choice == 0:
        return seed
    words = f"{seed} {choice}".encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little") >> 1
