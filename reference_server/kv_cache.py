"""The KV cache's tensors: blocks of BLOCK_TOKENS positions, found through the block table of each row.

Attention reads whole pages of PAGE_TOKENS positions, gathered from as many blocks as that takes, so the shape
of every computation is the same however long a sequence is, wherever its blocks lie and whatever runs beside
it; a longer neighbour only adds pages that are masked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS
from reference_server.models.shapes import Shape

PAGE_TOKENS = 64
PAGE_BLOCKS = PAGE_TOKENS // BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Window:
    """Where the rows of one step write and read, the same in every layer; a line is one KV head of one block."""

    write_lines: Tensor
    """(rows, kv_heads)"""
    write_offsets: Tensor
    """(rows, 1)"""
    read_lines: Tensor
    """Rows x pages x kv_heads x PAGE_BLOCKS, flat."""
    mask: Tensor
    """(rows * pages * kv_heads, 1, PAGE_TOKENS): 0 where a row may look, -inf where it may not."""
    pages: int


class LayerCache(NamedTuple):
    """One layer's part of the cache in one step."""

    lines: Tensor
    window: Window

    def write(self, keys_values: Tensor) -> None:
        """Store each row's keys and values, (rows, kv_heads, 2 * head_dim), at its own position."""
        self.lines[self.window.write_lines, self.window.write_offsets] = keys_values

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values that each row sees: two of (rows * pages * kv_heads, PAGE_TOKENS, head_dim)."""
        gathered = self.lines.index_select(0, self.window.read_lines)
        keys, values = gathered.view(-1, PAGE_TOKENS, gathered.shape[-1]).chunk(2, dim=-1)
        return keys, values


class KVCache:
    """Keys and values of all layers; which block is whose, the block pool alone decides."""

    def __init__(
        self, shape: Shape, *, blocks: int, context: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.blocks = blocks
        self._heads = torch.arange(shape.kv_heads, device=device)
        length = -(-context // PAGE_TOKENS) * PAGE_TOKENS
        size = (shape.layers, blocks * shape.kv_heads, BLOCK_TOKENS, 2 * shape.head_dim)
        self._lines = torch.zeros(size, device=device, dtype=dtype)
        # Line i of this view is the mask of the position i places before the last: zeros as far as it sees.
        edge = torch.zeros(2 * length, device=device, dtype=dtype)
        edge[length:] = -torch.inf
        self._masks = edge.unfold(0, length, 1)

    def window(self, tables: Sequence[Sequence[int]], positions: Tensor, longest: int) -> Window:
        """Plan one step: row i lies in the blocks `tables[i]`, stands at `positions[i]`, and sees what is not after it.

        `longest` is the largest of the positions.
        """
        pages = longest // PAGE_TOKENS + 1
        table = np.zeros((len(tables), pages * PAGE_BLOCKS), dtype=np.int64)
        for line, blocks in zip(table, tables, strict=True):
            line[: len(blocks)] = blocks[: table.shape[1]]
        first_lines = torch.from_numpy(table).to(positions.device) * len(self._heads)
        masks = self._masks[:, : pages * PAGE_TOKENS].index_select(0, len(self._masks) - 2 - positions)
        by_head = masks.view(-1, pages, 1, PAGE_TOKENS).expand(-1, -1, len(self._heads), -1)
        own = first_lines.gather(1, (positions // BLOCK_TOKENS).unsqueeze(1))
        by_page = first_lines.view(-1, pages, 1, PAGE_BLOCKS)
        return Window(
            write_lines=own + self._heads,
            write_offsets=(positions % BLOCK_TOKENS).unsqueeze(1),
            read_lines=(by_page + self._heads.view(-1, 1)).view(-1),
            mask=by_head.reshape(-1, 1, PAGE_TOKENS),
            pages=pages,
        )

    def layers(self, window: Window) -> Iterator[LayerCache]:
        """The cache of each layer, first to last, as one step sees it."""
        return (LayerCache(lines, window) for lines in self._lines.unbind())
