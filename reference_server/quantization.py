"""Matrices in 8 bits: symmetric, one scale per row and group of inputs, applied without unpacking the matrix.

A row of 128 inputs becomes 128 signed bytes and one float16 scale, so that 130 bytes stand for 512 in float32.
Where the inputs are no multiple of the group, the last group is shorter.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

GROUP = 128
LARGEST = 127


class Int8Weight(NamedTuple):
    """A matrix of (outputs, inputs): element (i, j) is `values[i, j] * scales[i, j // GROUP]`."""

    values: Tensor
    """int8, (outputs, inputs)."""
    scales: Tensor
    """float16, (outputs, inputs / GROUP rounded up)."""

    def rows(self, indices: Tensor) -> Tensor:
        """Those rows in float32: what an embedding looks up."""
        return dequantize(Int8Weight(self.values[indices], self.scales[indices]))


def quantize(weight: Tensor) -> Int8Weight:
    """Round a matrix of (outputs, inputs) to the nearest of 255 steps per group.

    The scale is rounded up to the next float16, so that the group's largest element still fits.
    """
    outputs, inputs = weight.shape
    groups = -(-inputs // GROUP)
    padded = torch.nn.functional.pad(weight.float(), (0, groups * GROUP - inputs))
    wanted = padded.view(outputs, groups, GROUP).abs().amax(dim=-1) / LARGEST
    scales = wanted.half()
    scales = torch.where(scales.float() < wanted, (scales.view(torch.int16) + 1).view(torch.float16), scales)
    steps = scales.float().clamp_min(torch.finfo(torch.float16).tiny).unsqueeze(-1)
    values = (padded.view(outputs, groups, GROUP) / steps).round().to(torch.int8)
    return Int8Weight(values.view(outputs, -1)[:, :inputs].contiguous(), scales)


def dequantize(weight: Int8Weight) -> Tensor:
    """The matrix in float32."""
    inputs = weight.values.shape[-1]
    return weight.values.float() * weight.scales.float().repeat_interleave(GROUP, dim=-1)[..., :inputs]


def concatenated(weights: Sequence[Int8Weight]) -> Int8Weight:
    """Matrices with the same inputs as one."""
    return Int8Weight(torch.cat([w.values for w in weights]), torch.cat([w.scales for w in weights]))
