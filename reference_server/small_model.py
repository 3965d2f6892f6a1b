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
    """One layer's weights, (input, output), those with the same input fused; a norm's are in the matrix after it."""

    attention: Floats
    """To queries and keys as `crossed` has them, then to queries, keys and values."""
    attention_output: Floats
    gate_up: Floats
    """To half of the gate, and to what it lets through."""
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

        def after_norm(norm: str, *matrices: Floats) -> Floats:
            # A row's length is the root of the sum of its squares here, not of their mean.
            gain = array(norm) * np.float32(shape.hidden**0.5)
            return np.ascontiguousarray((np.concatenate(matrices) * gain).T)

        def layer(i: int) -> Layer:
            query, key, value, output = (array(layer_name(i, f"self_attn.{part}_proj")) for part in "qkvo")
            query = query * np.float32(shape.head_dim**-0.5)
            gate, up, down = (array(layer_name(i, f"mlp.{part}_proj")) for part in ("gate", "up", "down"))
            turned = (crossed(query, shape.head_dim), crossed(key, shape.head_dim))
            return Layer(
                after_norm(layer_name(i, "input_layernorm"), *turned, query, key, value),
                np.ascontiguousarray(output.T),
                after_norm(layer_name(i, "post_attention_layernorm"), gate * np.float32(0.5), up),
                np.ascontiguousarray(down.T),
            )

        self.shape = shape
        self._layers = [layer(i) for i in range(shape.layers)]
        self._embedding = array(EMBEDDING)
        self._head = after_norm(FINAL_NORM, array(EMBEDDING if shape.tied_head else HEAD))
        # Signed sines, then cosines.
        self._rotation: Floats = rotary_table(shape, context).flip(1).float().numpy()
        self._floor = np.float32(shape.hidden * shape.norm_epsilon)
        # In a layer's cache a block has a line per KV head for keys, then as many for values.
        self._block_lines = np.arange(2 * shape.kv_heads).reshape(2, 1, shape.kv_heads, 1)
        self._line_starts = self._block_lines.ravel() * BLOCK_TOKENS
        self._order = np.arange(-(-context // PAGE_TOKENS) * PAGE_TOKENS)

    def logits(self, rows: Sequence[Row], cache: KVCache) -> Floats:
        """What `Model.logits` gives: keys and values go into the cache, logits of the sampled rows come back."""
        turn = self._rotation.take([row.position for row in rows], axis=0)
        spans, writes = self._spans(rows), self._writes(rows)
        filling = [0] * (tiles_for(len(rows)) * TILE_ROWS - len(rows))
        hidden = self._embedding.take([row.token for row in rows] + filling, axis=0)
        hidden = hidden.reshape(-1, TILE_ROWS, self.shape.hidden)
        # Rows that only fill a tile attend to nothing.
        attended = np.zeros((*hidden.shape[:2], self.shape.heads * self.shape.head_dim), dtype=np.float32)
        for layer, lines in zip(self._layers, cache.arrays, strict=True):
            self._attend(self._normed(hidden) @ layer.attention, lines, turn, spans, writes, attended)
            hidden += attended @ layer.attention_output
            hidden += activated(self._normed(hidden) @ layer.gate_up) @ layer.down
        sampled = [i for i, row in enumerate(rows) if row.sampled]
        if len(sampled) < len(rows):
            filling = [0] * (tiles_for(len(sampled)) * TILE_ROWS - len(sampled))
            hidden = hidden.reshape(-1, self.shape.hidden)[sampled + filling]
            hidden = hidden.reshape(-1, TILE_ROWS, self.shape.hidden)
        logits = self._normed(hidden) @ self._head
        return logits.reshape(-1, self.shape.vocabulary)[: len(sampled)]

    def _writes(self, rows: Sequence[Row]) -> Indices:
        """Where each row's keys and values go, (rows, 2 * kv_heads), among the positions of all lines."""
        block_size = self._line_starts.size * BLOCK_TOKENS
        firsts = [
            [row.blocks[row.position // BLOCK_TOKENS] * block_size + row.position % BLOCK_TOKENS]
            for row in rows
        ]
        writes: Indices = np.array(firsts) + self._line_starts
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

    def _attend(
        self,
        mixed: Floats,
        lines: Floats,
        turn: Floats,
        spans: Sequence[Span],
        writes: Indices,
        attended: Floats,
    ) -> None:
        """Keys and values go into the cache's lines, and what the rows find there into `attended`."""
        heads, kv_heads, head_dim = self.shape.heads, self.shape.kv_heads, self.shape.head_dim
        turning, grouped = heads + kv_heads, (-1, kv_heads, heads // kv_heads, head_dim)
        # Rows that only fill a tile have no place in the cache.
        mixed = mixed.reshape(-1, 2 * turning + kv_heads, head_dim)[: len(turn)]
        pair = mixed[:, : 2 * turning].reshape(-1, 2, turning, head_dim)
        pair *= turn
        plain = mixed[:, turning:]
        plain[:, :turning] += pair[:, 0]
        lines.reshape(-1, head_dim)[writes] = plain[:, heads:]
        queries, by_row = plain[:, :heads].reshape(grouped), attended.reshape(grouped)[: len(turn)]
        for span in spans:
            seen = lines.take(span.reads, axis=0).reshape(2, -1, kv_heads, span.unseen.shape[-1], head_dim)
            by_row[span.rows] = attention(queries[span.rows], seen[0], seen[1], span.unseen)

    def _normed(self, hidden: Floats) -> Floats:
        """RMSNorm, arXiv 1910.07467, but for its weight."""
        lengths = np.vecdot(hidden, hidden)[..., None]
        lengths += self._floor
        normed: Floats = hidden / np.sqrt(lengths, out=lengths)
        return normed


def crossed(weight: Floats, head_dim: int) -> Floats:
    """A projection to heads, (outputs, inputs), that gives each one's second half first, as its rotation needs it."""
    halves = weight.reshape(-1, 2, head_dim // 2, weight.shape[1])
    return halves[:, ::-1].reshape(weight.shape)


def attention(queries: Floats, keys: Floats, values: Floats, unseen: NDArray[np.bool_]) -> Floats:
    """Softmax attention of scaled queries, (rows, kv_heads, heads per KV head, head_dim).

    Keys and values are (rows or 1, kv_heads, positions, head_dim).
    """
    scores: Floats = queries @ keys.swapaxes(-1, -2)
    np.copyto(scores, np.float32(-np.inf), where=unseen)
    scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    weighted: Floats = scores @ values
    weighted /= np.add.reduce(scores, axis=-1, keepdims=True)
    return weighted


def activated(gate_up: Floats) -> Floats:
    """SiLU of the gate, which comes halved, by the hyperbolic tangent, which cannot overflow, times the rest."""
    width = gate_up.shape[-1] // 2
    half = gate_up[..., :width]
    result: Floats = np.tanh(half)
    result += 1
    result *= half
    result *= gate_up[..., width:]
    return result
