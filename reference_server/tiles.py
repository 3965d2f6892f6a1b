"""Rows in tiles of a fixed number: what is computed of a row depends on no other, to the bit, however many there are.

A BLAS picks its kernel, and with it the order of a sum, by the size of a product: here that size never changes.
"""

import torch
import torch.nn.functional as F  # noqa: N812  the name everyone knows it by
from torch import Tensor

from reference_server.models.quantization import Int8Product

TILE_ROWS = 8


def tiles_for(rows: int) -> int:
    """How many tiles that many rows take."""
    return -(-rows // TILE_ROWS)


class Norm:
    """RMSNorm, arXiv 1910.07467, of rows of the width of its weight."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        width = weight.shape[0]
        self._weight, self._epsilon = weight, epsilon
        self._scaled = weight * width**0.5
        self._floor = torch.tensor(width * epsilon, device=weight.device, dtype=weight.dtype)

    def __call__(self, hidden: Tensor) -> Tensor:
        """Any number of leading dimensions."""
        if hidden.is_cuda:
            return F.rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)
        # torch's own is a dozen operations on the CPU.
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        return torch.mul(length, length).add_(self._floor).rsqrt_().mul(hidden).mul_(self._scaled)


def linear(rows: Tensor, weight: Tensor | Int8Product) -> Tensor:
    """`rows @ weight` of (tiles, TILE_ROWS, inputs), on the CPU tile by tile: a row's result depends on no other."""
    if isinstance(weight, Int8Product):
        return weight(rows.flatten(0, 1)).view(*rows.shape[:2], -1)
    return rows @ weight if rows.is_cuda else torch.bmm(rows, _for_each_tile(weight, rows))


def add_linear(total: Tensor, rows: Tensor, weight: Tensor | Int8Product) -> None:
    """Add `linear(rows, weight)` to the total."""
    if isinstance(weight, Int8Product) or rows.is_cuda:
        total += linear(rows, weight)
    else:
        total.baddbmm_(rows, _for_each_tile(weight, rows))


def _for_each_tile(weight: Tensor, rows: Tensor) -> Tensor:
    return weight.expand(rows.shape[0], -1, -1)
