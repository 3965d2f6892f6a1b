"""Matrices in 8 bits: symmetric, one scale per row and group of inputs, applied without unpacking the matrix.

A row of 128 inputs becomes 128 signed bytes and one float16 scale, so that 130 bytes stand for 512 in float32.
Where the inputs are no multiple of the group, the last group is shorter.

On the CPU torch has fast products of bytes by bytes alone, so the incoming rows are written as two bytes as well: a
coarse one and what it leaves, per group. Such sums are whole numbers, exact in any order: a row's result cannot
depend on its neighbours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from reference_server.errors import ConfigError

GROUP = 128
LARGEST = 127
FINER = 2 * LARGEST
"""How many fine steps of an input make a coarse one."""

byte_product = torch._int_mm  # noqa: SLF001  torch has no public name for (rows, k) by (k, columns) into int32


class Int8Weight(NamedTuple):
    """A matrix of (outputs, inputs): element (i, j) is `values[i, j] * scales[i, j // GROUP]`."""

    values: Tensor
    """int8, (outputs, inputs)."""
    scales: Tensor
    """float16, (outputs, inputs / GROUP rounded up)."""

    def narrow(self, dim: int, start: int, length: int) -> "Int8Weight":
        """A part of the outputs (dim 0) or of the inputs (dim 1), which then begins with a group.

        Raises:
            ConfigError: it does not.
        """
        if dim == 0:
            return Int8Weight(self.values.narrow(0, start, length), self.scales.narrow(0, start, length))
        if start % GROUP:
            raise ConfigError(
                f"int8 weights: a part that begins at a multiple of {GROUP} is expected, not {start}"
            )
        scales = self.scales.narrow(1, start // GROUP, -(-length // GROUP))
        return Int8Weight(self.values.narrow(1, start, length), scales)


def quantize(weight: Tensor) -> Int8Weight:
    """Round a matrix of (outputs, inputs) to the nearest of 255 steps per group.

    The scale is rounded up to the next float16, so that the group's largest element still fits.
    """
    outputs, inputs = weight.shape
    groups = -(-inputs // GROUP)
    padded = torch.nn.functional.pad(weight.float(), (0, groups * GROUP - inputs))
    wanted = padded.view(outputs, groups, GROUP).abs().amax(dim=-1) / LARGEST
    scales = wanted.half()
    # The next float16 up, by its bits: torch has no nextafter for it on GPUs.
    scales = torch.where(scales.float() < wanted, (scales.view(torch.int16) + 1).view(torch.float16), scales)
    steps = torch.where(scales > 0, scales, 1).float().unsqueeze(-1)
    values = (padded.view(outputs, groups, GROUP) / steps).round().to(torch.int8)
    return Int8Weight(values.view(outputs, -1)[:, :inputs].contiguous(), scales)


def dequantize(weight: Int8Weight) -> Tensor:
    """The matrix in float32."""
    inputs = weight.values.shape[-1]
    return weight.values.float() * weight.scales.float().repeat_interleave(GROUP, dim=-1)[..., :inputs]


def concatenated(weights: Sequence[Int8Weight]) -> Int8Weight:
    """Matrices with the same inputs as one."""
    return Int8Weight(torch.cat([w.values for w in weights]), torch.cat([w.scales for w in weights]))


class Int8Product:
    """`rows @ weight.T` in float32 on the CPU, by whole-number products of one group of inputs at a time.

    Raises:
        ConfigError: this machine's byte products are not exact (x86 without VNNI may saturate 16-bit sums).
    """

    def __init__(self, weight: Int8Weight) -> None:
        worst = torch.full((32, GROUP), LARGEST, dtype=torch.int8)
        if not (byte_product(worst, -worst.t()) == -GROUP * LARGEST**2).all():
            raise ConfigError("int8 weights: a CPU with exact byte products is expected, not this one")
        self._groups = [group.contiguous() for group in _groups(weight.values)]
        self._scales = weight.scales.float().t().contiguous()

    def __call__(self, rows: Tensor) -> Tensor:
        """(rows, inputs) to (rows, outputs)."""
        total: Tensor | None = None
        for inputs, values, scale in zip(_groups(rows), self._groups, self._scales, strict=True):
            step = (inputs.abs().amax(dim=1, keepdim=True) / LARGEST).clamp_min(
                torch.finfo(torch.float32).tiny
            )
            steps = inputs / step
            coarse = steps.round()
            fine = ((steps - coarse) * FINER).round()
            sums = byte_product(torch.cat((coarse, fine)).to(torch.int8), values.t()).float()
            coarse_sums, fine_sums = sums.chunk(2)
            part = coarse_sums.add_(fine_sums, alpha=1 / FINER).mul_(step).mul_(scale)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def memory_bytes(self) -> int:
        """What it holds."""
        return self._scales.nbytes + sum(group.nbytes for group in self._groups)

    def rows(self, indices: Tensor) -> Tensor:
        """Those rows of the matrix in float32: what an embedding that is also the head looks up."""
        pairs = zip(self._groups, self._scales, strict=True)
        return torch.cat(
            [group[indices].float() * scale[indices].unsqueeze(1) for group, scale in pairs], dim=1
        )


def _groups(matrix: Tensor) -> list[Tensor]:
    return [matrix[:, start : start + GROUP] for start in range(0, matrix.shape[1], GROUP)]
