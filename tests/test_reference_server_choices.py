"""Several choices, probabilities, and shaped draws, as the official client gets them from a server process."""

import json
import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import requests
from openai.types.chat import ChatCompletionMessageParam

from reference_server.config import Settings
from tests.conftest import wait_until
from tests.support.reference_replicas import Hold, Process, replica_in_thread, replica_process

PROMPT = "The quick brown fox jumps over the lazy dog."
INVALID = 'ds_invalid_requests_total{{model="tiny",reason="{}"}}'


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with replica_process(tmp_path_factory.mktemp("replica"), DS_MAX_CONTEXT="512") as one:
        yield one
        assert one.terminate() == 0


@pytest.fixture
def client(replica: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{replica.url}/v1", api_key="unused", max_retries=0) as one:
        yield one


def post(replica: Process, body: dict[str, Any]) -> requests.Response:
    standard: dict[str, Any] = {"prompt": PROMPT, "seed": 7, "max_tokens": 12}
    return requests.post(f"{replica.url}/v1/completions", json=standard | body, timeout=60)


def complete(replica: Process, **body: Any) -> dict[str, Any]:
    answer = post(replica, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def texts(answer: dict[str, Any]) -> list[str]:
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(answer["choices"])))
    return [choice["text"] for choice in answer["choices"]]


def streamed(replica: Process, **body: Any) -> list[dict[str, Any]]:
    """Every event before the terminal one."""
    answer = post(replica, {"stream": True} | body)
    events = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def test_several_choices_differ_and_the_first_is_that_of_one(replica: Process) -> None:
    several = complete(replica, n=3)
    assert texts(several)[0] == texts(complete(replica))[0]
    assert len(set(texts(several))) == 3
    assert several["usage"]["completion_tokens"] == 36
    assert several["usage"]["prompt_tokens"] == len(PROMPT), "a prompt counts once"


def test_a_list_of_prompts_is_answered_as_each_alone(replica: Process) -> None:
    prompts = ["one", [72, 105], "three"]
    alone = [texts(complete(replica, prompt=prompt, n=2)) for prompt in prompts]
    together = complete(replica, prompt=prompts, n=2)
    assert texts(together) == [text for pair in alone for text in pair]
    assert together["usage"]["prompt_tokens"] == 3 + 2 + 5


def test_streamed_choices_are_the_whole_ones_cut_into_events(replica: Process) -> None:
    events = streamed(replica, n=3, stream_options={"include_usage": True})
    assert len({event["id"] for event in events}) == 1
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 36
    said, reasons = ["", "", ""], ["", "", ""]
    for event in events[:-1]:
        (choice,) = event["choices"]
        assert not reasons[choice["index"]], "nothing follows the end of a choice"
        said[choice["index"]] += choice["text"]
        reasons[choice["index"]] = choice["finish_reason"] or ""
    assert said == texts(complete(replica, n=3))
    assert reasons == ["length"] * 3


def test_a_chat_streams_several_choices_to_the_official_client(client: openai.OpenAI) -> None:
    def asked(**more: Any) -> Any:
        hello: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
        return client.chat.completions.create(
            model="tiny", messages=hello, n=2, seed=3, max_tokens=8, logprobs=True, top_logprobs=2, **more
        )

    whole = asked()
    said, entries = {0: "", 1: ""}, {0: 0, 1: 0}
    for part in asked(stream=True):
        (choice,) = part.choices
        said[choice.index] += choice.delta.content or ""
        entries[choice.index] += len(choice.logprobs.content) if choice.logprobs else 0
    assert said == {choice.index: choice.message.content for choice in whole.choices}
    assert entries == {0: 8, 1: 8}
    first = whole.choices[0].logprobs.content[0]
    assert bytes(first.bytes).decode() == first.token == whole.choices[0].message.content[0]
    assert len(first.top_logprobs) == 2
    assert first.top_logprobs[0].logprob >= first.top_logprobs[1].logprob


def test_probabilities_of_a_completion_fit_its_text(replica: Process) -> None:
    (choice,) = complete(replica, logprobs=2)["choices"]
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == choice["text"] == texts(complete(replica))[0]
    assert told["text_offset"] == list(range(12))
    for token, logprob, top in zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True):
        assert top[token] == logprob <= max(top.values()) < 0
        assert len(top) in (2, 3)
    everything = complete(replica, logprobs=20, max_tokens=1)["choices"][0]["logprobs"]["top_logprobs"][0]
    assert 0 < sum(math.exp(logprob) for logprob in everything.values()) < 1
    assert complete(replica)["choices"][0]["logprobs"] is None


def test_a_stream_tells_the_probability_of_every_token_where_text_is_held_back(replica: Process) -> None:
    whole = texts(complete(replica))[0]
    events = streamed(replica, logprobs=0, stop=[whole[3:6]])
    tokens = [
        token for event in events for token in (event["choices"][0]["logprobs"] or {"tokens": []})["tokens"]
    ]
    assert "".join(event["choices"][0]["text"] for event in events) == whole[:3]
    assert "".join(tokens) == whole[:6], "those of the stop string were drawn, too"


def test_the_count_goes_along_with_a_stream_where_it_is_asked_for(replica: Process) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    events = streamed(replica, max_tokens=4, stream_options=options)
    assert [event["usage"]["completion_tokens"] for event in events] == [1, 2, 3, 4, 4, 4]


def test_a_greedy_answer_follows_a_bias(replica: Process) -> None:
    assert texts(complete(replica, temperature=0, logit_bias={"88": 100})) == ["X" * 12]
    drawn = texts(complete(replica, n=4, logit_bias={str(ord(c)): 100 for c in "abcdefgh"}))
    assert set("".join(drawn)) <= set("abcdefgh")
    assert len(set(drawn)) == 4


def test_one_of_the_likeliest_is_the_likeliest(replica: Process) -> None:
    greedy = texts(complete(replica, temperature=0))
    assert texts(complete(replica, top_k=1)) == greedy
    assert texts(complete(replica, min_p=1.0)) == greedy
    assert texts(complete(replica)) != greedy


def test_penalties_keep_an_answer_from_repeating_itself(replica: Process) -> None:
    bias = {str(ord(c)): 100 for c in "abcdefghijkl"}
    for penalty in ({"presence_penalty": 2}, {"frequency_penalty": 2}):
        # Greedy, and the model's own logits are close together: what was said comes after what was not.
        (text,) = texts(complete(replica, temperature=0, logit_bias=bias, **penalty))
        assert len(set(text)) > len(set(texts(complete(replica, temperature=0, logit_bias=bias))[0]))
    (text,) = texts(complete(replica, temperature=0, repetition_penalty=2, prompt="zz"))
    assert "z" not in text


def test_a_stop_token_ends_the_answer_and_is_not_said(replica: Process) -> None:
    whole = texts(complete(replica))[0]
    stop = next(char for i, char in enumerate(whole) if i > 2 and char not in whole[:i])
    at = whole.index(stop)
    answer = complete(replica, stop_token_ids=[ord(stop)])
    assert texts(answer) == [whole[:at]]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == at + 1


def test_nothing_ends_an_answer_before_min_tokens(replica: Process) -> None:
    whole = texts(complete(replica))[0]
    for fields in ({"stop_token_ids": [ord(whole[0])]}, {"stop": [whole[0]]}):
        short = complete(replica, **fields)
        assert short["usage"]["completion_tokens"] == 1
        longer = complete(replica, min_tokens=6, **fields)
        assert longer["usage"]["completion_tokens"] >= 6
        assert len(texts(longer)[0]) >= 6


def test_each_choice_counts_as_a_request_and_none_is_left_behind(replica: Process) -> None:
    before = replica.ended("ok"), replica.generated()
    complete(replica, n=3, max_tokens=5)
    streamed(replica, n=2, max_tokens=5)
    assert (replica.ended("ok"), replica.generated()) == (before[0] + 5, before[1] + 25)
    assert replica.running() == 0


def test_a_client_that_leaves_takes_all_choices_along(replica: Process) -> None:
    before = replica.ended("aborted")
    body: dict[str, Any] = {"prompt": PROMPT, "n": 4, "max_tokens": 400, "stream": True}
    with requests.post(f"{replica.url}/v1/completions", json=body, stream=True, timeout=30) as answer:
        next(answer.iter_content(1))
    wait_until(lambda: replica.ended("aborted") == before + 4, within_s=30, what="the end of all four")
    assert replica.running() == 0


def test_requests_that_are_none_are_counted_by_why_and_nowhere_else(replica: Process) -> None:
    wrong = {
        "body": {"data": "not json"},
        "field": {"json": {"prompt": PROMPT, "temperature": 3}},
        "unserved": {"json": {"prompt": PROMPT, "echo": True}},
        "context_length": {"json": {"prompt": "x" * 600}},
        "unknown_model": {"json": {"prompt": PROMPT, "model": "huge"}},
        "too_large": {"data": "x" * (2 << 20)},
    }
    ended = ["ok", "error", "timeout", "aborted", "rejected"]
    requests_before = [replica.ended(outcome) for outcome in ended]
    for reason, how in wrong.items():
        before = replica.metric(INVALID.format(reason))
        status = requests.post(f"{replica.url}/v1/completions", timeout=30, **how).status_code  # type: ignore[arg-type]
        assert status in (400, 404, 413)
        assert replica.metric(INVALID.format(reason)) == before + 1, reason
    assert [replica.ended(outcome) for outcome in ended] == requests_before


def test_a_full_queue_refuses_all_choices_of_a_request_and_leaves_none_waiting() -> None:
    hold = Hold()
    with replica_in_thread(Settings(port=0, metrics_port=0, max_queue=2), hold) as replica:
        hold.stepping.clear()
        answer = requests.post(
            f"{replica.url}/v1/completions", json={"prompt": "Hi", "n": 3, "max_tokens": 2}, timeout=30
        )
        assert answer.status_code == 429
        assert replica.ended("rejected") == 3
        assert replica.metric('ds_requests_waiting{model="tiny"}') == 0


@pytest.mark.parametrize(
    "fields",
    [{"logprobs": 1}, {"logit_bias": {"65": 1}}, {"top_k": 3}, {"min_tokens": 1, "stop": "x"}],
    ids=str,
)
def test_a_backend_that_cannot_draw_so_has_the_field_refused_by_name(fields: dict[str, Any]) -> None:
    hold = Hold()
    with replica_in_thread(Settings(port=0, metrics_port=0), hold) as replica:
        assert hold.backend is not None
        hold.backend.shapes = False
        url = f"{replica.url}/v1/completions"
        answer = requests.post(url, json={"prompt": "Hi", **fields}, timeout=30)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == next(iter(fields))
        also: dict[str, Any] = {"prompt": "Hi", "n": 2, "stop_token_ids": [65], "max_tokens": 3}
        assert len(requests.post(url, json=also, timeout=30).json()["choices"]) == 2
