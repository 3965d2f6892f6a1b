"""The server as a process of its own, driven by the official OpenAI client and by raw HTTP."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import requests
from openai.types.chat import ChatCompletionMessageParam

from exporters.probe import ProbeTarget, probe
from tests.support.reference_replicas import Process, replica_process

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
PROMPT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("replica")
    with replica_process(folder, DS_REPLICA_NAME="replica-7", DS_MAX_CONTEXT="512", DS_MISSPELT="1") as one:
        yield one
        assert one.terminate() == 0


@pytest.fixture
def client(replica: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{replica.url}/v1", api_key="unused", max_retries=0) as one:
        yield one


def post(replica: Process, **body: Any) -> requests.Response:
    return requests.post(f"{replica.url}/v1/completions", json={"prompt": PROMPT} | body, timeout=30)


def events(response: requests.Response) -> list[str]:
    """The data of each event of a stream."""
    return [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("huge")


def test_a_completion_is_as_long_as_asked_for_and_counted(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=24, seed=1)
    assert len(answer.choices[0].text) == 24
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(PROMPT), 24)


def test_a_stream_has_one_event_a_token_and_the_text_of_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=24, seed=1)
    stream = client.completions.create(
        model="tiny",
        prompt=PROMPT,
        max_tokens=24,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    )
    parts = list(stream)
    texts = [part.choices[0].text for part in parts if part.choices and part.choices[0].text]
    assert len(texts) == 24
    assert "".join(texts) == whole.choices[0].text
    assert [part.choices[0].finish_reason for part in parts if part.choices][-2:] == [None, "length"]
    assert parts[-1].choices == []
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 24
    assert len({part.id for part in parts}) == 1


def test_a_chat_answer_streams_as_it_reads(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=10, seed=2)
    stream = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=10, seed=2, stream=True)
    deltas = [part.choices[0].delta for part in stream]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "length"


def test_a_stop_string_is_never_sent(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=40, seed=3).choices[0].text
    stop = whole[20:23]
    stream = client.completions.create(
        model="tiny", prompt=PROMPT, max_tokens=40, seed=3, stop=[stop], stream=True
    )
    parts = list(stream)
    assert "".join(part.choices[0].text for part in parts) == whole[: whole.index(stop)]
    assert parts[-1].choices[0].finish_reason == "stop"


def test_requests_in_parallel_answer_as_they_do_alone(replica: Process) -> None:
    def text(seed: int) -> str:
        return str(post(replica, seed=seed, max_tokens=30, temperature=seed % 2).json()["choices"][0]["text"])

    alone = [text(seed) for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(text, range(12))) == alone


def test_wrong_requests_raise_the_clients_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.completions.create(model="tiny", prompt=PROMPT, temperature=3)
    assert wrong.value.param == "temperature"
    assert wrong.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(model="tiny", prompt="x" * 600)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(model="huge", prompt=PROMPT)
    assert unknown.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/completions", 405), ("POST", "/v1/completions", 400)],
)
def test_every_error_has_openais_shape(replica: Process, method: str, path: str, status: int) -> None:
    response = requests.request(method, replica.url + path, data=b"not json", timeout=10)
    assert response.status_code == status
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}


def test_a_body_beyond_the_limit_is_refused(replica: Process) -> None:
    response = post(replica, padding="x" * (2 << 20))
    assert response.status_code == 413
    assert "error" in response.json()


def test_a_stream_ends_with_its_terminal_event_and_carries_usage_only_when_asked(replica: Process) -> None:
    plain = events(post(replica, stream=True, max_tokens=3))
    assert plain[-1] == "[DONE]"
    assert all("usage" not in json.loads(event) for event in plain[:-1])
    counted = events(post(replica, stream=True, max_tokens=3, stream_options={"include_usage": True}))
    usages = [json.loads(event)["usage"] for event in counted[:-1]]
    assert usages[:-1] == [None] * 4
    assert usages[-1]["completion_tokens"] == 3


def test_a_client_without_chunks_gets_the_same_events_bare(replica: Process) -> None:
    body = json.dumps({"prompt": PROMPT, "stream": True, "max_tokens": 12, "seed": 1}).encode()
    url = urlsplit(replica.url)
    with socket.create_connection((url.hostname, url.port), timeout=30) as old:
        old.sendall(b"POST /v1/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        with old.makefile("rb") as answer:
            bare = answer.read().decode().partition("\r\n\r\n")[2]
    texts = [json.loads(part[6:])["choices"][0]["text"] for part in bare.split("\n\n")[:-2]]
    assert len(texts) == 13, "one a token, and the last"
    assert "".join(texts) == post(replica, max_tokens=12, seed=1).json()["choices"][0]["text"]


def test_every_answer_names_its_replica(replica: Process) -> None:
    answers = [
        post(replica, max_tokens=1),
        post(replica, max_tokens=1, stream=True),
        post(replica, max_tokens=0),
        requests.get(f"{replica.url}/readyz", timeout=10),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 200]
    assert {answer.headers["x-aftershock-replica"] for answer in answers} == {"replica-7"}


def test_requests_tokens_and_cache_hits_are_counted(replica: Process) -> None:
    before = replica.ended("ok"), replica.generated()
    for _ in range(2):
        assert post(replica, prompt="counted" * 10, max_tokens=7).status_code == 200
    assert (replica.ended("ok"), replica.generated()) == (before[0] + 2, before[1] + 14)
    assert replica.metric('ds_cache_hits_total{model="tiny",tier="memory"}') >= 64
    assert (
        post(replica, prompt="counted" * 10).json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 64
    )


def test_the_log_says_when_the_model_is_there_and_what_it_did_not_understand(replica: Process) -> None:
    log = replica.log.read_text()
    assert "Model initialized" in log
    assert "DS_MISSPELT is not a setting of this server" in log


def test_the_reference_server_is_probed_with_success(replica: Process) -> None:
    result = probe(ProbeTarget(replica.url, "tiny", timeout_s=60))
    assert result.outcome == "ok"
    assert result.ttft_s is not None


def test_what_other_engines_answer_on_this_port_is_answered(replica: Process) -> None:
    assert requests.get(f"{replica.url}/health", timeout=30).status_code == 200
    said = requests.get(f"{replica.url}/version", timeout=30).json()
    assert set(said) == {"version"}
    own, beside = (
        requests.get(url, timeout=30) for url in (f"{replica.metrics_url}", f"{replica.url}/metrics")
    )
    assert beside.headers["Content-Type"] == own.headers["Content-Type"]
    names = [
        {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE ds_")}
        for answer in (own, beside)
    ]
    assert names[0] == names[1] != set()
