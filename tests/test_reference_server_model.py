"""The decoder against a plain float64 one, and its rows against themselves in other company."""

import json
import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS
from reference_server.errors import ConfigError
from reference_server.kv_cache import PAGE_TOKENS, KVCache
from reference_server.model import Model, Row, rotary_table, rotate
from reference_server.models.quantization import quantize
from reference_server.models.shapes import NAMED_SHAPES, Shape, config_json, read_shape
from reference_server.models.tokenizer import EOS
from reference_server.models.weights import Weights, layer_name, random_weights, read_weights, write_weights
from reference_server.small_model import SmallModel, is_small

torch.set_num_threads(1)

TINY = NAMED_SHAPES["tiny"]
SHAPES = {
    "grouped": TINY,
    "one KV head": replace(TINY, heads=4, kv_heads=1),
    "a KV head each": replace(TINY, heads=2, kv_heads=2),
    "wider": replace(NAMED_SHAPES["small"], layers=1),
    "tied head, odd sizes": Shape(
        layers=1, hidden=40, heads=3, kv_heads=3, head_dim=10, feed_forward=50, tied_head=True
    ),
}
DECODERS = ("torch", "numpy")
"""The one for any model and device, and the one for small models on the CPU."""
SLOTS, CONTEXT = 4, 4 * PAGE_TOKENS
SLOT_BLOCKS = CONTEXT // BLOCK_TOKENS


@dataclass(frozen=True)
class Decoder:
    """A model with a cache of its own."""

    model: Model | SmallModel
    cache: KVCache

    def logits(self, rows: list[Row]) -> Tensor:
        return torch.as_tensor(self.model.logits(rows, self.cache))


def decoder(kind: str, shape: Shape, weights: Weights) -> Decoder:
    cpu = torch.device("cpu")
    cache_ = KVCache(shape, blocks=SLOTS * SLOT_BLOCKS, context=CONTEXT, device=cpu, dtype=torch.float32)
    if kind == "numpy":
        return Decoder(SmallModel(shape, weights, context=CONTEXT), cache_)
    return Decoder(Model(shape, weights, context=CONTEXT, device=cpu, dtype=torch.float32), cache_)


def rows_of(tokens: list[int], slot: int, start: int = 0) -> list[Row]:
    """Rows of a sequence whose blocks lie scattered: no two of a slot beside each other, none in order."""
    blocks = [SLOTS * ((7 * i + slot) % SLOT_BLOCKS) + slot for i in range(SLOT_BLOCKS)]
    return [Row(token, start + i, blocks, sampled=True) for i, token in enumerate(tokens)]


def prompt(length: int, salt: int = 0) -> list[int]:
    return [(37 * i + 11 * salt + i * i) % 256 for i in range(length)]


def plain_logits(shape: Shape, weights: dict[str, Tensor], tokens: list[int]) -> Tensor:
    """Llama, written out in float64, one head at a time."""
    named = {name: tensor.double() for name, tensor in weights.items()}
    hidden = named["model.embed_tokens.weight"][tokens]

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + shape.norm_epsilon).sqrt() * weight

    for i in range(shape.layers):

        def part(name: str, layer: int = i) -> Tensor:
            return named[layer_name(layer, name)]

        x = norm(hidden, part("input_layernorm"))
        q, k, v = (x @ part(f"self_attn.{name}_proj").T for name in "qkv")
        outputs = []
        for head in range(shape.heads):
            group = head // (shape.heads // shape.kv_heads)
            at, kv_at = (slice(n * shape.head_dim, (n + 1) * shape.head_dim) for n in (head, group))
            scores = turned(shape, q[:, at]) @ turned(shape, k[:, kv_at]).T / math.sqrt(shape.head_dim)
            future = torch.ones(len(tokens), len(tokens)).triu(1).bool()
            outputs.append(scores.masked_fill(future, -math.inf).softmax(-1) @ v[:, kv_at])
        hidden = hidden + torch.cat(outputs, -1) @ part("self_attn.o_proj").T
        x = norm(hidden, part("post_attention_layernorm"))
        gate = x @ part("mlp.gate_proj").T
        hidden = hidden + (gate * torch.sigmoid(gate) * (x @ part("mlp.up_proj").T)) @ part("mlp.down_proj").T
    head_name = "model.embed_tokens.weight" if shape.tied_head else "lm_head.weight"
    return norm(hidden, named["model.norm.weight"]) @ named[head_name].T


def turned(shape: Shape, x: Tensor) -> Tensor:
    """Each pair (i, i + half) as a complex number, turned by its angle."""
    half = shape.head_dim // 2
    angles = [
        [position * shape.rope_theta ** (-2 * i / shape.head_dim) for i in range(half)]
        for position in range(len(x))
    ]
    numbers = torch.complex(x[:, :half], x[:, half:]) * torch.exp(1j * torch.tensor(angles).double())
    return torch.cat((numbers.real, numbers.imag), -1)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("length", [1, 7, PAGE_TOKENS, PAGE_TOKENS + 1, 3 * PAGE_TOKENS])
@pytest.mark.parametrize("kind", DECODERS)
def test_logits_are_those_of_a_plain_float64_llama(kind: str, shape: Shape, length: int) -> None:
    weights = random_weights(shape, seed=3)
    tokens = prompt(length)
    expected = plain_logits(shape, weights, tokens)
    found = decoder(kind, shape, weights).logits(rows_of(tokens, slot=1))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=2e-4)


def test_rotation_turns_each_pair_by_its_angle() -> None:
    heads = torch.randn(50, 3, TINY.head_dim)
    cosine, sine = rotary_table(TINY, CONTEXT)[:50].float().unbind(dim=1)
    expected = torch.stack([turned(TINY, heads[:, head].double()) for head in range(3)], dim=1)
    torch.testing.assert_close(rotate(heads, cosine, sine).double(), expected, rtol=1e-5, atol=1e-5)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """A length in parts, how many rows of a neighbour come with each part, and in which slot the sequence lives."""
    parts = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    beside = draw(st.lists(st.integers(0, 30), min_size=len(parts), max_size=len(parts)))
    return parts, beside, draw(st.integers(0, SLOTS - 2))


@cache
def alone(kind: str, name: str) -> Tensor:
    """Logits of each token of the longest prompt, computed one by one with nothing beside it."""
    one = decoder(kind, SHAPES[name], random_weights(SHAPES[name], seed=5))
    return torch.cat([one.logits([row]) for row in rows_of(prompt(CONTEXT), slot=0)])


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.head_dim % 16 == 0])
@pytest.mark.parametrize("kind", DECODERS)
@settings(max_examples=30, deadline=None)
@given(cut=cuts())
def test_a_row_is_the_same_to_the_bit_however_the_prompt_is_cut_and_whatever_runs_beside_it(
    kind: str, name: str, cut: tuple[list[int], list[int], int]
) -> None:
    parts, beside, slot = cut
    tokens = prompt(sum(parts))
    one = decoder(kind, SHAPES[name], random_weights(SHAPES[name], seed=5))
    together, at, neighbour_at = [], 0, 0
    for part, extra in zip(parts, beside, strict=True):
        neighbour = rows_of(prompt(extra, salt=7), SLOTS - 1, neighbour_at)
        rows = neighbour + rows_of(tokens[at : at + part], slot, at)
        together.append(one.logits(rows)[extra:])
        at, neighbour_at = at + part, neighbour_at + extra
    assert torch.equal(torch.cat(together), alone(kind, name)[: len(tokens)])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_weights_and_shape_survive_a_round_trip_through_files(shape: Shape, tmp_path: Path) -> None:
    weights = random_weights(shape, seed=11)
    write_weights(tmp_path / "model.safetensors", weights)
    (tmp_path / "config.json").write_text(json.dumps(config_json(shape)))
    assert read_shape(tmp_path) == shape
    again = read_weights(tmp_path / "model.safetensors", shape)
    one, other = (decoder("torch", shape, its) for its in (weights, again))
    rows = rows_of(prompt(20), 0)
    assert torch.equal(one.logits(rows), other.logits(rows))


def test_random_weights_depend_on_their_seed_alone() -> None:
    one, same, other = (random_weights(TINY, seed)["lm_head.weight"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_weights_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    write_weights(tmp_path / "w", random_weights(TINY, seed=0))
    with pytest.raises(ConfigError, match=r"layers\.2\.input_layernorm.*\(64,\) is expected, not nothing"):
        read_weights(tmp_path / "w", replace(TINY, layers=3))
    with pytest.raises(ConfigError, match=r"lm_head.*\(300, 64\) is expected, not \(288, 64\)|embed_tokens"):
        read_weights(tmp_path / "w", replace(TINY, vocabulary=300))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "qwen3"}, "model_type 'llama' is expected, not 'qwen3'"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 8}},
            "rope type 'default' or 'llama3' is expected, not 'yarn'",
        ),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "missing or malformed: 'low_freq_factor'"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config None or .* not .*awq"),
        ({"hidden_act": "gelu"}, "hidden_act 'silu' is expected"),
        ({"hidden_size": None}, "missing or malformed"),
        ({"num_key_value_heads": 3}, "heads in equal groups"),
        (
            {"eos_token_id": 2000},
            r"/config\.json: eos_token_id: tokens from 0 to 287 are expected, not 2000",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_configurations_that_cannot_be_computed_are_refused(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_json(TINY) | {"head_dim": None} | change))
    with pytest.raises(ConfigError, match=complaint):
        read_shape(tmp_path)


@pytest.mark.parametrize(
    ("config", "generation", "eos"),
    [
        ({"eos_token_id": 7}, None, (7,)),
        ({"eos_token_id": 7}, {}, (7,)),
        ({"eos_token_id": 7}, {"eos_token_id": 9}, (7, 9)),
        ({"eos_token_id": [7, 8]}, {"eos_token_id": [8, 9]}, (7, 8, 9)),
        ({"eos_token_id": None}, {"eos_token_id": [9]}, (9,)),
        ({}, {"eos_token_id": 9}, (9,)),
        ({"eos_token_id": None}, {}, ()),
        ({}, {"temperature": 0.6}, (EOS,)),
    ],
    ids=str,
)
def test_an_answer_ends_at_the_tokens_of_both_configurations(
    config: dict[str, object], generation: dict[str, object] | None, eos: tuple[int, ...], tmp_path: Path
) -> None:
    said = config_json(TINY)
    del said["eos_token_id"]
    (tmp_path / "config.json").write_text(json.dumps(said | config))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert read_shape(tmp_path).eos == eos


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"eos_token_id": "</s>"}', "eos_token_id: tokens from 0 to 287 are expected, not '</s>'"),
        ('{"eos_token_id": [2, true]}', r"eos_token_id: tokens from 0 to 287 are expected, not \[2, True\]"),
        ('{"eos_token_id": -1}', "eos_token_id: tokens from 0 to 287 are expected, not -1"),
        ('{"eos_token_id": [288]}', r"eos_token_id: tokens from 0 to 287 are expected, not \[288\]"),
        ("[2]", "a JSON object is expected, not list"),
        ("{", "a readable JSON file is expected"),
    ],
)
def test_a_malformed_generation_config_is_refused_with_file_key_value_and_expectation(
    content: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_json(TINY)))
    (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(ConfigError, match=rf"/generation_config\.json: {complaint}"):
        read_shape(tmp_path)


def test_few_plain_weights_make_a_small_model_and_many_or_those_in_8_bits_do_not() -> None:
    few = random_weights(TINY, seed=0)
    assert is_small(few)
    assert not is_small(random_weights(NAMED_SHAPES["small"], seed=0))
    name = layer_name(0, "mlp.down_proj")
    assert not is_small({**few, name: quantize(few[name])})
