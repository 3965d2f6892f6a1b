"""Model shapes: the named ones, and those that a Hugging Face `config.json` describes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from reference_server.errors import ConfigError
from reference_server.models.folder import CONFIG_FILE, GENERATION_FILE, read_object
from reference_server.models.tokenizer import BYTES, EOS, VOCABULARY

QUANTIZATION = {"quant_method": "aftershock-int8", "bits": 8, "group_size": 128, "symmetric": True}
"""What `config.json` says of a folder whose matrices are 8 bits wide, as `quantization.py` has them."""


class RopeScaling(NamedTuple):
    """Llama 3's stretch of the rotary embedding: slow pairs turn `factor` times slower, fast ones as trained."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: float

    def scaled(self, frequency: float) -> float:
        """The angle per position of a pair that had this one."""
        turns = self.original_max_position_embeddings * frequency / (2 * math.pi)
        kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        kept = min(max(kept, 0.0), 1.0)
        return frequency * (kept + (1 - kept) / self.factor)


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama-shaped decoder: everything about it but its weights."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    max_context: int = 4096
    vocabulary: int = VOCABULARY
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    norm_epsilon: float = 1e-5
    tied_head: bool = False
    eos: tuple[int, ...] = (EOS,)

    def __post_init__(self) -> None:
        last_token = max((BYTES - 1, *self.eos))
        if self.heads % self.kv_heads or self.head_dim % 2 or self.vocabulary <= last_token:
            raise ConfigError(
                "shape: heads in equal groups per KV head, an even head_dim and a vocabulary with token "
                f"{last_token} are expected, not {self}"
            )

    def frequencies(self) -> list[float]:
        """The angle by which each pair of the rotary embedding turns per position."""
        plain = [self.rope_theta ** (-i / self.head_dim) for i in range(0, self.head_dim, 2)]
        return [self.rope_scaling.scaled(f) for f in plain] if self.rope_scaling else plain


_LLAMA_8B = Shape(
    layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    feed_forward=14_336,
    max_context=8192,
    vocabulary=128_256,
    rope_theta=500_000.0,
)
NAMED_SHAPES = {
    "tiny": Shape(layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, feed_forward=192),
    "small": Shape(layers=4, hidden=256, heads=8, kv_heads=4, head_dim=32, feed_forward=768),
    "135m": Shape(layers=30, hidden=576, heads=9, kv_heads=3, head_dim=64, feed_forward=1536, tied_head=True),
    "1b": replace(_LLAMA_8B, layers=16, hidden=2048, head_dim=64, feed_forward=8192, tied_head=True),
    "8b": _LLAMA_8B,
}
DEFAULT_SHAPE = "tiny"


def named_shape(name: str) -> Shape:
    """The shape of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in NAMED_SHAPES:
        raise ConfigError(f"DS_MODEL_NAME: one of {', '.join(NAMED_SHAPES)} is expected, not {name!r}")
    return NAMED_SHAPES[name]


def read_shape(folder: Path) -> Shape:
    """The shape that a folder in Hugging Face's Llama layout describes.

    Raises:
        ConfigError: a file cannot be read, lacks a key, or describes what this decoder cannot compute.
    """
    path = folder / CONFIG_FILE
    config = read_object(path)
    try:
        _refuse_other_architectures(path, config)
        heads = config["num_attention_heads"]
        rope = _rope(config)
        return Shape(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            feed_forward=config["intermediate_size"],
            max_context=config.get("max_position_embeddings", 2048),
            vocabulary=config["vocab_size"],
            rope_theta=float(rope.get("rope_theta", config.get("rope_theta", 10_000.0))),
            rope_scaling=RopeScaling(*(float(rope[name]) for name in RopeScaling._fields))
            if _rope_type(rope) == "llama3"
            else None,
            norm_epsilon=float(config.get("rms_norm_eps", 1e-6)),
            tied_head=bool(config.get("tie_word_embeddings", False)),
            eos=_eos(folder, config),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: a Llama configuration is expected; missing or malformed: {error}"
        ) from error


def config_json(shape: Shape) -> dict[str, Any]:
    """What `read_shape` reads back as the same shape, and other Llama implementations understand."""
    scaling = shape.rope_scaling
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.max_context,
        "vocab_size": shape.vocabulary,
        "rope_theta": shape.rope_theta,
        "rope_scaling": {"rope_type": "llama3"} | scaling._asdict() if scaling else None,
        "rms_norm_eps": shape.norm_epsilon,
        "tie_word_embeddings": shape.tied_head,
        "eos_token_id": list(shape.eos),
        "hidden_act": "silu",
    }


def _eos(folder: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """The tokens that end an answer, by `config.json` and `generation_config.json` together.

    An instruct model may name the end of its turn in the latter alone. A folder that says nothing is byte-level.
    """
    key, size = "eos_token_id", config["vocab_size"]
    generation = folder / GENERATION_FILE
    files = {folder / CONFIG_FILE: config, generation: read_object(generation, optional=True)}
    if not any(key in content for content in files.values()):
        return (EOS,)
    ends: dict[int, None] = {}
    for path, content in files.items():
        value = content.get(key)
        tokens = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(token) is int and 0 <= token < size for token in tokens):
            raise ConfigError(f"{path}: {key}: tokens from 0 to {size - 1} are expected, not {value!r}")
        ends |= dict.fromkeys(tokens)
    return tuple(ends)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Newer files write `rope_parameters`, older ones `rope_scaling` beside a plain `rope_theta`."""
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _rope_type(rope: dict[str, Any]) -> Any:
    return rope.get("rope_type", rope.get("type", "default"))


def _refuse_other_architectures(path: Path, config: dict[str, Any]) -> None:
    found = {
        "model_type": (config.get("model_type"), ("llama",)),
        "hidden_act": (config.get("hidden_act", "silu"), ("silu",)),
        "rope type": (_rope_type(_rope(config)), ("default", "llama3")),
        "attention_bias": (config.get("attention_bias", False), (False,)),
        "mlp_bias": (config.get("mlp_bias", False), (False,)),
        "quantization_config": (config.get("quantization_config"), (None, QUANTIZATION)),
    }
    for key, (value, expected) in found.items():
        if value not in expected:
            wanted = " or ".join(repr(choice) for choice in expected)
            raise ConfigError(f"{path}: {key} {wanted} is expected, not {value!r}")
