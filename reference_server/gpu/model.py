"""A Llama-shaped decoder on one GPU: a step's rows through the kernels, over paged keys and values."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Protocol, cast

import numpy as np
import torch
import triton
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS
from reference_server.gpu import kernels
from reference_server.gpu.kernels import OVERLAPPED
from reference_server.gpu.linear import Linear, processors
from reference_server.gpu.prompts import Prompts, attend_prompts
from reference_server.models.quantization import Int8Weight
from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, layer_name

Weights = Mapping[str, Tensor | Int8Weight]

LONGEST_SPLITS = 32
POSITIONS_PER_TURN = 64


class Collectives(Protocol):
    """What the ranks of a tensor-parallel group do together; on the current stream, so that graphs hold it."""

    def add_sums(self, sums: Tensor, hidden: Tensor, /) -> None:
        """Add the sum over splits and ranks of partial sums (splits, rows, outputs) to float32 (rows, outputs)."""
        ...

    def gather(self, logits: Tensor, width: int, /) -> Tensor:
        """All ranks' parts of the vocabulary, side by side; as they are where they have this width already."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """A step's rows, int32 tensors on the device: first those that are alone in their piece, then the prompts'."""

    tokens: Tensor
    """Negative: what the slot drew last."""
    positions: Tensor
    slots: Tensor
    single: int
    prompts: Prompts | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights; projections with the same input fused."""

    attention_norm: Tensor
    query_key_value: Linear
    attention_output: Linear
    feed_forward_norm: Tensor
    gate_up: Linear
    down: Linear

    @property
    def matrices(self) -> Sequence[Linear]:
        """In the order in which a step multiplies by them."""
        return self.query_key_value, self.attention_output, self.gate_up, self.down


class GpuModel:
    """The decoder with its weights and its KV blocks; `last` and `tables` are lines by slot."""

    def __init__(
        self,
        shape: Shape,
        weights: Weights,
        *,
        context: int,
        blocks: int,
        slots: int,
        device: torch.device,
        dtype: torch.dtype,
        collectives: Collectives | None = None,
    ) -> None:
        def linear(*names: str) -> Linear:
            return Linear.of([weights[name] for name in names], device, dtype)

        def norm(name: str) -> Tensor:
            return cast(Tensor, weights[name]).to(device, dtype)

        self.shape, self.device, self._dtype, self._collectives = shape, device, dtype, collectives
        self._layers = [
            Layer(
                norm(layer_name(i, "input_layernorm")),
                linear(*(layer_name(i, f"self_attn.{part}_proj") for part in "qkv")),
                linear(layer_name(i, "self_attn.o_proj")),
                norm(layer_name(i, "post_attention_layernorm")),
                linear(layer_name(i, "mlp.gate_proj"), layer_name(i, "mlp.up_proj")),
                linear(layer_name(i, "mlp.down_proj")),
            )
            for i in range(shape.layers)
        ]
        self._embedding, self._final_norm = linear(EMBEDDING), norm(FINAL_NORM)
        self.head = self._embedding if shape.tied_head else linear(HEAD)
        self._rotation = half_rotary_table(shape, context).to(device)
        size = (shape.layers, 2, blocks + 1, shape.kv_heads, BLOCK_TOKENS, shape.head_dim)
        self.cache = torch.empty(size, dtype=dtype, device=device)
        self.last = torch.zeros(slots + 1, dtype=torch.int32, device=device)
        # The line and the block after the last are those of rows that only fill a graph's batch.
        self.tables = torch.full(
            (slots + 1, -(-context // BLOCK_TOKENS)), blocks, dtype=torch.int32, device=device
        )

    @property
    def kv_bytes(self) -> int:
        """Keys and values of one position, all layers."""
        return self.cache[:, :, 0].nbytes // BLOCK_TOKENS

    def weight_bytes(self) -> int:
        """What a step reads of the weights: all but the embedding's lines, unless that is the head too."""
        linears = [self.head, *(matrix for layer in self._layers for matrix in layer.matrices)]
        return sum(w.values.nbytes + (0 if w.scales is None else w.scales.nbytes) for w in linears)

    @property
    def alone(self) -> bool:
        """Whether this is the whole model: no other rank waits for this one within a step."""
        return self._collectives is None

    @property
    def kinds(self) -> Sequence[int]:
        """Layers that stand for all: every other one's matrices are stored as those of one of these."""
        found = {tuple(matrix.groups for matrix in layer.matrices): i for i, layer in enumerate(self._layers)}
        return sorted(found.values())

    @property
    def matrices(self) -> Sequence[Linear]:
        """Those of the layers that stand for all."""
        return [matrix for i in self.kinds for matrix in self._layers[i].matrices]

    def form(self, rows: int) -> Hashable:
        """How so many rows are multiplied: a step of the form of another needs no other kernels."""
        return tuple(matrix.tiling(rows) for matrix in self.matrices)

    def drawing_form(self, single: int, drawn: int) -> Hashable:
        """The same of a step's rows that are alone in their piece, and of those whose logits are wanted."""
        return self._splits(single) if single else None, self.head.tiling(drawn)

    def logits(self, rows: Rows, sampled: Tensor | None, layers: Sequence[int] | None = None) -> Tensor:
        """Compute the rows, leave their keys and values; logits as partial sums, (splits, sampled, vocabulary).

        Args:
            rows: the step.
            sampled: rows whose logits are wanted; None for all.
            layers: those that take part, where the result does not matter; None for all.
        """
        hidden = self._embed(rows)
        sums = None
        for index in range(len(self._layers)) if layers is None else layers:
            layer = self._layers[index]
            sums = self._attention(index, layer, hidden, sums, rows)
            sums = self._feed_forward(layer, hidden, sums)
        if sampled is not None:
            hidden = hidden[sampled]
            sums = None if sums is None else sums[:, sampled].contiguous()
        logits = self._normed_product(self.head, self._final_norm, hidden, sums, exact=True)
        if self._collectives is None:
            return logits
        return self._collectives.gather(_whole(logits), self.shape.vocabulary).unsqueeze(0)

    def _embed(self, rows: Rows) -> Tensor:
        table, width = self._embedding, self.shape.hidden
        hidden = torch.empty((rows.tokens.shape[0], width), dtype=torch.float32, device=self.device)
        kernels.embed[(hidden.shape[0],)](
            rows.tokens, rows.slots, self.last, table.values, table.values if table.scales is None else table.scales,
            hidden, HIDDEN=width, GROUPS=table.groups, BLOCK=triton.next_power_of_2(width), **OVERLAPPED,
        )  # fmt: skip
        return hidden

    def _attention(
        self, index: int, layer: Layer, hidden: Tensor, sums: Tensor | None, rows: Rows
    ) -> Tensor | None:
        shape, count = self.shape, hidden.shape[0]
        mixed = self._normed_product(layer.query_key_value, layer.attention_norm, hidden, sums)
        queries = torch.empty((count, shape.heads, shape.head_dim), dtype=self._dtype, device=self.device)
        keys, values = self.cache[index]
        group, half = shape.heads // shape.kv_heads, shape.head_dim // 2
        kernels.rotate_and_store[(count, shape.kv_heads)](
            mixed, self._rotation, rows.positions, rows.slots, self.tables, queries, keys, values, count,
            self.tables.shape[1], SPLITS=mixed.shape[0], GROUP=group, GROUP_PAD=triton.next_power_of_2(group),
            KV_HEADS=shape.kv_heads, DIM=shape.head_dim, HALF_PAD=triton.next_power_of_2(half), PAGE=BLOCK_TOKENS,
            num_warps=1, **OVERLAPPED,
        )  # fmt: skip
        attended = torch.empty_like(queries)
        if rows.single:
            self._attend_blocks(queries, keys, values, rows, attended)
        if rows.prompts is not None:
            attend_prompts(queries[rows.single :], keys, values, rows.prompts, attended[rows.single :])
        return self._added(layer.attention_output, attended.view(count, -1), hidden)

    def _attend_blocks(
        self, queries: Tensor, keys: Tensor, values: Tensor, rows: Rows, attended: Tensor
    ) -> None:
        shape, count = self.shape, rows.single
        splits = self._splits(count)
        parts = torch.empty(
            (count, shape.heads, splits, shape.head_dim), dtype=torch.float32, device=self.device
        )
        stats = torch.empty((count, shape.heads, splits, 2), dtype=torch.float32, device=self.device)
        dim_pad = max(16, triton.next_power_of_2(shape.head_dim))
        kernels.attend_blocks[(count, shape.kv_heads, splits)](
            queries, keys, values, self.tables, rows.slots, rows.positions, parts, stats, attended,
            shape.head_dim**-0.5 * log2(np.e), self.tables.shape[1], SPLITS=splits, GROUP=shape.heads // shape.kv_heads,
            GROUP_PAD=max(16, triton.next_power_of_2(shape.heads // shape.kv_heads)), KV_HEADS=shape.kv_heads,
            DIM=shape.head_dim, DIM_PAD=dim_pad, PAGE=BLOCK_TOKENS, STRIDE=POSITIONS_PER_TURN,
            num_warps=2, num_stages=3, **OVERLAPPED,
        )  # fmt: skip
        if splits > 1:
            kernels.combine[(count * shape.heads,)](
                parts,
                stats,
                attended,
                SPLITS=splits,
                DIM=shape.head_dim,
                DIM_PAD=dim_pad,
                num_warps=1,
                **OVERLAPPED,
            )

    def _splits(self, count: int) -> int:
        """Splits of each row's positions, by the number of rows alone: enough programs for all processors."""
        wanted = 512 * processors(self.device) // (count * self.shape.kv_heads * self.shape.head_dim)
        return int(min(LONGEST_SPLITS, triton.next_power_of_2(max(1, wanted))))

    def _feed_forward(self, layer: Layer, hidden: Tensor, sums: Tensor | None) -> Tensor | None:
        count, width = hidden.shape[0], self.shape.feed_forward
        active = torch.empty((count, width), dtype=self._dtype, device=self.device)
        if count == 1 and sums is None:
            layer.gate_up.row(
                hidden, active, gain=layer.feed_forward_norm, epsilon=self.shape.norm_epsilon, gated=True
            )
        else:
            both = self._normed_product(layer.gate_up, layer.feed_forward_norm, hidden, sums)
            block = min(1024, triton.next_power_of_2(width))
            kernels.activate[(count, triton.cdiv(width, block))](
                both, active, count, SPLITS=both.shape[0], WIDTH=width, BLOCK=block, **OVERLAPPED
            )
        return self._added(layer.down, active, hidden)

    def _added(self, matrix: Linear, rows: Tensor, hidden: Tensor) -> Tensor | None:
        """Add a product to the residual stream: at once for one row or several ranks, else by the next norm."""
        if self._collectives is not None:
            self._collectives.add_sums(matrix.sums(rows), hidden)
            return None
        if rows.shape[0] == 1:
            matrix.row(rows, hidden, residual=True)
            return None
        return matrix.sums(rows)

    def _normed_product(
        self, matrix: Linear, gain: Tensor, hidden: Tensor, sums: Tensor | None, *, exact: bool = False
    ) -> Tensor:
        """The product of the normed residual stream, to which `sums` are added first."""
        count, width = hidden.shape
        if count == 1 and sums is None:
            out = torch.empty((1, 1, matrix.values.shape[0]), dtype=torch.float32, device=self.device)
            return matrix.row(hidden, out, gain=gain, epsilon=self.shape.norm_epsilon)
        normed = torch.empty((count, width), dtype=self._dtype, device=self.device)
        kernels.add_and_norm[(count,)](
            hidden, hidden if sums is None else sums, gain, normed, count, self.shape.norm_epsilon,
            SPLITS=0 if sums is None else sums.shape[0], HIDDEN=width, BLOCK=triton.next_power_of_2(width),
            **OVERLAPPED,
        )  # fmt: skip
        return matrix.sums(normed, exact=exact)


def _whole(sums: Tensor) -> Tensor:
    return sums[0] if sums.shape[0] == 1 else sums.sum(dim=0)


def half_rotary_table(shape: Shape, context: int) -> Tensor:
    """Cosines, then sines, of each position's pairs of dimensions, (context, head_dim), float32."""
    frequencies = torch.tensor(shape.frequencies(), dtype=torch.float64)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    return torch.cat((angles.cos(), angles.sin()), dim=-1).float()
