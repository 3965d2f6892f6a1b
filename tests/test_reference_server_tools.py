"""The verbs around model folders, end to end on a small Llama: import, quantize, prune, evaluate, serve."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import requests
import torch
import transformers
from tokenizers import Tokenizer

from reference_server.cli import main
from reference_server.config import Settings
from reference_server.models.quantization import Int8Weight, dequantize
from reference_server.models.shapes import NAMED_SHAPES
from reference_server.models.tokenizer import BpeTokenizer
from reference_server.models.weights import layer_name, write_weights
from reference_server.tools.evaluate import windows
from reference_server.tools.folders import read_folder
from reference_server.tools.forward import WholeText
from reference_server.tools.prune import projections
from tests.support.llama_folders import SHAPE, TEXT, write_llama
from tests.support.reference_replicas import Hold, replica_in_thread

ROOT = Path(__file__).parents[1]
SHARES = {"hidden_size": 192, "intermediate_size": 256, "tie_word_embeddings": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama"), SHARES)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "page.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def quantized(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8")
    assert main(["quantize", str(folder), "--out", str(out)]) == 0
    return out


def report(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["evaluate", *(str(argument) for argument in arguments)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_whole_text_has_the_logits_of_transformers(folder: Path) -> None:
    tokens = torch.tensor(BpeTokenizer(folder).encode(TEXT)[:100])
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        expected = model(tokens.unsqueeze(0)).logits[0]
    torch.testing.assert_close(WholeText(*read_folder(folder)).logits(tokens), expected, rtol=1e-4, atol=1e-4)


def test_perplexity_is_that_of_transformers(
    folder: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = torch.tensor([BpeTokenizer(folder).encode(TEXT)[:150]])
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        expected = float(model(tokens, labels=tokens).loss.exp())
    found = report(capsys, folder, "--text", text, "--tokens", 150, "--window", 200, "--stride", 100)
    assert found["evaluations"][0]["perplexity"] == pytest.approx(expected, rel=1e-4)
    assert found["evaluations"][0]["predictions"] == 149


@pytest.mark.parametrize(("tokens", "window", "stride"), [(10, 4, 2), (11, 4, 3), (3, 8, 4), (4, 4, 1)])
def test_every_token_but_the_first_is_predicted_once(tokens: int, window: int, stride: int) -> None:
    predicted: list[int] = []
    for part, scored in windows(tokens, window, stride):
        assert 0 <= part.start < part.stop - scored
        assert part.stop - part.start <= window
        predicted += range(part.stop - scored, part.stop)
    assert predicted == list(range(1, tokens))


def test_a_quantized_folder_is_served_in_a_quarter_of_the_size_with_the_text_of_its_weights(
    folder: Path, quantized: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys, quantized, "--against", folder, "--text", text, "--tokens", 300)
    # 130 bytes for 512, and 66 for 256 where 192 inputs end in half a group; the norms stay.
    assert found["difference"]["disk"] == pytest.approx(-0.74, abs=0.01)
    assert abs(found["difference"]["perplexity"]) < 0.05
    assert found["difference"]["same_first_choice"] > 0.7
    assert {file.name for file in quantized.iterdir()} == {file.name for file in folder.iterdir()}
    shape, weights = read_folder(quantized)
    wide = {
        name: dequantize(weight) if isinstance(weight, Int8Weight) else weight
        for name, weight in weights.items()
    }
    model = WholeText(shape, wide)
    prompt = BpeTokenizer(folder).encode("The baseline is")
    tokens = list(prompt)
    for _ in range(12):
        tokens.append(int(model.logits(torch.tensor(tokens))[-1].argmax()))
    settings = Settings(
        model_path=quantized, model_name="it", host="127.0.0.1", port=0, metrics_port=0, torch_threads=1
    )
    with replica_in_thread(settings, Hold()) as replica:
        body: dict[str, Any] = {"prompt": prompt, "temperature": 0, "max_tokens": 12, "ignore_eos": True}
        reply = requests.post(f"{replica.url}/v1/completions", json=body, timeout=60).json()
    expected = Tokenizer.from_file(str(folder / "tokenizer.json")).decode(tokens[len(prompt) :])
    assert reply["choices"][0]["text"] == expected


@pytest.mark.parametrize("score", ["magnitude", "wanda"])
def test_pruning_goes_in_steps_that_keep_the_zeros_of_the_one_before(
    score: str, folder: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pruned"
    line = ["prune", str(folder), "--out", str(out), "--sparsity", "0.1,0.5", "--score", score]
    assert main([*line, "--text", str(text), "--tokens", "200", "--window", "100"]) == 0
    steps = [read_folder(out / f"sparsity-{share}") for share in ("0.10", "0.50")]
    _, dense = read_folder(folder)
    for name in projections(steps[0][0]):
        less, more, whole = steps[0][1][name], steps[1][1][name], dense[name]
        assert isinstance(less, torch.Tensor)
        assert isinstance(more, torch.Tensor)
        assert float((less == 0).float().mean()) == pytest.approx(0.1, abs=0.006)
        assert float((more == 0).float().mean()) == pytest.approx(0.5, abs=0.006)
        assert not more[less == 0].any()
        assert torch.equal(more[more != 0], whole[more != 0])
        if score == "magnitude":
            assert more[more != 0].abs().min() >= whole[more == 0].abs().max()
        else:
            assert ((more == 0).sum(dim=1) == round(0.5 * more.shape[1])).all()


def test_wanda_keeps_weights_whose_input_is_large(folder: Path, tmp_path: Path, text: Path) -> None:
    source = tmp_path / "loud"
    shutil.copytree(folder, source)
    _, weights = read_folder(folder)
    norm = weights[layer_name(0, "input_layernorm")]
    assert isinstance(norm, torch.Tensor)
    norm[:10] = 100.0
    write_weights(source / "model.safetensors", weights)
    line = ["prune", str(source), "--out", str(tmp_path / "out"), "--sparsity", "0.5", "--score", "wanda"]
    assert main([*line, "--text", str(text), "--tokens", "64"]) == 0
    pruned = read_folder(tmp_path / "out" / "sparsity-0.50")[1][layer_name(0, "self_attn.q_proj")]
    assert isinstance(pruned, torch.Tensor)
    assert float((pruned[:, :10] == 0).float().mean()) < 0.05


def write_gguf(path: Path, folder: Path, *, pre: str = "smollm") -> None:
    """The folder as llama.cpp would have it: its names, its order of the rotated pairs, Q8_0 matrices."""
    shape, weights = read_folder(folder)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_context_length(shape.max_context)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    own = json.loads((folder / "tokenizer.json").read_text())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(sorted(own["vocab"], key=own["vocab"].__getitem__))
    writer.add_token_types([3] * 3 + [1] * (len(own["vocab"]) - 3))
    writer.add_token_merges([" ".join(merge) for merge in own["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.layers)
    for name, weight in weights.items():
        assert isinstance(weight, torch.Tensor)
        array = weight.float().numpy()
        if "q_proj" in name or "k_proj" in name:
            halves = array.reshape(-1, 2, shape.head_dim // 2, array.shape[1])
            array = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(array.shape))
        kind = gguf.GGMLQuantizationType.Q8_0 if array.ndim == 2 else gguf.GGMLQuantizationType.F32
        theirs = names.get_name(name, try_suffixes=[".weight"])
        assert theirs is not None
        writer.add_tensor(theirs, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_becomes_a_folder_with_the_same_weights_and_tokens(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gguf(tmp_path / "it.gguf", folder)
    assert main(["import-gguf", str(tmp_path / "it.gguf"), "--out", str(tmp_path / "out")]) == 0
    (shape, weights), (imported_shape, imported) = read_folder(folder), read_folder(tmp_path / "out")
    parameters = sum(weight.numel() for weight in weights.values() if isinstance(weight, torch.Tensor))
    said = capsys.readouterr().out
    assert f"{parameters / 1e6:.1f} million parameters in {shape.layers} layers" in said
    assert f"--model-path {tmp_path / 'out'}" in said
    assert (imported_shape.layers, imported_shape.eos) == (shape.layers, (SHAPE["eos_token_id"],))
    for name, weight in weights.items():
        found = imported[name]
        assert isinstance(weight, torch.Tensor)
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(
            found.float(), weight.float(), rtol=0.01, atol=float(weight.abs().max()) / 120
        )
    one, other = BpeTokenizer(folder), BpeTokenizer(tmp_path / "out")
    said = "What is a window? → ✓ <|im_end|>"
    assert other.encode(said) == one.encode(said)
    assert b"".join(map(other.to_bytes, other.encode(said))).decode() == said.removesuffix("<|im_end|>")
    assert len(other.encode("2026")) == 4, "digits stand alone"


def test_what_cannot_be_converted_is_refused_with_file_key_value_and_expectation(
    folder: Path, quantized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gguf(tmp_path / "odd.gguf", folder, pre="qwen2")
    (tmp_path / "no.gguf").write_bytes(b"no")
    new = str(tmp_path / "new")
    for line, complaint in (
        (
            ["import-gguf", str(tmp_path / "odd.gguf")],
            "odd.gguf: tokenizer.ggml.pre: gpt-2 or smollm is expected",
        ),
        (["import-gguf", str(tmp_path / "no.gguf")], "no.gguf: a GGUF file is expected"),
        (["quantize", str(quantized)], "floating-point weights are expected, not 8-bit ones"),
        (["prune", str(quantized)], "floating-point weights are expected, not 8-bit ones"),
        (["prune", str(folder), "--sparsity", "0.5,0.1"], "rising numbers between 0 and 1 are expected"),
        (["prune", str(folder), "--score", "wanda"], "--text: a file is expected with --score wanda"),
        (["quantize", str(tmp_path / "none")], "config.json: a readable JSON file is expected"),
    ):
        assert main([*line, "--out", new]) == 2
        assert complaint in capsys.readouterr().err
        assert not Path(new).exists()
    assert main(["quantize", str(folder), "--out", str(quantized)]) == 2
    assert "a folder that is new or empty is expected" in capsys.readouterr().err


@pytest.mark.slow
def test_the_shards_benchmark_tells_speed_exchanges_losses_and_agreement(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.shard_scaling", "--shards", "1,2", "--shape", "tiny"]
    command += [
        "--batches",
        "1,3",
        "--context",
        "20",
        "--steps",
        "9",
        "--output",
        str(tmp_path / "shards.json"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.count("greedy tokens") == 2
    found = json.loads((tmp_path / "shards.json").read_text())
    assert [run["shards"] for run in found["runs"]] == [1, 2]
    for run in found["runs"]:
        assert [len(batch["steps_s"]) for batch in run["batches"]] == [8, 8]
    sums = {one["op"]: one["n"] for one in found["runs"][1]["batches"][0]["exchanges"]}
    assert sums["all_reduce"] == 9 * 2 * NAMED_SHAPES["tiny"].layers
    assert [loss["fault"] for loss in found["losses"]] == ["SIGKILL", "SIGSTOP"]
    assert all(loss["noticed_s"] < 2 and not loss["left_of_the_group"] for loss in found["losses"])
    assert all(agreed["equal"] == agreed["positions"] == 1024 for agreed in found["agreement"])
