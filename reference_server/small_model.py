"""The decoder of `model` once more, on numpy: for models so small that a step is what calling a library costs.

A replica that steps every few milliseconds finds the processor's caches full of others' work. A call of torch then
takes several times what it does in a loop, and one of numpy about half of that. Rows are independent to the bit here
too: products run over tiles of a fixed number of rows, and a row attends over as many whole pages as its own position
takes, whatever runs beside it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS
from reference_server.kv_cache import PAGE_BLOCKS, PAGE_TOKENS, KVCache
from reference_server.model import Row, rotary_table
from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, Weights, layer_name
from reference_server.tiles import TILE_ROWS, tiles_for

MOST_PARAMETERS = 1 << 20
"""Larger models' products are what takes the time: torch has threads for them."""

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def is_small(weights: Weights) -> bool:
    """Whether they are few, and none of them in 8 bits."""
    plain = [weight for weight in weights.values() if isinstance(weight, Tensor)]
    return len(plain) == len(weights) and sum(weight.numel() for weight in plain) <= MOST_PARAMETERS


class Layer(NamedTuple):
    """One layer's weights; projections are (input, output), those with the same input fused."""

    attention_norm: Floats
    query_key_value: Floats
    attention_output: Floats
    feed_forward_norm: Floats
    gate_up: Floats
    down: Floats


class Span(NamedTuple):
    """Rows that see as many pages: each pages of its own, or all the same, which are then gathered once."""

    rows: slice | list[int]
    """Which of the step's."""
    reads: Indices
    """(2, rows or 1, kv_heads, blocks) lines of the cache: keys, then values."""
    unseen: NDArray[np.bool_]
    """(rows, 1, 1, positions)"""


class SmallModel:
    """The decoder with its weights in float32, on the CPU and in one process."""

    def __init__(self, shape: Shape, weights: Weights, *, context: int) -> None:
        def array(name: str) -> Floats:
            weight = weights[name]
            assert isinstance(weight, Tensor)
            plain: Floats = weight.float().numpy()
            return plain

        def fused(*names: str) -> Floats:
            return np.ascontiguousarray(np.concatenate([array(name) for name in names]).T)

        # A row's length is the root of the sum of its squares here, not of their mean.
        def norm(name: str) -> Floats:
            return array(name) * np.float32(shape.hidden**0.5)

        self.shape = shape
        self._layers = [
            Layer(
                norm(layer_name(i, "input_layernorm")),
                fused(*(layer_name(i, f"self_attn.{part}_proj") for part in "qkv")),
                fused(layer_name(i, "self_attn.o_proj")),
                norm(layer_name(i, "post_attention_layernorm")),
                fused(layer_name(i, "mlp.gate_proj"), layer_name(i, "mlp.up_proj")),
                fused(layer_name(i, "mlp.down_proj")),
            )
            for i in range(shape.layers)
        ]
        self._embedding = array(EMBEDDING)
        self._final_norm = norm(FINAL_NORM)
        self._head = fused(EMBEDDING if shape.tied_head else HEAD)
        self._rotation: Floats = rotary_table(shape, context).float().numpy()
        self._floor = np.float32(shape.hidden * shape.norm_epsilon)
        # In a layer's cache a block has a line per KV head for keys, then as many for values.
        self._block_lines = np.arange(2 * shape.kv_heads).reshape(2, 1, shape.kv_heads, 1)
        self._order = np.arange(-(-context // PAGE_TOKENS) * PAGE_TOKENS)

    def logits(self, rows: Sequence[Row], cache: KVCache) -> Floats:
        """What `Model.logits` gives: keys and values go into the cache, logits of the sampled rows come back."""
        positions = [row.position for row in rows]
        turn, spans, writes = self._rotation[positions], self._spans(rows), self._writes(rows)
        filling = [0] * (tiles_for(len(rows)) * TILE_ROWS - len(rows))
        hidden = self._embedding[[row.token for row in rows] + filling].reshape(
            -1, TILE_ROWS, self.shape.hidden
        )
        for layer, lines in zip(self._layers, cache.arrays, strict=True):
            mixed = self._normed(hidden, layer.attention_norm) @ layer.query_key_value
            attended = self._attended(mixed, lines, turn, spans, writes)
            hidden += attended @ layer.attention_output
            hidden += activated(self._normed(hidden, layer.feed_forward_norm) @ layer.gate_up) @ layer.down
        sampled = [i for i, row in enumerate(rows) if row.sampled]
        if len(sampled) < len(rows):
            filling = [0] * (tiles_for(len(sampled)) * TILE_ROWS - len(sampled))
            hidden = hidden.reshape(-1, self.shape.hidden)[sampled + filling]
            hidden = hidden.reshape(-1, TILE_ROWS, self.shape.hidden)
        logits = self._normed(hidden, self._final_norm) @ self._head
        return logits.reshape(-1, self.shape.vocabulary)[: len(sampled)]

    def _writes(self, rows: Sequence[Row]) -> Indices:
        """Where each row's keys and values go, (rows, 2 * kv_heads), among the positions of all lines."""
        lines = self._block_lines.reshape(1, -1)
        blocks = np.array([[row.blocks[row.position // BLOCK_TOKENS]] for row in rows])
        within = np.array([[row.position % BLOCK_TOKENS] for row in rows])
        writes: Indices = (blocks * lines.size + lines) * BLOCK_TOKENS + within
        return writes

    def _spans(self, rows: Sequence[Row]) -> list[Span]:
        of_one: dict[tuple[int, int], list[int]] = {}
        for i, row in enumerate(rows):
            of_one.setdefault((id(row.blocks), row.position // PAGE_TOKENS), []).append(i)
        alike = {key: own for key, own in of_one.items() if len(own) > 1}
        for (_, page), own in of_one.items():
            if len(own) == 1:
                alike.setdefault((0, page), []).extend(own)
        return [self._span(rows, own, page + 1, shared=table != 0) for (table, page), own in alike.items()]

    def _span(self, rows: Sequence[Row], own: list[int], pages: int, *, shared: bool) -> Span:
        width = pages * PAGE_BLOCKS
        tables = [rows[i].blocks[:width] for i in (own[:1] if shared else own)]
        blocks = np.array([[*table, *[0] * (width - len(table))] for table in tables]).reshape(
            1, -1, 1, width
        )
        last_seen = np.array([rows[i].position for i in own]).reshape(-1, 1, 1, 1)
        return Span(
            rows=slice(None) if len(own) == len(rows) else own,
            reads=blocks * self._block_lines.size + self._block_lines,
            unseen=self._order[: pages * PAGE_TOKENS] > last_seen,
        )

    def _attended(
        self, mixed: Floats, lines: Floats, turn: Floats, spans: Sequence[Span], writes: Indices
    ) -> Floats:
        heads, kv_heads, head_dim = self.shape.heads, self.shape.kv_heads, self.shape.head_dim
        result = np.zeros((*mixed.shape[:2], heads * head_dim), dtype=np.float32)
        # Rows that only fill a tile have no place in the cache.
        mixed = mixed.reshape(-1, heads + 2 * kv_heads, head_dim)[: len(turn)]
        rotate(mixed[:, : heads + kv_heads], turn)
        lines.reshape(-1, head_dim)[writes] = mixed[:, heads:]
        queries = mixed[:, :heads].reshape(-1, kv_heads, heads // kv_heads, head_dim)
        by_row = result.reshape(-1, kv_heads, heads // kv_heads, head_dim)[: len(turn)]
        for span in spans:
            seen = lines[span.reads].reshape(2, -1, kv_heads, span.unseen.shape[-1], head_dim)
            by_row[span.rows] = attention(queries[span.rows], seen[0], seen[1], span.unseen)
        return result

    def _normed(self, hidden: Floats, weight: Floats) -> Floats:
        """RMSNorm, arXiv 1910.07467."""
        lengths = np.einsum("tri,tri->tr", hidden, hidden)[..., None]
        lengths += self._floor
        normed: Floats = hidden / np.sqrt(lengths, out=lengths)
        normed *= weight
        return normed


def rotate(heads: Floats, turn: Floats) -> None:
    """Rotary embedding of (rows, heads, head_dim) in place, each row with its lines of `rotary_table`."""
    half = heads.shape[-1] // 2
    crossed = np.concatenate((heads[..., half:], heads[..., :half]), axis=-1)
    crossed *= turn[:, 1]
    heads *= turn[:, 0]
    heads += crossed


def attention(queries: Floats, keys: Floats, values: Floats, unseen: NDArray[np.bool_]) -> Floats:
    """Softmax attention of queries, (rows, kv_heads, heads per KV head, head_dim).

    Keys and values are (rows or 1, kv_heads, positions, head_dim).
    """
    scores: Floats = queries @ keys.swapaxes(-1, -2)
    scores *= np.float32(queries.shape[-1] ** -0.5)
    np.copyto(scores, np.float32(-np.inf), where=unseen)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    weighted: Floats = scores @ values
    weighted /= scores.sum(axis=-1, keepdims=True)
    return weighted


def activated(gate_up: Floats) -> Floats:
    """SiLU of the gate, by the hyperbolic tangent, which cannot overflow, times the rest."""
    width = gate_up.shape[-1] // 2
    half = gate_up[..., :width] * np.float32(0.5)
    result: Floats = np.tanh(half)
    result += 1
    result *= half
    result *= gate_up[..., width:]
    return result
