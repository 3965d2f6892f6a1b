"""The KV cache: one slot per running request, cut into pages of equal length.

Attention reads whole pages, so the shape of every computation is the same however long a sequence is and
whatever runs beside it; a longer neighbour only adds pages that are masked. A page table in place of the
fixed slots would make this a paged cache without touching attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from reference_server.shapes import Shape

PAGE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Window:
    """Where the rows of one step write and read, the same in every layer."""

    write_pages: Tensor
    write_offsets: Tensor
    read_pages: Tensor
    """Rows x pages, flat."""
    mask: Tensor
    """(rows * pages * kv_heads, 1, PAGE_TOKENS): 0 where a row may look, -inf where it may not."""
    pages: int


class LayerCache(NamedTuple):
    """One layer's part of the cache in one step."""

    pages: Tensor
    window: Window

    def write(self, keys_values: Tensor) -> None:
        """Store each row's keys and values, (rows, kv_heads, 2 * head_dim), at its own position."""
        self.pages[self.window.write_pages, :, self.window.write_offsets] = keys_values

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values that each row sees: two of (rows * pages * kv_heads, PAGE_TOKENS, head_dim)."""
        gathered = self.pages.index_select(0, self.window.read_pages).flatten(0, 1)
        keys, values = gathered.chunk(2, dim=-1)
        return keys, values


class KVCache:
    """Keys and values of all layers. Slots are taken and given back by the scheduler alone."""

    def __init__(
        self, shape: Shape, *, slots: int, context: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._kv_heads = shape.kv_heads
        self._pages_per_slot = -(-context // PAGE_TOKENS)
        length = self._pages_per_slot * PAGE_TOKENS
        size = (shape.layers, slots * self._pages_per_slot, shape.kv_heads, PAGE_TOKENS, 2 * shape.head_dim)
        self._pages = torch.zeros(size, device=device, dtype=dtype)
        self._page_numbers = torch.arange(self._pages_per_slot, device=device)
        # Line i of this view is the mask of the position i places before the last: zeros as far as it sees.
        edge = torch.zeros(2 * length, device=device, dtype=dtype)
        edge[length:] = -torch.inf
        self._masks = edge.unfold(0, length, 1)

    def window(self, slots: Tensor, positions: Tensor, longest: int) -> Window:
        """Plan one step: row i belongs to `slots[i]`, stands at `positions[i]`, and sees what is not after it.

        `longest` is the largest of the positions.
        """
        pages = longest // PAGE_TOKENS + 1
        first_page = slots * self._pages_per_slot
        masks = self._masks[:, : pages * PAGE_TOKENS].index_select(0, len(self._masks) - 2 - positions)
        by_head = masks.view(-1, pages, 1, PAGE_TOKENS).expand(-1, -1, self._kv_heads, -1)
        return Window(
            write_pages=first_page + positions // PAGE_TOKENS,
            write_offsets=positions % PAGE_TOKENS,
            read_pages=(first_page.unsqueeze(1) + self._page_numbers[:pages]).view(-1),
            mask=by_head.reshape(-1, 1, PAGE_TOKENS),
            pages=pages,
        )

    def layers(self, window: Window) -> Iterator[LayerCache]:
        """The cache of each layer, first to last, as one step sees it."""
        return (LayerCache(pages, window) for pages in self._pages.unbind())

    def copy_out(self, slot: int, start: int, count: int) -> Tensor:
        """Keys and values of `count` positions from `start`, all layers; they must lie within one page."""
        return self._span(slot, start, count).clone()

    def copy_in(self, slot: int, start: int, block: Tensor) -> None:
        """Put back what `copy_out` gave."""
        self._span(slot, start, block.shape[2]).copy_(block)

    def _span(self, slot: int, start: int, count: int) -> Tensor:
        page, offset = divmod(start, PAGE_TOKENS)
        return self._pages[:, slot * self._pages_per_slot + page, :, offset : offset + count]
