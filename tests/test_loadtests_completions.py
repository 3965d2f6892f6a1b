import json

import pytest

from loadtests.completions import BadEventError, Chunk, ErrorEventError, read_chunk, request_body
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


@pytest.mark.parametrize("data", ["", "{oops", "[]", "null", "{}", '{"choices":[1]}', '{"choices":7}'])
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
