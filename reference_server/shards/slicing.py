"""Cutting a model's weights, in their Hugging Face names, into what one rank holds.

Heads are divided by KV group and the feed-forward by width: the query, key, value, gate and up projections by their
output, the two projections behind them by their input, so each rank has a part of the sum that is the layer's
output. The embedding is whole on each rank (a row is read, nothing is multiplied); the head is divided by
vocabulary where that divides evenly, since it is read in full for every token, and is whole where not.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from reference_server.grid import Place
from reference_server.models.quantization import Int8Weight
from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, layer_name, tensor_sizes

BY_OUTPUT = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")
BY_INPUT = ("self_attn.o_proj", "mlp.down_proj")
DIVIDED = dict.fromkeys(BY_OUTPUT, 0) | dict.fromkeys(BY_INPUT, 1)
WHOLE = ("input_layernorm", "post_attention_layernorm")


Weight = TypeVar("Weight", Tensor, Tensor | Int8Weight)


def shard(shape: Shape, weights: Mapping[str, Weight], place: Place) -> tuple[Shape, dict[str, Weight]]:
    """What the rank at this place holds, its layers numbered from 0, and the shape that this has.

    Layers divide as evenly as they do, earlier stages having the fewer. The head is untied, so that it can be a part.
    Raises ConfigError where the grid does not fit the shape.
    """
    place.grid.check(shape)
    lanes, sizes = place.grid.tensor, tensor_sizes(shape)

    def part(name: str, dimension: int) -> Weight:
        width = sizes[name][dimension] // lanes
        return weights[name].narrow(dimension, place.lane * width, width)

    begin, end = (shape.layers * stage // place.grid.pipeline for stage in (place.stage, place.stage + 1))
    held: dict[str, Weight] = {}
    for layer in range(begin, end):
        own = layer - begin
        held |= {layer_name(own, norm): weights[layer_name(layer, norm)] for norm in WHOLE}
        held |= {layer_name(own, name): part(layer_name(layer, name), by) for name, by in DIVIDED.items()}
    if place.first:
        held[EMBEDDING] = weights[EMBEDDING]
    if place.last:
        head = EMBEDDING if shape.tied_head else HEAD
        held |= {
            FINAL_NORM: weights[FINAL_NORM],
            HEAD: weights[head] if shape.vocabulary % lanes else part(head, 0),
        }
    return replace(shard_shape(shape, lanes), layers=end - begin), held


def shard_shape(shape: Shape, ranks: int) -> Shape:
    """The shape of one tensor-parallel rank's part: hidden size and vocabulary stay whole."""
    return replace(
        shape,
        heads=shape.heads // ranks,
        kv_heads=shape.kv_heads // ranks,
        feed_forward=shape.feed_forward // ranks,
        tied_head=False,
    )
