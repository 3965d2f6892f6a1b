"""The fields of a request that are not served: refused by name, unless their value asks for nothing.

What is served stands in `request_bodies`. A field that is in neither is refused as well: none is ignored in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reference_server.api.errors import ApiError, invalid

UNSERVED = "unserved_field"
"""The code of such an error."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """Why a field is not served, and which of its values ask for nothing, besides null and what is empty."""

    reason: str
    neutral: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldList:
    """What a kind of JSON object may have besides the fields that are served."""

    without_effect: frozenset[str] = frozenset()
    """Labels that change no answer, anywhere: taken with any value."""
    unserved: Mapping[str, Unserved] = field(default_factory=dict)

    def check(self, others: Mapping[str, Any] | None, path: str = "") -> None:
        """Raise ApiError 400 for the first of these fields that asks for what is not done here."""
        for name, value in (others or {}).items():
            known = self.unserved.get(name)
            if name in self.without_effect or (known is not None and _asks_nothing(value, known)):
                continue
            reason = (
                "is no field that this server knows" if known is None else f"not served here: {known.reason}"
            )
            raise invalid(f"{path}{name}: {reason}", f"{path}{name}", UNSERVED)


def cannot_shape(name: str) -> ApiError:
    """400: a field that only a replica that computes in one process on the CPU serves."""
    reason = "this replica draws its tokens where they are computed, on a GPU or in the last of several ranks"
    return invalid(f"{name}: not served here: {reason}", name, UNSERVED)


def _asks_nothing(value: Any, known: Unserved) -> bool:
    # A bool is no number here: 0 must not pass for false.
    return value in (None, [], {}, "") or any(
        type(value) is type(one) and value == one for one in known.neutral
    )


_NO_TOOLS = Unserved("no tools are called", ("none", "auto"))
_TEXT_ALONE = Unserved("text is taken and given, nothing else", (["text"],))
_NOT_LOOKED_AT = Unserved("what is drawn is not held to a form", ({"type": "text"},))
_NO_REASONING = Unserved("there is no effort to choose", ("none",))
_TEMPLATE = Unserved("the model's own chat template lays out every chat", (True,))

_BOTH = {
    "store": Unserved("nothing is kept", (False,)),
    "service_tier": Unserved("there is one tier", ("auto", "default")),
    "prompt_cache_retention": Unserved("DS_CACHE_TTL_SECONDS says how long", ("in_memory", "in-memory")),
    "prompt_cache_options": Unserved(
        "every prompt is looked up, and DS_CACHE_TTL_SECONDS says how long it is found"
    ),
    "use_beam_search": Unserved("tokens are drawn one by one", (False,)),
    "length_penalty": Unserved("it belongs to beam search", (1, 1.0)),
    "early_stopping": Unserved("it belongs to beam search", (False,)),
    "skip_special_tokens": Unserved("special tokens have no text", (True,)),
    "spaces_between_special_tokens": Unserved("special tokens have no text", (True,)),
    "include_stop_str_in_output": Unserved("what ends an answer is no part of it", (False,)),
    "truncate_prompt_tokens": Unserved("a prompt is taken whole or refused"),
    "prompt_logprobs": Unserved("only drawn tokens have probabilities"),
    "allowed_token_ids": Unserved("logit_bias does it"),
    "bad_words": Unserved("logit_bias bars tokens"),
    "structured_outputs": _NOT_LOOKED_AT,
    "guided_json": _NOT_LOOKED_AT,
    "guided_regex": _NOT_LOOKED_AT,
    "guided_choice": _NOT_LOOKED_AT,
    "guided_grammar": _NOT_LOOKED_AT,
    "response_format": _NOT_LOOKED_AT,
    "return_token_ids": Unserved("text alone is given", (False,)),
    "add_special_tokens": Unserved("the tokenizer's own rule holds"),
}
_LABELS = frozenset({"user", "safety_identifier", "metadata", "prompt_cache_key"})

COMPLETION_FIELDS = FieldList(
    _LABELS,
    _BOTH
    | {
        "echo": Unserved("an answer does not repeat its prompt", (False,)),
        "suffix": Unserved("text is continued, not filled in"),
    },
)
CHAT_FIELDS = FieldList(
    # Of calls that are never made, it does not matter whether they would be parallel.
    _LABELS | {"parallel_tool_calls"},
    _BOTH
    | {
        "tools": _NO_TOOLS,
        "tool_choice": _NO_TOOLS,
        "functions": _NO_TOOLS,
        "function_call": _NO_TOOLS,
        "audio": _TEXT_ALONE,
        "modalities": _TEXT_ALONE,
        "moderation": Unserved("nothing is judged"),
        "prediction": Unserved("nothing is guessed ahead"),
        "reasoning_effort": _NO_REASONING,
        "verbosity": Unserved("there is no length to choose but max_tokens", ("medium",)),
        "web_search_options": Unserved("nothing is looked up"),
        "chat_template": _TEMPLATE,
        "chat_template_kwargs": _TEMPLATE,
        "add_generation_prompt": _TEMPLATE,
        "continue_final_message": Unserved("an answer is a turn of its own", (False,)),
        "echo": Unserved("an answer does not repeat its prompt", (False,)),
    },
)
MESSAGE_FIELDS = FieldList(
    # A name is for the template, and templates here are written of role and content.
    frozenset({"name"}),
    {
        "tool_calls": _NO_TOOLS,
        "tool_call_id": _NO_TOOLS,
        "function_call": _NO_TOOLS,
        "audio": _TEXT_ALONE,
        "refusal": Unserved("a turn is its content"),
        "annotations": Unserved("a turn is its content"),
        "reasoning": Unserved("a turn is its content"),
        "reasoning_content": Unserved("a turn is its content"),
    },
)
STREAM_FIELDS = FieldList(
    unserved={"include_obfuscation": Unserved("events are not padded", (False,))},
)
