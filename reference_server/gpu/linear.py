"""Matrix products of few rows with large weights: what a decode step waits for is reading the weights once.

Three forms, by the number of rows: one row multiplies without tensor cores and carries what stands before and after
it along (norm, activation, residual); up to MANY_ROWS, 8-bit weights are multiplied by tensor cores as they are
unpacked, split over their inputs so that all processors read; above, and for all else in 16 bits, cuBLAS.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from reference_server.gpu.kernels import OVERLAPPED, after_previous
from reference_server.gpu.one_row import launch_of, one_row
from reference_server.models.quantization import GROUP, Int8Weight

FEW_ROWS, MANY_ROWS = 64, 128
WIDE = 64
"""Outputs of one program of `few_rows`."""


@triton.jit(do_not_specialize=["rows"])
def few_rows(
    x, values, scales, out, rows, outputs, INPUTS: tl.constexpr, GROUPS: tl.constexpr, SHARE: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """One program per OUTPUTS outputs, SHARE inputs and ROWS rows, transposed so that weights fill the tensor core."""
    at = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    split, row = tl.program_id(1), tl.program_id(2) * ROWS + tl.arange(0, ROWS)
    inside, wanted = at < outputs, row < rows
    after_previous()
    sums = tl.zeros([OUTPUTS, ROWS], tl.float32)
    for first in range(split * SHARE, min(INPUTS, (split + 1) * SHARE), STEP):
        given = first + tl.arange(0, STEP)
        fits = given < INPUTS
        place = values + at.to(tl.int64)[:, None] * INPUTS + given[None, :]
        weight = tl.load(place, mask=inside[:, None] & fits[None, :], other=0.0)
        column = tl.load(
            x + row[None, :] * INPUTS + given[:, None], mask=wanted[None, :] & fits[:, None], other=0.0
        )
        if GROUPS:
            scale = tl.load(scales + at * GROUPS + first // 128, mask=inside, other=0.0).to(tl.float32)
            sums += tl.dot(weight.to(column.dtype), column) * scale[:, None]
        else:
            sums = tl.dot(weight, column, sums)
    place = out + (split * rows + row[None, :]) * outputs + at[:, None]
    tl.store(place, sums.to(out.dtype.element_ty), mask=inside[:, None] & wanted[None, :])


@triton.jit
def unpack(values, scales, out, INPUTS: tl.constexpr, GROUPS: tl.constexpr, BLOCK: tl.constexpr):
    """One program per output and block of inputs: the matrix in 16 bits."""
    row, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    after_previous()
    value = tl.load(values + row * INPUTS + at, mask=at < INPUTS, other=0).to(tl.float32)
    value *= tl.load(scales + row * GROUPS + at // 128, mask=at < INPUTS, other=0.0).to(tl.float32)
    tl.store(out + row * INPUTS + at, value.to(out.dtype.element_ty), mask=at < INPUTS)


class Tiling(NamedTuple):
    """How a product of few rows is cut: rows of one program, inputs of one split, and how many splits there are."""

    rows: int
    share: int
    splits: int


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix on the device: (outputs, inputs) in the model's type, or in 8 bits with its scales."""

    values: Tensor
    scales: Tensor | None
    dtype: torch.dtype

    @classmethod
    def of(cls, weights: "list[Tensor | Int8Weight]", device: torch.device, dtype: torch.dtype) -> "Linear":
        """Matrices with the same inputs as one."""
        packed = [weight for weight in weights if isinstance(weight, Int8Weight)]
        if packed:
            values = torch.cat([weight.values.to(device) for weight in packed])
            return cls(values, torch.cat([weight.scales.to(device) for weight in packed]).contiguous(), dtype)
        plain = [weight.to(device, dtype) for weight in weights if isinstance(weight, Tensor)]
        return cls(plain[0] if len(plain) == 1 else torch.cat(plain), None, dtype)

    @property
    def groups(self) -> int:
        """Scales of one output; 0 where there are none."""
        return 0 if self.scales is None else self.scales.shape[1]

    def tiling(self, count: int) -> Tiling | None:
        """How a product of so many rows is cut, where kernels of ours make it; None: cuBLAS does."""
        outputs, inputs = self.values.shape
        if count == 1:
            return Tiling(1, inputs, 1)
        if count > (FEW_ROWS if self.scales is None else MANY_ROWS):
            return None
        tile = min(64, max(16, triton.next_power_of_2(count)))
        programs = triton.cdiv(outputs, WIDE) * triton.cdiv(count, tile)
        steps = triton.cdiv(inputs, GROUP)
        wanted = processors(self.values.device) * (1.2 if self.scales is None else 2.4) / programs
        splits = min(8, triton.next_power_of_2(max(1, math.ceil(wanted))), max(1, steps // 4))
        share = triton.cdiv(steps, splits) * GROUP
        return Tiling(tile, share, triton.cdiv(inputs, share))

    def sums(self, rows: Tensor, *, exact: bool = False) -> Tensor:
        """`rows @ matrix.T` as partial sums, (splits, rows, outputs); in float32 where it has to be `exact`."""
        count = rows.shape[0]
        if count == 1:
            return self.row(
                rows, torch.empty((1, 1, self.values.shape[0]), dtype=torch.float32, device=rows.device)
            )
        if (tiling := self.tiling(count)) is not None:
            return self._few(rows, tiling)
        if exact and rows.is_cuda:
            return torch.mm(rows, self._unpacked().t(), out_dtype=torch.float32).unsqueeze(0)
        return torch.mm(rows, self._unpacked().t()).unsqueeze(0)

    def row(
        self,
        row: Tensor,
        out: Tensor,
        *,
        gain: Tensor | None = None,
        epsilon: float = 0.0,
        gated: bool = False,
        residual: bool = False,
    ) -> Tensor:
        """The product of one row into `out`, with what `one_row` does on the way."""
        outputs, inputs = self.values.shape
        outputs = outputs // 2 if gated else outputs
        launch = launch_of(inputs, in_8_bits=self.scales is not None)
        at_once = (2 if gated else 4) * launch["FOURS"]
        one_row[(triton.cdiv(outputs, at_once),)](
            row, self.values, self.values if self.scales is None else self.scales, row if gain is None else gain, out,
            outputs, epsilon, INPUTS=inputs, GROUPS=self.groups, NORM=gain is not None, GATED=gated,
            RESIDUAL=residual, **launch, **OVERLAPPED,
        )  # fmt: skip
        return out

    def _few(self, rows: Tensor, tiling: Tiling) -> Tensor:
        outputs, inputs = self.values.shape
        count = rows.shape[0]
        out = torch.empty((tiling.splits, count, outputs), dtype=torch.float32, device=rows.device)
        few_rows[(triton.cdiv(outputs, WIDE), tiling.splits, triton.cdiv(count, tiling.rows))](
            rows, self.values, self.values if self.scales is None else self.scales, out, count, outputs,
            INPUTS=inputs, GROUPS=self.groups, SHARE=tiling.share, OUTPUTS=WIDE, ROWS=tiling.rows, STEP=GROUP,
            num_warps=4, num_stages=4, **OVERLAPPED,
        )  # fmt: skip
        return out

    def _unpacked(self) -> Tensor:
        if self.scales is None:
            return self.values
        outputs, inputs = self.values.shape
        out = torch.empty((outputs, inputs), dtype=self.dtype, device=self.values.device)
        block = min(1024, triton.next_power_of_2(inputs))
        unpack[(outputs, triton.cdiv(inputs, block))](
            self.values, self.scales, out, INPUTS=inputs, GROUPS=self.groups, BLOCK=block, **OVERLAPPED
        )
        return out


@cache
def processors(device: torch.device) -> int:
    """How many multiprocessors share a kernel's programs."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4
