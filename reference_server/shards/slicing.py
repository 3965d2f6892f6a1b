"""Cutting a model's weights, in their Hugging Face names, into what one rank holds.

Heads are divided by KV group and the feed-forward by width: the query, key, value, gate and up projections by their
output, the two projections behind them by their input, so each rank has a part of the sum that is the layer's
output. The embedding is whole on each rank (a row is read, nothing is multiplied); the head is divided by
vocabulary where that divides evenly, since it is read in full for every token, and is whole where not.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, Self, TypeVar

from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, layer_name, tensor_sizes
from reference_server.shards.grid import Grid, Place

BY_OUTPUT = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")
BY_INPUT = ("self_attn.o_proj", "mlp.down_proj")
WHOLE = ("input_layernorm", "post_attention_layernorm")


class Divisible(Protocol):
    """A tensor, or a matrix in 8 bits."""

    def narrow(self, dim: int, start: int, length: int, /) -> Self:
        """Some of the outputs (dim 0) or of the inputs (dim 1)."""


Weight = TypeVar("Weight", bound=Divisible)


def tensor_shard(
    shape: Shape, weights: Mapping[str, Weight], rank: int, ranks: int
) -> tuple[Shape, dict[str, Weight]]:
    """The part of every layer that one of `ranks` tensor-parallel ranks holds, and the shape that it has.

    The result's head is untied, so that it can be a part. Raises ConfigError where the shape does not divide.
    """
    Grid(tensor=ranks).check(shape)
    sizes = tensor_sizes(shape)

    def part(name: str, dimension: int) -> Weight:
        width = sizes[name][dimension] // ranks
        return weights[name].narrow(dimension, rank * width, width)

    shard = dict(weights)
    for layer in range(shape.layers):
        shard |= {name: part(name, 0) for name in (layer_name(layer, projection) for projection in BY_OUTPUT)}
        shard |= {name: part(name, 1) for name in (layer_name(layer, projection) for projection in BY_INPUT)}
    head = EMBEDDING if shape.tied_head else HEAD
    if head in weights:
        shard[HEAD] = weights[head] if shape.vocabulary % ranks else part(head, 0)
    return shard_shape(shape, ranks), shard


def shard_shape(shape: Shape, ranks: int) -> Shape:
    """The shape of one tensor-parallel rank's part: hidden size and vocabulary stay whole."""
    return replace(
        shape,
        heads=shape.heads // ranks,
        kv_heads=shape.kv_heads // ranks,
        feed_forward=shape.feed_forward // ranks,
        tied_head=False,
    )


def pipeline_shard(
    shape: Shape, weights: Mapping[str, Weight], stage: int, stages: int
) -> tuple[Shape, dict[str, Weight]]:
    """A stage's layers, numbered from 0; the first has the embedding, the last the final norm and the head.

    Layers divide as evenly as they do, earlier stages having the fewer. Raises ConfigError where a stage had none.
    """
    Grid(pipeline=stages).check(shape)
    begin, end = (shape.layers * at // stages for at in (stage, stage + 1))
    shard = {
        layer_name(layer - begin, part): weights[layer_name(layer, part)]
        for layer in range(begin, end)
        for part in (*BY_OUTPUT, *BY_INPUT, *WHOLE)
    }
    if stage == 0:
        shard[EMBEDDING] = weights[EMBEDDING]
    if stage == stages - 1:
        shard |= {FINAL_NORM: weights[FINAL_NORM], HEAD: weights[EMBEDDING if shape.tied_head else HEAD]}
    return replace(shape, layers=end - begin, tied_head=False), shard


def shard(shape: Shape, weights: Mapping[str, Weight], place: Place) -> tuple[Shape, dict[str, Weight]]:
    """What the rank at this place holds; raises ConfigError where the grid does not fit the shape."""
    staged = pipeline_shard(shape, weights, place.stage, place.grid.pipeline)
    return tensor_shard(*staged, place.lane, place.grid.tensor)
