"""A Llama-shaped decoder that computes rows: one row per token, prompt or generated, of any mix of sequences.

Rows are independent to the bit on the CPU (where head_dim is a multiple of 16, as in all real models), which
makes a request's text the same whatever it is batched with:
- Matrix products run over tiles of a fixed number of rows. A BLAS picks its kernel, and with it the order of
  a sum, by the size of the product; here the size never changes.
- Attention runs over pages of a fixed length, and the pages' sums are added in order. A masked page adds
  exact zeros.
- Everything else works on each row, or each element, alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  the name everyone knows it by
from torch import Tensor

from reference_server.kv_cache import PAGE_TOKENS, KVCache, LayerCache, Window
from reference_server.models.quantization import Int8Product, Int8Weight, concatenated, dequantize
from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, Weights, layer_name

if TYPE_CHECKING:
    from reference_server.shards.collectives import Collectives

TILE_ROWS = 8

Rotation = tuple[Tensor, ...]


class Row(NamedTuple):
    """One token to compute: where it stands, in which blocks, and whether its logits are wanted."""

    token: int
    position: int
    blocks: Sequence[int]
    sampled: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights; projections are (input, output), those with the same input fused."""

    attention_norm: Tensor
    query_key_value: Tensor | Int8Product
    attention_output: Tensor | Int8Product
    feed_forward_norm: Tensor
    gate_up: Tensor | Int8Product
    down: Tensor | Int8Product


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
                plain(layer_name(i, "input_layernorm")),
                fused(*(layer_name(i, f"self_attn.{part}_proj") for part in "qkv")),
                fused(layer_name(i, "self_attn.o_proj")),
                plain(layer_name(i, "post_attention_layernorm")),
                fused(layer_name(i, "mlp.gate_proj"), layer_name(i, "mlp.up_proj")),
                fused(layer_name(i, "mlp.down_proj")),
            )
            for i in range(shape.layers)
        ]
        self._collectives = collectives
        # A pipeline stage that is not the first has no embedding, one that is not the last has no head.
        head = EMBEDDING if shape.tied_head else HEAD
        self._head = fused(head) if head in weights else None
        self._final_norm = plain(FINAL_NORM) if FINAL_NORM in weights else None
        shared = shape.tied_head and isinstance(self._head, Int8Product)
        self._embedding = self._head if shared else plain(EMBEDDING) if EMBEDDING in weights else None
        self._rotation = rotary_table(shape, context).to(device, dtype)

    def logits(self, rows: Sequence[Row], cache: KVCache) -> Tensor:
        """Compute the rows, leave their keys and values in the cache, return the sampled rows' logits.

        Float32 on the CPU, (sampled rows, vocabulary), in the order of the rows; those of one sequence in
        order.
        """
        with torch.inference_mode():
            places = [(row.token, row.position) for row in rows]
            tokens, positions = torch.tensor(places, device=self.device).unbind(dim=1)
            window = cache.window([row.blocks for row in rows], positions, max(row.position for row in rows))
            rotation = self._rotation[positions].unbind(dim=1)
            hidden = self._enter(tokens)
            for layer, kv in zip(self._layers, cache.layers(window), strict=True):
                hidden = hidden + self._summed(self._attention(layer, hidden, rotation, kv))
                hidden = hidden + self._summed(self._feed_forward(layer, hidden))
            sampled = [i for i, row in enumerate(rows) if row.sampled]
            return self._leave(hidden, sampled).float().cpu()

    def _enter(self, tokens: Tensor) -> Tensor:
        if self._embedding is not None:
            return pad_to_tiles(look_up(tokens, self._embedding))
        assert self._collectives is not None
        rows = torch.empty((tokens.shape[0], self.shape.hidden), device=self.device, dtype=self._dtype)
        return self._collectives.receive(pad_to_tiles(rows))

    def _leave(self, hidden: Tensor, sampled: list[int]) -> Tensor:
        if self._head is None or self._final_norm is None:
            assert self._collectives is not None
            self._collectives.send(hidden)
            return hidden.new_empty((0, self.shape.vocabulary))
        last = pad_to_tiles(hidden[sampled])
        logits = linear(self._norm(last, self._final_norm), self._head)[: len(sampled)]
        return (
            logits if self._collectives is None else self._collectives.gather(logits, self.shape.vocabulary)
        )

    def _summed(self, part: Tensor) -> Tensor:
        return part if self._collectives is None else self._collectives.sum(part)

    def _attention(self, layer: Layer, hidden: Tensor, rotation: Rotation, kv: LayerCache) -> Tensor:
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        mixed = linear(self._norm(hidden, layer.attention_norm), layer.query_key_value)
        # Rows that only fill a tile have no place in the cache.
        mixed = mixed[: rotation[0].shape[0]].view(-1, heads + 2 * kv_heads, self.shape.head_dim)
        rotated = rotate(mixed[:, : heads + kv_heads], *rotation)
        kv.write(torch.cat((rotated[:, heads:], mixed[:, heads + kv_heads :]), dim=-1))
        attended = attend(rotated[:, :heads], *kv.read(), kv.window)
        return linear(pad_to_tiles(attended), layer.attention_output)

    def _feed_forward(self, layer: Layer, hidden: Tensor) -> Tensor:
        gate, up = linear(self._norm(hidden, layer.feed_forward_norm), layer.gate_up).chunk(2, dim=-1)
        return linear(F.silu(gate) * up, layer.down)

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, (self.shape.hidden,), weight, self.shape.norm_epsilon)


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


def pad_to_tiles(rows: Tensor) -> Tensor:
    """The rows, followed by as many rows of zeros as fill the last tile."""
    missing = -rows.shape[0] % TILE_ROWS
    return F.pad(rows, (0, 0, 0, missing)) if missing else rows


def look_up(tokens: Tensor, embedding: Tensor | Int8Product) -> Tensor:
    """The tokens' rows of the embedding."""
    return embedding.rows(tokens) if isinstance(embedding, Int8Product) else embedding[tokens]


def linear(rows: Tensor, weight: Tensor | Int8Product) -> Tensor:
    """`rows @ weight`; on the CPU tile by tile, so that a row's result does not depend on how many there are.

    The number of rows is a multiple of TILE_ROWS.
    """
    if isinstance(weight, Int8Product):
        return weight(rows)
    if rows.is_cuda:
        return rows @ weight
    tiles = rows.view(-1, TILE_ROWS, rows.shape[1])
    return torch.bmm(tiles, weight.expand(tiles.shape[0], -1, -1)).flatten(0, 1)


def rotary_table(shape: Shape, context: int) -> Tensor:
    """Cosine and signed sine by position, (context, 2, 1, head_dim), for Hugging Face's half-split rotation.

    RoFormer (arXiv 2104.09864): the pair (i, i + head_dim / 2) turns by position * `shape.frequencies()[i]`.
    """
    frequencies = torch.tensor(shape.frequencies(), dtype=torch.float64)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    cosine = torch.cat((angles.cos(), angles.cos()), dim=-1)
    sine = torch.cat((-angles.sin(), angles.sin()), dim=-1)
    return torch.stack((cosine, sine), dim=1).unsqueeze(2)


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding of (rows, heads, head_dim), with each row's two lines of `rotary_table`."""
    return heads * cosine + heads.roll(heads.shape[-1] // 2, dims=-1) * sine


def attend(queries: Tensor, keys: Tensor, values: Tensor, window: Window) -> Tensor:
    """Softmax attention of each row over its own pages; query heads share KV heads in equal groups.

    Args:
        queries: (rows, heads, head_dim).
        keys: (rows * pages * kv_heads, PAGE_TOKENS, head_dim).
        values: likewise.
        window: the step's mask and number of pages.

    Returns:
        (rows, heads * head_dim)
    """
    rows, heads, head_dim = queries.shape
    pages, kv_heads = window.pages, keys.shape[0] // (rows * window.pages)
    grouped = queries.reshape(rows, 1, kv_heads, -1, head_dim).expand(-1, pages, -1, -1, -1).flatten(0, 2)
    scores = torch.baddbmm(window.mask, grouped, keys.transpose(1, 2), alpha=head_dim**-0.5)
    by_page = scores.float().view(rows, pages, kv_heads, -1, PAGE_TOKENS)
    weights = torch.exp(by_page - by_page.amax(dim=(1, 4), keepdim=True))
    totals = weights.sum(dim=-1, keepdim=True)
    sums = torch.bmm(weights.view_as(scores).to(values.dtype), values).view(
        rows, pages, kv_heads, -1, head_dim
    )
    total, weighted = totals[:, 0], sums[:, 0]
    for page in range(1, pages):
        total, weighted = total + totals[:, page], weighted + sums[:, page]
    return (weighted / total).to(queries.dtype).reshape(rows, heads * head_dim)
