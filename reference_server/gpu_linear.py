"""Matrix products of few rows with large weights: what a decode step waits for is reading the weights once.

Three forms, by the number of rows: one row multiplies without tensor cores and carries what stands before and after
it along (norm, activation, residual); up to MANY_ROWS, 8-bit weights are multiplied by tensor cores as they are
unpacked, split over their inputs so that all processors read; above, and for all else in 16 bits, cuBLAS.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from reference_server.quantization import GROUP, Int8Weight

MANY_ROWS = 128


@triton.jit
def one_row(
    x, values, scales, gain, out, outputs, epsilon, INPUTS: tl.constexpr, GROUPS: tl.constexpr, NORM: tl.constexpr,
    GATED: tl.constexpr, RESIDUAL: tl.constexpr, ROWS: tl.constexpr, CHUNKS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One program per ROWS outputs. A thread's load of CHUNK inputs lies in one group, so it is scaled as one sum.

    NORM: x is the residual stream; its root mean square divides the sum at the end, since it scales all inputs alike.
    GATED: output i is SiLU(i) * (i + outputs). RESIDUAL: the sums are added to `out`.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    lane = tl.arange(0, CHUNK)
    sums = tl.zeros([ROWS, CHUNKS], tl.float32)
    ups = tl.zeros([ROWS, CHUNKS], tl.float32)
    squares = tl.zeros([1, CHUNKS], tl.float32)
    for base in range(0, INPUTS // CHUNK, CHUNKS):
        chunk = base + tl.arange(0, CHUNKS)
        fits = chunk < INPUTS // CHUNK
        mask = (row < outputs)[:, None] & fits[None, :]
        at = chunk[None, :, None] * CHUNK + lane[None, None, :]
        place = values + row.to(tl.int64)[:, None, None] * INPUTS + at
        weight = tl.load(place, mask=mask[:, :, None], other=0.0)
        if GATED:
            upper = tl.load(place + outputs.to(tl.int64) * INPUTS, mask=mask[:, :, None], other=0.0)
        given = tl.load(x + at, mask=fits[None, :, None], other=0.0).to(tl.float32)
        if NORM:
            squares += tl.sum(given * given, axis=2)
            given *= tl.load(gain + at, mask=fits[None, :, None], other=0.0).to(tl.float32)
        part = tl.sum(weight.to(tl.float32) * given, axis=2)
        scale = scales + row[:, None] * GROUPS + chunk[None, :] * CHUNK // 128
        sums += part * tl.load(scale, mask=mask, other=0.0).to(tl.float32) if GROUPS else part
        if GATED:
            part = tl.sum(upper.to(tl.float32) * given, axis=2)
            scale += outputs * GROUPS
            ups += part * tl.load(scale, mask=mask, other=0.0).to(tl.float32) if GROUPS else part
    shrink = tl.rsqrt(tl.sum(squares) / INPUTS + epsilon) if NORM else 1.0
    result = tl.sum(sums, axis=1) * shrink
    if GATED:
        result = result * tl.sigmoid(result) * tl.sum(ups, axis=1) * shrink
    if RESIDUAL:
        result += tl.load(out + row, mask=row < outputs, other=0.0)
    tl.store(out + row, result.to(out.dtype.element_ty), mask=row < outputs)


@triton.jit
def few_rows(
    x, values, scales, out, rows, outputs, INPUTS: tl.constexpr, GROUPS: tl.constexpr, SHARE: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """One program per OUTPUTS outputs, SHARE inputs and ROWS rows, transposed so that weights fill the tensor core."""
    at = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    split, row = tl.program_id(1), tl.program_id(2) * ROWS + tl.arange(0, ROWS)
    inside, wanted = at < outputs, row < rows
    sums = tl.zeros([OUTPUTS, ROWS], tl.float32)
    for first in range(split * SHARE, min(INPUTS, (split + 1) * SHARE), STEP):
        given = first + tl.arange(0, STEP)
        fits = given < INPUTS
        place = values + at.to(tl.int64)[:, None] * INPUTS + given[None, :]
        weight = tl.load(place, mask=inside[:, None] & fits[None, :], other=0.0)
        column = tl.load(x + row[None, :] * INPUTS + given[:, None], mask=wanted[None, :] & fits[:, None], other=0.0)
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
    value = tl.load(values + row * INPUTS + at, mask=at < INPUTS, other=0).to(tl.float32)
    value *= tl.load(scales + row * GROUPS + at // 128, mask=at < INPUTS, other=0.0).to(tl.float32)
    tl.store(out + row * INPUTS + at, value.to(out.dtype.element_ty), mask=at < INPUTS)


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

    def sums(self, rows: Tensor, *, exact: bool = False) -> Tensor:
        """`rows @ matrix.T` as partial sums, (splits, rows, outputs); in float32 where it has to be `exact`."""
        count = rows.shape[0]
        if count == 1:
            return self.row(rows, torch.empty((1, 1, self.values.shape[0]), dtype=torch.float32, device=rows.device))
        if self.scales is not None and count <= MANY_ROWS:
            return self._few(rows)
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
        chunk = 8 if self.scales is None else 16
        rows, chunks = (2 if gated else 4), min(256, triton.next_power_of_2(inputs // chunk))
        one_row[(triton.cdiv(outputs, rows),)](
            row, self.values, self.values if self.scales is None else self.scales, row if gain is None else gain, out,
            outputs, epsilon, INPUTS=inputs, GROUPS=self.groups, NORM=gain is not None, GATED=gated,
            RESIDUAL=residual, ROWS=rows, CHUNKS=chunks, CHUNK=chunk, num_warps=4,
        )  # fmt: skip
        return out

    def _few(self, rows: Tensor) -> Tensor:
        outputs, inputs = self.values.shape
        count = rows.shape[0]
        tile, wide = min(64, max(16, triton.next_power_of_2(count))), 64
        programs = triton.cdiv(outputs, wide) * triton.cdiv(count, tile)
        steps = triton.cdiv(inputs, GROUP)
        splits = max(1, min(steps // 4, 8, triton.cdiv(2 * processors(rows.device), programs)))
        share = triton.cdiv(steps, splits) * GROUP
        splits = triton.cdiv(inputs, share)
        out = torch.empty((splits, count, outputs), dtype=torch.float32, device=rows.device)
        few_rows[(triton.cdiv(outputs, wide), splits, triton.cdiv(count, tile))](
            rows, self.values, self.scales, out, count, outputs, INPUTS=inputs, GROUPS=self.groups, SHARE=share,
            OUTPUTS=wide, ROWS=tile, STEP=GROUP, num_warps=4, num_stages=4,
        )  # fmt: skip
        return out

    def _unpacked(self) -> Tensor:
        if self.scales is None:
            return self.values
        outputs, inputs = self.values.shape
        out = torch.empty((outputs, inputs), dtype=self.dtype, device=self.values.device)
        block = min(1024, triton.next_power_of_2(inputs))
        unpack[(outputs, triton.cdiv(inputs, block))](
            self.values, self.scales, out, INPUTS=inputs, GROUPS=self.groups, BLOCK=block
        )
        return out


def processors(device: torch.device) -> int:
    """How many multiprocessors share a kernel's programs."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4
