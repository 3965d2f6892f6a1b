"""The KV cache's tensors: blocks of BLOCK_TOKENS positions, found through the block table of each row.

Attention reads whole pages of PAGE_TOKENS positions, gathered from as many blocks as that takes, so the shape
of every computation is the same however long a sequence is, wherever its blocks lie and whatever runs beside
it; a longer neighbour only adds pages that are masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS
from reference_server.models.shapes import Shape

PAGE_TOKENS = 64
PAGE_BLOCKS = PAGE_TOKENS // BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Window:
    """Where the rows of one step write and read, the same in every layer.

    A layer's cache has a line per block and KV head for keys, then as many for values, block by block:
    (blocks * 2 * kv_heads, BLOCK_TOKENS, head_dim).
    """

    writes: Tensor
    """(rows, 2 * kv_heads): positions in all lines, counted through."""
    reads: Tensor
    """Lines, 2 x pages x rows x kv_heads x PAGE_BLOCKS, flat: keys, then values."""
    mask: Tensor
    """(pages, rows, 1, 1, PAGE_TOKENS) in float32: 0 where a row may look, -inf where it may not."""

    def write(self, lines: Tensor, keys_values: Tensor) -> None:
        """Store each row's keys and values, (rows, 2 * kv_heads, head_dim), at its own position."""
        lines.view(-1, lines.shape[-1]).index_put_((self.writes,), keys_values)

    def read(self, lines: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values that each row sees: two of (pages * rows * kv_heads, PAGE_TOKENS, head_dim)."""
        keys, values = lines.index_select(0, self.reads).view(2, -1, PAGE_TOKENS, lines.shape[-1]).unbind()
        return keys, values


class KVCache:
    """Keys and values of all layers; which block is whose, the block pool alone decides."""

    def __init__(
        self, shape: Shape, *, blocks: int, context: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.blocks = blocks
        self._device = device
        lines = np.arange(2 * shape.kv_heads)
        self._lines = lines.reshape(2, 1, 1, shape.kv_heads, 1)
        self._starts = lines * BLOCK_TOKENS
        length = -(-context // PAGE_TOKENS) * PAGE_TOKENS
        # Line i of this view is the mask of the position i places before the last: zeros as far as it sees.
        edge = torch.zeros(2 * length, device=device)
        edge[length:] = -torch.inf
        self._masks = edge.unfold(0, length, 1)
        size = (shape.layers, blocks * len(lines), BLOCK_TOKENS, shape.head_dim)
        # Most steps read from where the last one did: a sequence gets a block every BLOCK_TOKENS steps.
        self._asked: tuple[int, list[tuple[int, ...]]] | None = None
        self._answer = torch.empty(0)
        self.layers = torch.zeros(size, device=device, dtype=dtype).unbind()
        """The lines of each layer."""

    @cached_property
    def arrays(self) -> Sequence[NDArray[np.float32]]:
        """The lines of each layer, in float32 on the CPU, as numpy sees the same memory."""
        return [lines.numpy() for lines in self.layers]

    def window(self, tables: Sequence[Sequence[int]], positions: Sequence[int]) -> Window:
        """Plan one step: row i lies in the blocks `tables[i]`, stands at `positions[i]`, and sees what is not after."""
        rows, pages = len(tables), max(positions) // PAGE_TOKENS + 1
        width, last = len(self._starts), len(self._masks) - 2
        own = [
            blocks[at // BLOCK_TOKENS] * width * BLOCK_TOKENS + at % BLOCK_TOKENS
            for blocks, at in zip(tables, positions, strict=True)
        ]
        at_edge = to_tensor(np.array([last - at for at in positions]), self._device)
        masks = self._masks.narrow(1, 0, pages * PAGE_TOKENS).index_select(0, at_edge)
        return Window(
            writes=to_tensor(np.array(own).reshape(rows, 1) + self._starts, self._device),
            reads=self._reads(tables, pages),
            mask=masks.view(rows, pages, 1, 1, PAGE_TOKENS).transpose(0, 1),
        )

    def _reads(self, tables: Sequence[Sequence[int]], pages: int) -> Tensor:
        asked = pages, [tuple(blocks) for blocks in tables]
        if asked != self._asked:
            table = np.zeros((len(tables), pages * PAGE_BLOCKS), dtype=np.int64)
            for line, blocks in zip(table, tables, strict=True):
                line[: len(blocks)] = blocks[: table.shape[1]]
            by_page = table.reshape(-1, pages, 1, PAGE_BLOCKS).swapaxes(0, 1)
            lines = by_page * len(self._starts) + self._lines
            self._asked, self._answer = asked, to_tensor(lines.reshape(-1), self._device)
        return self._answer


def to_tensor(array: NDArray[np.int64], device: torch.device) -> Tensor:
    """The array on the device; it must not be written to any more."""
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.to(device)
