"""Weights by their Hugging Face Llama names: seeded random ones, and safetensors files read and written.

A matrix in 8 bits is two tensors in a file: its values under its own name, and its scales under that name with
`_scale` behind it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.models.folder import read_object
from reference_server.models.quantization import GROUP, Int8Weight
from reference_server.models.shapes import Shape

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
HEAD = "lm_head.weight"
SCALE = "_scale"

Weights = Mapping[str, Tensor | Int8Weight]


def layer_name(layer: int, part: str) -> str:
    """The name of one layer's tensor, e.g. `self_attn.q_proj`."""
    return f"model.layers.{layer}.{part}.weight"


def tensor_sizes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name and size of every tensor of a model; projections are (output, input)."""
    query, key_value = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    parts: dict[str, tuple[int, ...]] = {
        "input_layernorm": (shape.hidden,),
        "self_attn.q_proj": (query, shape.hidden),
        "self_attn.k_proj": (key_value, shape.hidden),
        "self_attn.v_proj": (key_value, shape.hidden),
        "self_attn.o_proj": (shape.hidden, query),
        "post_attention_layernorm": (shape.hidden,),
        "mlp.gate_proj": (shape.feed_forward, shape.hidden),
        "mlp.up_proj": (shape.feed_forward, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.feed_forward),
    }
    sizes = {layer_name(layer, part): size for layer in range(shape.layers) for part, size in parts.items()}
    sizes |= {EMBEDDING: (shape.vocabulary, shape.hidden), FINAL_NORM: (shape.hidden,)}
    return sizes if shape.tied_head else sizes | {HEAD: (shape.vocabulary, shape.hidden)}


def random_weights(shape: Shape, seed: int, device: torch.device | None = None) -> dict[str, Tensor]:
    """Float32 weights that keep activations near unit size, so that the text depends on the whole prompt.

    Equal seeds give equal weights on the CPU, and on GPUs of one kind: there they are drawn where they are used.
    """
    on_gpu = None if device is None or device.type == "cpu" else torch.Generator(device).manual_seed(seed)
    source = np.random.default_rng(seed)

    def drawn(size: tuple[int, ...]) -> Tensor:
        if on_gpu is not None:
            return torch.randn(size, generator=on_gpu, device=device).mul_(float(size[1]) ** -0.5)
        return torch.from_numpy(source.standard_normal(size, dtype=np.float32) * np.float32(size[1] ** -0.5))

    return {
        name: torch.ones(size) if len(size) == 1 else drawn(size)
        for name, size in tensor_sizes(shape).items()
    }


def read_weights(path: Path, shape: Shape) -> dict[str, Tensor | Int8Weight]:
    """The tensors of a safetensors file, or of all files that a `model.safetensors.index.json` names, on the CPU.

    Raises:
        ConfigError: a file cannot be read, or a tensor of the shape is missing or has another size.
    """
    tensors: dict[str, Tensor] = {}
    for file in _files(path):
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"{file}: a safetensors file is expected: {error}") from error
    sizes = tensor_sizes(shape)
    scaled = {
        name: (size[0], -(-size[1] // GROUP)) for name, size in sizes.items() if name + SCALE in tensors
    }
    for name, size in (sizes | {name + SCALE: size for name, size in scaled.items()}).items():
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        if found != size:
            raise ConfigError(f"{path}: tensor {name} of size {size} is expected, not {found}")
    return {
        name: Int8Weight(tensors[name], tensors[name + SCALE]) if name in scaled else tensors[name]
        for name in sizes
    }


def _files(path: Path) -> list[Path]:
    if path.suffix != ".json":
        return [path]
    index = read_object(path)
    try:
        return [path.parent / name for name in sorted(set(index["weight_map"].values()))]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: an index with a weight_map of file names is expected: {error!r}"
        ) from error


def write_weights(path: Path, weights: Weights) -> None:
    """Write weights to a safetensors file."""
    tensors: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if isinstance(weight, Int8Weight):
            tensors |= {name: weight.values, name + SCALE: weight.scales}
        else:
            tensors[name] = weight
    save_file(tensors, path, metadata={"format": "pt"})
