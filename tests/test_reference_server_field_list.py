"""No field of the API is ignored in silence: each that OpenAI's client sends is served, refused, or changes nothing."""

import json
from typing import Any, get_type_hints

import pytest
from openai.types import completion_create_params
from openai.types.chat import completion_create_params as chat_create_params

from reference_server.api.errors import ApiError
from reference_server.api.field_list import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    MESSAGE_FIELDS,
    STREAM_FIELDS,
    FieldList,
)
from reference_server.api.openai_protocol import chat_order, completion_order
from reference_server.api.request_bodies import Body, ChatRequest, CompletionRequest, Message, StreamOptions
from reference_server.config import Settings
from reference_server.models.served_model import served_model

SERVED = served_model(Settings(max_context=128))
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
KINDS: dict[str, tuple[type[Body], FieldList, type]] = {
    "completion": (
        CompletionRequest,
        COMPLETION_FIELDS,
        completion_create_params.CompletionCreateParamsStreaming,
    ),
    "chat": (ChatRequest, CHAT_FIELDS, chat_create_params.CompletionCreateParamsStreaming),
}
WITHOUT_EFFECT = {
    "completion": {"user", "safety_identifier", "metadata", "prompt_cache_key"},
    "chat": {"user", "safety_identifier", "metadata", "prompt_cache_key", "parallel_tool_calls"},
}
"""Said here a second time, so that none is added without a thought."""


def order(kind: str, **fields: Any) -> Any:
    if kind == "chat":
        return chat_order(json.dumps(HELLO | fields).encode(), SERVED)
    return completion_order(json.dumps({"prompt": "Hi"} | fields).encode(), SERVED)


def api_fields(kind: str) -> list[str]:
    return sorted(get_type_hints(KINDS[kind][2]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_api_is_served_refused_or_known_to_change_nothing(kind: str) -> None:
    body, fields, _ = KINDS[kind]
    assert len(api_fields(kind)) > 15
    known = {*body.model_fields, *fields.unserved, *fields.without_effect}
    assert [name for name in api_fields(kind) if name not in known] == []
    assert fields.without_effect == WITHOUT_EFFECT[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_is_in_two_lists(kind: str) -> None:
    body, fields, _ = KINDS[kind]
    lists = [set(body.model_fields), set(fields.unserved), set(fields.without_effect)]
    assert sum(map(len, lists)) == len(set.union(*lists))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, (_, fields, _) in KINDS.items() for name in fields.unserved],
)
def test_an_unserved_field_is_refused_by_name_and_its_neutral_values_are_not(kind: str, name: str) -> None:
    unserved = KINDS[kind][1].unserved[name]
    with pytest.raises(ApiError) as caught:
        order(kind, **{name: {"asks": "something"}})
    error = caught.value
    assert (error.status, error.param, error.code) == (400, name, "unserved_field")
    assert error.message == f"{name}: not served here: {unserved.reason}"
    for neutral in (None, *unserved.neutral):
        order(kind, **{name: neutral})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("chat", {"response_format": {"type": "json_object"}}),
        ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("chat", {"tool_choice": "required"}),
        ("chat", {"store": True}),
        ("chat", {"modalities": ["text", "audio"]}),
        ("completion", {"echo": True}),
        ("completion", {"echo": 1}),
        ("completion", {"use_beam_search": True}),
        ("completion", {"skip_special_tokens": False}),
        ("completion", {"length_penalty": 0.8}),
    ],
    ids=str,
)
def test_what_real_clients_send_for_something_else_is_refused(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        order(kind, **fields)
    assert (caught.value.status, caught.value.param) == (400, *fields)


def test_messages_and_stream_options_have_lists_of_their_own() -> None:
    for body, fields in ((Message, MESSAGE_FIELDS), (StreamOptions, STREAM_FIELDS)):
        assert not set(body.model_fields) & {*fields.unserved, *fields.without_effect}
    told: dict[str, Any] = {
        "role": "assistant",
        "content": "a",
        "refusal": None,
        "tool_calls": None,
        "annotations": [],
    }
    named = {"role": "user", "content": "b", "name": "me"}
    prompt = order("chat", messages=[told, named], stream_options={"include_obfuscation": False}).sequence
    assert bytes(prompt.prompt) == b"assistant: a\nuser: b\nassistant: "
    with pytest.raises(ApiError) as caught:
        order("chat", stream_options={"include_obfuscation": True})
    assert caught.value.param == "stream_options.include_obfuscation"


@pytest.mark.parametrize("turn", [{"role": "assistant"}, {"role": "assistant", "content": None}], ids=str)
def test_an_assistants_turn_without_content_is_an_empty_turn(turn: dict[str, Any]) -> None:
    sequence = order("chat", messages=[turn, *HELLO["messages"]]).sequence
    assert bytes(sequence.prompt) == b"assistant: \nuser: Hi\nassistant: "


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"logit_bias": {"65": -1}}, "logit_bias"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": -0.1}, "frequency_penalty"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"top_k": 5}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"min_tokens": 3, "stop": "x"}, "min_tokens"),
        ({"min_tokens": 3, "stop_token_ids": [65]}, "min_tokens"),
        ({"logprobs": 0}, "logprobs"),
    ],
    ids=str,
)
def test_what_must_be_drawn_otherwise_names_its_field(fields: dict[str, Any], name: str) -> None:
    found = order("completion", **fields)
    assert found.shaped_by == name
    assert found.sequence.sampling.shaping is not None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0, "repetition_penalty": 1.0},
        {"top_k": -1, "min_p": 0, "min_tokens": 0, "logprobs": None, "n": 1, "best_of": 1},
        {"top_k": 0, "stop": "x", "stop_token_ids": [65]},
        # Nothing could end it earlier: this model draws no token that ends an answer.
        {"min_tokens": 16},
    ],
    ids=str,
)
def test_neutral_values_leave_the_plain_path(fields: dict[str, Any]) -> None:
    found = order("completion", **fields)
    assert found.plain
    assert found.shaped_by is None
    assert found.sequence.sampling.shaping is None


def test_each_choice_has_a_seed_of_its_own_and_the_first_has_the_requests() -> None:
    def seeds(**fields: Any) -> list[int]:
        return [one.sampling.seed for one in order("completion", **fields).sequences]

    several = seeds(seed=5, n=4)
    assert several[0] == 5
    assert len(set(several)) == 4
    assert several == seeds(seed=5, n=4)
    assert not set(several) & set(seeds(seed=6, n=4))
    assert seeds(seed=5, n=2, prompt=["a", "b"]) == several[:2] * 2
