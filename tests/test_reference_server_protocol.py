"""Request bodies: what is understood, what is refused and how, what is ignored; and the shape of answers."""

import json
import math
from typing import Any

import pytest

from reference_server.api.errors import ApiError
from reference_server.api.openai_answers import CHAT, COMPLETION, Answer, usage
from reference_server.api.openai_protocol import Order, chat_order, completion_order
from reference_server.config import Settings
from reference_server.models.served_model import served_model
from reference_server.sampler import Sampling
from reference_server.sequence import TokenSequence

SERVED = served_model(Settings(max_context=128))


def completion(**fields: Any) -> Order:
    return completion_order(json.dumps({"prompt": "Hi"} | fields).encode(), SERVED)


def chat(**fields: Any) -> Order:
    body = {"messages": [{"role": "user", "content": "Hi"}]} | fields
    return chat_order(json.dumps(body).encode(), SERVED)


def test_defaults_are_openais() -> None:
    order = completion()
    sequence = order.sequence
    assert (sequence.prompt, sequence.max_tokens) == ([72, 105], 16)
    assert (order.streaming, order.include_usage) == (False, False)
    assert (sequence.sampling.temperature, sequence.sampling.top_p) == (1.0, 1.0)
    assert sequence.sampling.seed != completion().sequence.sampling.seed


def test_a_chat_answer_may_fill_the_context() -> None:
    sequence = chat().sequence
    assert bytes(sequence.prompt) == b"user: Hi\nassistant: "
    assert len(sequence.prompt) + sequence.max_tokens == SERVED.longest
    assert chat(max_tokens=5).sequence.max_tokens == 5
    assert chat(max_tokens=5, max_completion_tokens=6).sequence.max_tokens == 6


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt": [1, 2, 3]}, {"prompt": [1, 2, 3]}),
        ({"prompt": "é"}, {"prompt": [0xC3, 0xA9]}),
        ({"max_tokens": None}, {"max_tokens": 16}),
        ({"ignore_eos": True}, {"ignore_eos": True}),
        ({"cache_salt": "tenant"}, {"salt": "tenant"}),
        ({"priority": -3}, {"priority": -3}),
        ({}, {"priority": 0, "within_s": math.inf}),
        ({"timeout_seconds": 0.5}, {"within_s": 0.5}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"include_usage": True}),
        ({"n": 1, "echo": False, "logprobs": None, "user": "me", "metadata": {"a": "b"}}, {}),
        ({"stop_token_ids": [7, 8]}, {"stop_ids": frozenset({7, 8}), "shaped_by": None}),
    ],
    ids=str,
)
def test_fields_are_understood_or_change_nothing(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    order = completion(**fields)
    found = {name: getattr(order if hasattr(order, name) else order.sequence, name) for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("stop", "sent"), [("END", "a b "), (["b", "a "], ""), ([], "a b END"), (None, "a b END")], ids=str
)
def test_stop_strings_end_the_text(stop: Any, sent: str) -> None:
    text = completion(stop=stop).sequence.text
    assert text.push(b"a b END") + text.finish() == sent


def test_sampling_is_passed_on() -> None:
    sampling = completion(temperature=0, top_p=0.5, seed=-3).sequence.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.0, 0.5, -3)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"max_tokens": "5"}, "max_tokens", "valid integer"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
    ({"max_tokens": 2.5}, "max_tokens", "valid integer"),
    ({"max_tokens": True}, "max_tokens", "valid integer"),
    ({"max_tokens": 1000}, "max_tokens", "maximum context length is 128 tokens"),
    ({"priority": "high"}, "priority", "valid integer"),
    ({"timeout_seconds": 0}, "timeout_seconds", "greater than 0"),
    ({"temperature": "hot"}, "temperature", "valid number"),
    ({"temperature": -1}, "temperature", "greater than or equal to 0"),
    ({"temperature": 2.1}, "temperature", "less than or equal to 2"),
    ({"top_p": 1.01}, "top_p", "less than or equal to 1"),
    ({"seed": 1.5}, "seed", "valid integer"),
    ({"seed": 1 << 63}, "seed", "less than"),
    ({"stop": 5}, "stop", "a string or a list"),
    ({"stop": ""}, "stop", "none of them empty"),
    ({"stop": ["a", 1]}, "stop", "a string or a list"),
    ({"stop": ["a"] * 5}, "stop", "up to 4"),
    ({"stream": "yes"}, "stream", "valid boolean"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "valid boolean"),
    ({"n": 0}, "n", "greater than or equal to 1"),
    ({"n": 129}, "n", "less than or equal to 128"),
    ({"presence_penalty": 2.5}, "presence_penalty", "less than or equal to 2"),
    ({"frequency_penalty": "much"}, "frequency_penalty", "valid number"),
    ({"repetition_penalty": 0}, "repetition_penalty", "greater than 0"),
    ({"top_k": -2}, "top_k", "greater than or equal to -1"),
    ({"min_p": 1.5}, "min_p", "less than or equal to 1"),
    ({"min_tokens": -1}, "min_tokens", "greater than or equal to 0"),
    ({"min_tokens": 9, "max_tokens": 8}, "min_tokens", "at most max_tokens, 8,"),
    ({"min_tokens": 1, "stop_token_ids": list(range(256))}, "min_tokens", "ends no answer"),
    ({"stop_token_ids": 7}, "stop_token_ids", "a list of tokens 0 to 287"),
    ({"stop_token_ids": [288]}, "stop_token_ids", "a list of tokens 0 to 287"),
    ({"logit_bias": [1]}, "logit_bias", "an object of tokens 0 to 287"),
    ({"logit_bias": {"288": 1}}, "logit_bias", "an object of tokens 0 to 287"),
    ({"logit_bias": {"a": 1}}, "logit_bias", "an object of tokens 0 to 287"),
    ({"logit_bias": {"65": 101}}, "logit_bias", "token 65: a number from -100 to 100"),
    ({"logit_bias": {"65": True}}, "logit_bias", "token 65: a number from -100 to 100"),
    ({"logit_bias": {"10": 1}}, "logit_bias", "token 10 is one that is never drawn here"),
    ({"unheard_of": {"a": []}}, "unheard_of", "no field that this server knows"),
    ({"stream_options": {"unheard_of": 1}}, "stream_options.unheard_of", "no field that this server knows"),
    ({"model": 3}, "model", "valid string"),
    ({"ignore_eos": "no"}, "ignore_eos", "valid boolean"),
]


@pytest.mark.parametrize(("fields", "param", "message"), REFUSED, ids=[str(row[0]) for row in REFUSED])
@pytest.mark.parametrize("order", [completion, chat], ids=["completion", "chat"])
def test_wrong_fields_are_refused_by_name(
    order: Any, fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        order(**fields)
    error = caught.value
    assert (error.status, error.param) == (400, param)
    assert error.body["error"].keys() == {"message", "type", "param", "code"}
    assert error.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["one", [1, 256]]}, "prompt"),
        ({"prompt": ["one", ""]}, "prompt"),
        ({"prompt": ["one"] * 65, "n": 2}, "n"),
        ({"prompt": [1, 256]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"suffix": "."}, "suffix"),
        ({"prompt": "x" * 128}, "max_tokens"),
    ],
    ids=str,
)
def test_wrong_fields_of_a_completion_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        completion(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": 1, "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 200}]}, "max_tokens"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"messages": [{"role": "assistant", "content": 3}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "Hi", "weight": 1}]}, "messages.0.weight"),
    ],
    ids=str,
)
def test_wrong_fields_of_a_chat_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        chat(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"prompt"', b'{"prompt": NaN}', b"\xff"], ids=repr
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        completion_order(body, SERVED)
    assert caught.value.status == 400


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(ApiError, match="'tiny'") as caught:
        completion(model="gpt-5")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_text_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    prompt = chat(messages=[{"role": "user", "content": parts}]).sequence.prompt
    assert bytes(prompt) == b"user: ab\nassistant: "


@pytest.mark.parametrize("text", ["a", '"', "\\", "\n", "\0", "é€😀", "data: [DONE]"], ids=repr)
@pytest.mark.parametrize("form", [COMPLETION, CHAT], ids=["completion", "chat"])
def test_a_streamed_piece_is_one_event_with_exactly_its_text(form: Any, text: str) -> None:
    answer = Answer(form, 'a "model"', include_usage=False)
    sent = answer.text(text)
    assert sent.startswith(b"data: ")
    assert sent.endswith(b"\n\n")
    assert sent.count(b"\n") == 2
    body = json.loads(sent.removeprefix(b"data: "))
    choice = body["choices"][0]
    assert (choice.get("text") or choice["delta"]["content"]) == text
    assert choice["finish_reason"] is None
    assert body["model"] == 'a "model"'


def test_no_text_is_no_event() -> None:
    assert Answer(COMPLETION, "m", include_usage=False).text("") == b""


def test_usage_adds_up() -> None:
    sequence = TokenSequence(prompt=[65] * 10, max_tokens=5, sampling=Sampling(seed=0), cached=8)
    sequence.tokens += [66] * 5
    counts = usage(sequence)
    assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"] == 15
    assert counts["prompt_tokens_details"] == {"cached_tokens": 8}
