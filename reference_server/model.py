"""A Llama-shaped decoder that computes rows: one row per token, prompt or generated, of any mix of sequences.

Rows are independent to the bit on the CPU (where head_dim is a multiple of 16, as in all real models), which
makes a request's text the same whatever it is batched with:
- Matrix products run over tiles of a fixed number of rows. A BLAS picks its kernel, and with it the order of
  a sum, by the size of the product; here the size never changes.
- Attention runs over pages of a fixed length, and the pages' sums are added in order. A masked page adds
  exact zeros.
- Everything else works on each row, or each element, alone, and rounds after each operation.

A small model's step is mostly what calling torch costs, more so where the processor did other things since the
last one: hence few calls, in place where that is possible, and rows that stay in tiles, (tiles, TILE_ROWS, width).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name everyone knows it by
from torch import Tensor

from reference_server.kv_cache import PAGE_TOKENS, KVCache, Window, to_tensor
from reference_server.models.quantization import Int8Product, Int8Weight, concatenated, dequantize
from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, Weights, layer_name
from reference_server.tiles import TILE_ROWS, Norm, add_linear, linear, tiles_for

if TYPE_CHECKING:
    from reference_server.shards.collectives import Collectives


class Row(NamedTuple):
    """One token to compute: where it stands, in which blocks, and whether its logits are wanted."""

    token: int
    position: int
    blocks: Sequence[int]
    sampled: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights; projections are (input, output), those with the same input fused."""

    attention_norm: Norm
    query_key_value: Tensor | Int8Product
    attention_output: Tensor | Int8Product
    feed_forward_norm: Norm
    gate_up: Tensor | Int8Product
    down: Tensor | Int8Product


@dataclass(frozen=True, slots=True)
class Step:
    """What all layers share in one step."""

    rows: int
    window: Window
    cosine: Tensor
    """(rows, 1, head_dim)"""
    sine: Tensor
    attended: Tensor
    """(tiles, TILE_ROWS, heads * head_dim): each layer's attention in turn; zeros behind the rows."""
    by_group: Tensor
    """The same, (rows * kv_heads, heads / kv_heads, head_dim)."""


class Model:
    """The decoder with its weights on one device, or one rank's part of it: `sharding` says which weights that has."""

    def __init__(
        self,
        shape: Shape,
        weights: Weights,
        *,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        collectives: "Collectives | None" = None,
    ) -> None:
        def plain(name: str) -> Tensor:
            return unpacked(weights[name]).to(device, dtype)

        def fused(*names: str) -> Tensor | Int8Product:
            return joined([weights[name] for name in names], device, dtype)

        self.shape = shape
        self.device = device
        self._dtype = dtype
        self._layers = [
            Layer(
                Norm(plain(layer_name(i, "input_layernorm")), shape.norm_epsilon),
                fused(*(layer_name(i, f"self_attn.{part}_proj") for part in "qkv")),
                fused(layer_name(i, "self_attn.o_proj")),
                Norm(plain(layer_name(i, "post_attention_layernorm")), shape.norm_epsilon),
                fused(layer_name(i, "mlp.gate_proj"), layer_name(i, "mlp.up_proj")),
                fused(layer_name(i, "mlp.down_proj")),
            )
            for i in range(shape.layers)
        ]
        self._collectives = collectives
        # A pipeline stage that is not the first has no embedding, one that is not the last has no head.
        head = EMBEDDING if shape.tied_head else HEAD
        self._head = fused(head) if head in weights else None
        final = plain(FINAL_NORM) if FINAL_NORM in weights else None
        self._final_norm = None if final is None else Norm(final, shape.norm_epsilon)
        shared = shape.tied_head and isinstance(self._head, Int8Product)
        self._embedding = self._head if shared else plain(EMBEDDING) if EMBEDDING in weights else None
        self._rotation = rotary_table(shape, context).to(device, dtype)
        self._buffers = 0, *self._attention_buffers(0)

    def logits(self, rows: Sequence[Row], cache: KVCache) -> Tensor:
        """Compute the rows, leave their keys and values in the cache, return the sampled rows' logits.

        Float32 on the CPU, (sampled rows, vocabulary), in the order of the rows; those of one sequence in
        order.
        """
        with torch.inference_mode():
            step = self._step(rows, cache)
            hidden = self._enter([row.token for row in rows])
            for layer, lines in zip(self._layers, cache.layers, strict=True):
                self._add(hidden, self._attended(layer, hidden, step, lines), layer.attention_output)
                self._add(hidden, self._activated(layer, hidden), layer.down)
            sampled = [i for i, row in enumerate(rows) if row.sampled]
            return self._leave(hidden, sampled, len(rows)).float().cpu()

    def _step(self, rows: Sequence[Row], cache: KVCache) -> "Step":
        positions = [row.position for row in rows]
        window = cache.window([row.blocks for row in rows], positions)
        cosine, sine = self._rotation.index_select(0, self._tensor(positions)).unbind(dim=1)
        if len(rows) != self._buffers[0]:
            self._buffers = len(rows), *self._attention_buffers(len(rows))
        return Step(len(rows), window, cosine, sine, *self._buffers[1:])

    def _attention_buffers(self, rows: int) -> tuple[Tensor, Tensor]:
        """What becomes `attended` and `by_group` of steps with so many rows."""
        width = self.shape.heads * self.shape.head_dim
        attended = torch.zeros((tiles_for(rows), TILE_ROWS, width), device=self.device, dtype=self._dtype)
        kv_heads = self.shape.kv_heads
        groups = rows * kv_heads, self.shape.heads // kv_heads, self.shape.head_dim
        return attended, attended.view(-1, width)[:rows].view(groups)

    def _enter(self, tokens: list[int]) -> Tensor:
        tiles = tiles_for(len(tokens))
        if self._embedding is not None:
            filled = tokens + [0] * (tiles * TILE_ROWS - len(tokens))
            return look_up(self._tensor(filled), self._embedding).view(tiles, TILE_ROWS, self.shape.hidden)
        assert self._collectives is not None
        size = (tiles, TILE_ROWS, self.shape.hidden)
        return self._collectives.receive(torch.empty(size, device=self.device, dtype=self._dtype))

    def _leave(self, hidden: Tensor, sampled: list[int], rows: int) -> Tensor:
        if self._head is None or self._final_norm is None:
            assert self._collectives is not None
            self._collectives.send(hidden)
            return hidden.new_empty((0, self.shape.vocabulary))
        if len(sampled) < rows:
            tiles = tiles_for(len(sampled))
            chosen = self._tensor(sampled + [0] * (tiles * TILE_ROWS - len(sampled)))
            hidden = hidden.view(-1, self.shape.hidden).index_select(0, chosen)
            hidden = hidden.view(tiles, TILE_ROWS, self.shape.hidden)
        logits = linear(self._final_norm(hidden), self._head).flatten(0, 1)[: len(sampled)]
        return (
            logits if self._collectives is None else self._collectives.gather(logits, self.shape.vocabulary)
        )

    def _tensor(self, indices: list[int]) -> Tensor:
        return to_tensor(np.array(indices, dtype=np.int64), self.device)

    def _add(self, hidden: Tensor, rows: Tensor, weight: Tensor | Int8Product) -> None:
        """Add `rows @ weight` to the hidden rows, all lanes' parts of it."""
        if self._collectives is not None:
            hidden += self._collectives.sum(linear(rows, weight))
        else:
            add_linear(hidden, rows, weight)

    def _attended(self, layer: Layer, hidden: Tensor, step: "Step", lines: Tensor) -> Tensor:
        heads, kv_heads, head_dim = self.shape.heads, self.shape.kv_heads, self.shape.head_dim
        mixed = linear(layer.attention_norm(hidden), layer.query_key_value)
        # Rows that only fill a tile have no place in the cache.
        mixed = mixed.view(-1, heads + 2 * kv_heads, head_dim)[: step.rows]
        turned = mixed.narrow(1, 0, heads + kv_heads)
        rotate(turned, step.cosine, step.sine, out=turned)
        step.window.write(lines, mixed.narrow(1, heads, 2 * kv_heads))
        keys, values = step.window.read(lines)
        queries = mixed.narrow(1, 0, heads).reshape(step.rows * kv_heads, -1, head_dim)
        attend(queries, keys, values, step.window.mask, out=step.by_group)
        return step.attended

    def _activated(self, layer: Layer, hidden: Tensor) -> Tensor:
        gate, up = linear(layer.feed_forward_norm(hidden), layer.gate_up).chunk(2, dim=-1)
        return F.silu(gate).mul_(up)


def unpacked(weight: Tensor | Int8Weight) -> Tensor:
    """The weight as it is, or out of its 8 bits."""
    return dequantize(weight) if isinstance(weight, Int8Weight) else weight


def joined(
    matrices: Sequence[Tensor | Int8Weight], device: torch.device, dtype: torch.dtype
) -> Tensor | Int8Product:
    """Matrices with the same inputs as one, (input, output); on the CPU those in 8 bits stay so."""
    small = [matrix for matrix in matrices if isinstance(matrix, Int8Weight)]
    if device.type == "cpu" and len(small) == len(matrices):
        return Int8Product(concatenated(small))
    return torch.cat([unpacked(matrix).to(device, dtype) for matrix in matrices]).t().contiguous()


def look_up(tokens: Tensor, embedding: Tensor | Int8Product) -> Tensor:
    """The tokens' rows of the embedding."""
    return embedding.rows(tokens) if isinstance(embedding, Int8Product) else embedding.index_select(0, tokens)


def rotary_table(shape: Shape, context: int) -> Tensor:
    """Cosine and signed sine by position, (context, 2, 1, head_dim), for Hugging Face's half-split rotation.

    RoFormer (arXiv 2104.09864): the pair (i, i + head_dim / 2) turns by position * `shape.frequencies()[i]`.
    """
    frequencies = torch.tensor(shape.frequencies(), dtype=torch.float64)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    cosine = torch.cat((angles.cos(), angles.cos()), dim=-1)
    sine = torch.cat((-angles.sin(), angles.sin()), dim=-1)
    return torch.stack((cosine, sine), dim=1).unsqueeze(2)


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor, out: Tensor | None = None) -> Tensor:
    """Rotary embedding of (rows, heads, head_dim), each row with its lines of `rotary_table`; `out` may be `heads`."""
    crossed = heads.roll(heads.shape[-1] // 2, dims=-1).mul_(sine)
    return torch.mul(heads, cosine, out=out).add_(crossed)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, out: Tensor) -> None:
    """Softmax attention of each row over its own pages; query heads share KV heads in equal groups.

    Args:
        queries: (rows * kv_heads, heads per KV head, head_dim).
        keys: (pages * rows * kv_heads, PAGE_TOKENS, head_dim).
        values: likewise.
        mask: the window's.
        out: where the result goes, of the size of `queries`.
    """
    pages, rows = mask.shape[:2]
    batch, group, head_dim = queries.shape
    if pages > 1:
        queries = queries.expand(pages, -1, -1, -1).flatten(0, 1)
    scores = torch.bmm(queries, keys.transpose(1, 2)).float().view(pages, rows, -1, group, PAGE_TOKENS)
    torch.add(mask, scores, alpha=head_dim**-0.5, out=scores)
    weights = scores.sub_(scores.amax(dim=(0, 4), keepdim=True)).exp_()
    totals = weights.sum(dim=-1).view(pages, batch, group, 1)
    sums = torch.bmm(weights.view(-1, group, PAGE_TOKENS).to(values.dtype), values)
    total, weighted = totals[0], sums[:batch]
    for page in range(1, pages):
        total, weighted = total + totals[page], weighted + sums[page * batch : (page + 1) * batch]
    torch.div(weighted, total, out=out)
