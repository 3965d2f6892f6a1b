import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.completions import (
    BadEventError,
    Chunk,
    ErrorEventError,
    _read_bearing,
    read_chunk,
    request_body,
)
from loadtests.sse import ServerEvent


def choice(**values: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": None} | values]}


@pytest.mark.parametrize(
    ("body", "chunk"),
    [
        (choice(delta={"role": "assistant", "content": ""}), Chunk()),
        (choice(delta={"role": "assistant", "content": None}), Chunk()),
        (choice(delta={"content": "w"}), Chunk(has_token=True)),
        (choice(delta={"content": " "}), Chunk(has_token=True)),
        (choice(text="w"), Chunk(has_token=True)),
        (choice(delta={"reasoning_content": "w"}), Chunk(has_token=True)),
        (choice(delta={"reasoning": "w"}), Chunk(has_token=True)),
        (choice(delta={"tool_calls": [{"index": 0}]}), Chunk(has_token=True)),
        (choice(delta={"tool_calls": []}), Chunk()),
        (choice(delta=None), Chunk()),
        (choice(finish_reason="stop"), Chunk(finish_reason="stop")),
        (
            choice(delta={"content": "w"}, finish_reason="length"),
            Chunk(has_token=True, finish_reason="length"),
        ),
        (
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}},
            Chunk(prompt_tokens=3, output_tokens=5),
        ),
        ({"choices": [], "usage": None}, Chunk()),
        ({"error": None, "choices": []}, Chunk()),
    ],
    ids=[
        "role with empty content",
        "role without content",
        "content",
        "blank content",
        "text of a plain completion",
        "reasoning_content",
        "reasoning",
        "tool call",
        "no tool calls",
        "no delta",
        "finish",
        "last token with finish",
        "usage",
        "no usage",
        "error that is null",
    ],
)
def test_a_chunk_says_token_finish_and_usage(body: object, chunk: Chunk) -> None:
    assert read_chunk(ServerEvent(json.dumps(body))) == chunk


@pytest.mark.parametrize("data", ["{oops", "[]", "null", "{}", '{"choices":[1]}', '{"choices":7}'])
def test_anything_else_is_a_bad_event(data: str) -> None:
    with pytest.raises(BadEventError):
        read_chunk(ServerEvent(data))


@pytest.mark.parametrize(
    "event",
    [
        ServerEvent('{"error":{"message":"engine died"}}'),
        ServerEvent('{"error":"engine died"}'),
        ServerEvent("engine died", "error"),
    ],
    ids=["object", "text", "event type"],
)
def test_an_error_in_the_stream_is_told_with_its_message(event: ServerEvent) -> None:
    with pytest.raises(ErrorEventError, match="engine died"):
        read_chunk(event)


def test_a_request_asks_for_a_stream_with_usage() -> None:
    body = json.loads(request_body("tiny", "hello", 8, ignore_eos=False))
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 8,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert json.loads(request_body("tiny", "hello", 8, ignore_eos=True)) == body | {"ignore_eos": True}


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "w", "stop"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                (
                    *("choices", "delta", "content", "text", "tool_calls", "finish_reason", "usage", "error"),
                    *("prompt_tokens", "completion_tokens", "reasoning", "index"),
                )
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


def bearing(data: str) -> object:
    try:
        return _read_bearing(json.loads(data))
    except ErrorEventError as error:
        return str(error)
    except (ValueError, TypeError, KeyError, AttributeError):
        return BadEventError


def strict(data: str) -> object:
    try:
        return read_chunk(ServerEvent(data))
    except ErrorEventError as error:
        return str(error)
    except BadEventError:
        return BadEventError


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(
        VALUES, st.fixed_dictionaries({"choices": st.lists(VALUES, max_size=2)}, optional={"usage": VALUES})
    )
)
def test_the_quick_way_to_read_a_chunk_says_what_the_bearing_one_says(body: object) -> None:
    data = json.dumps(body)
    assert strict(data) == bearing(data)


def test_what_is_no_json_to_a_strict_reader_is_read_as_before() -> None:
    data = '{"choices":[{"delta":{"content":"w"},"logprobs":NaN}]}'
    assert read_chunk(ServerEvent(data)) == Chunk(has_token=True)
