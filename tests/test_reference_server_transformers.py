"""The server beside Hugging Face transformers on the same folders, on the CPU in float32: the same greedy text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
import transformers

from reference_server.config import Settings
from tests.support.llama_folders import write_llama
from tests.support.reference_replicas import Hold, replica_in_thread

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FOLDERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grouped heads, head of its own": ({"tie_word_embeddings": False}, {}),
    "a KV head each, tied": ({"num_key_value_heads": 6, "tie_word_embeddings": True}, {}),
    "another theta": ({"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}}, {}),
    "Llama 3 scaling, bfloat16, several files": (
        {"rope_parameters": LLAMA3},
        {"dtype": torch.bfloat16, "max_shard_size": "100KB"},
    ),
}
PROMPTS = ("The baseline is", "What is recovery? " * 9, "Größe: 5 µs → ✓")
CHAT = [{"role": "user", "content": "What is a window?"}]
ANSWER_TOKENS = 24


@pytest.fixture(scope="module", params=FOLDERS.values(), ids=list(FOLDERS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape, saving = request.param
    return write_llama(tmp_path_factory.mktemp("llama"), shape, **saving)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    settings = Settings(
        model_path=folder, model_name="it", host="127.0.0.1", port=0, metrics_port=0, torch_threads=1
    )
    with replica_in_thread(settings, Hold()) as replica:
        yield replica.url


def reference_answer(folder: Path, prompt: list[int]) -> list[int]:
    """What `generate` draws without sampling."""
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=ANSWER_TOKENS, pad_token_id=0
    )
    answer: list[int] = tokens[0, len(prompt) :].tolist()
    return answer


def answer(url: str, path: str, **body: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": "it", "temperature": 0, "max_tokens": ANSWER_TOKENS} | body
    reply = requests.post(f"{url}/v1/{path}", json=asked, timeout=60)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_completions_are_those_of_transformers(folder: Path, url: str, prompt: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(prompt)["input_ids"]
    expected = reference_answer(folder, tokens)
    for asked in (prompt, tokens):
        served = answer(url, "completions", prompt=asked)
        assert served["usage"]["prompt_tokens"] == len(tokens)
        assert served["usage"]["completion_tokens"] == len(expected)
        assert served["choices"][0]["text"] == tokenizer.decode(expected, skip_special_tokens=True)


def test_a_chat_is_laid_out_by_the_folders_template(folder: Path, url: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=False)
    tokens = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    served = answer(url, "chat/completions", messages=CHAT)
    assert served["usage"]["prompt_tokens"] == len(tokens)
    expected = tokenizer.decode(reference_answer(folder, tokens), skip_special_tokens=True)
    assert served["choices"][0]["message"]["content"] == expected


def test_a_stream_holds_the_same_text_and_only_whole_characters(folder: Path, url: str) -> None:
    body: dict[str, Any] = {
        "prompt": PROMPTS[0],
        "max_tokens": 48,
        "seed": 3,
        "temperature": 2,
        "ignore_eos": True,
    }
    whole = answer(url, "completions", **body)["choices"][0]["text"]
    reply = requests.post(f"{url}/v1/completions", json=body | {"stream": True}, timeout=60)
    events = [line.removeprefix(b"data: ") for line in reply.content.split(b"\n\n") if line]
    pieces = [json.loads(event)["choices"][0]["text"] for event in events[:-1]]
    assert "".join(pieces) == whole
    assert len(pieces) > 10


def test_an_answer_ends_at_the_token_that_only_the_generation_config_names(tmp_path: Path) -> None:
    folder = write_llama(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer(PROMPTS[0])["input_ids"]
    end_of_turn = reference_answer(folder, prompt)[5]
    file = folder / "generation_config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"eos_token_id": [said["eos_token_id"], end_of_turn]}))
    expected = reference_answer(folder, prompt)
    settings = Settings(
        model_path=folder, model_name="it", host="127.0.0.1", port=0, metrics_port=0, torch_threads=1
    )
    with replica_in_thread(settings, Hold()) as replica:
        served = answer(replica.url, "completions", prompt=prompt)
    assert served["choices"][0]["finish_reason"] == "stop"
    assert served["usage"]["completion_tokens"] == len(expected) <= 6
