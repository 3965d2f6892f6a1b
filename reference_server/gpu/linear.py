"""Matrix products of few rows with large weights: what a decode step waits for is reading the weights once.

Three forms, by the number of rows: one row multiplies without tensor cores and carries what stands before and after
it along (norm, activation, residual); up to MANY_ROWS, 8-bit weights are multiplied by tensor cores as they are
unpacked, split over their inputs so that all processors read; above, and for all else in 16 bits, cuBLAS.
"""

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from reference_server.gpu.kernels import OVERLAPPED, after_previous
from reference_server.models.quantization import GROUP, Int8Weight

DOT_OF_CHUNK = tl.constexpr("""{
.reg .b32 sum;
mov.b32 sum, 0;
dp4a.s32.s32 sum, $16, $20, sum;
dp4a.s32.s32 sum, $17, $21, sum;
dp4a.s32.s32 sum, $18, $22, sum;
dp4a.s32.s32 sum, $19, $23, sum;
shl.b32 sum, sum, 8;
dp4a.s32.u32 sum, $16, $24, sum;
dp4a.s32.u32 sum, $17, $25, sum;
dp4a.s32.u32 sum, $18, $26, sum;
dp4a.s32.u32 $0, $19, $27, sum;
mov.b32 $1, 0; mov.b32 $2, 0; mov.b32 $3, 0; mov.b32 $4, 0; mov.b32 $5, 0; mov.b32 $6, 0; mov.b32 $7, 0;
mov.b32 $8, 0; mov.b32 $9, 0; mov.b32 $10, 0; mov.b32 $11, 0; mov.b32 $12, 0; mov.b32 $13, 0; mov.b32 $14, 0;
mov.b32 $15, 0;
}""")
"""Sixteen bytes by numbers of 16 bits, which come as high and low bytes, exactly; the sum is in the first element.

Nine instructions, where each byte to float32 and its multiplication would take two, one of them at half rate."""
OPERANDS = tl.constexpr(",".join(["=r"] * 16 + ["r"] * 12))
ROUND = tl.constexpr(12582912.0)
"""1.5 * 2^23: added to a float32 below 2^22, it leaves the nearest whole number in the low bits."""
FEW_ROWS, MANY_ROWS = 64, 128
WIDEST_PART, WIDEST_PART_IN_8_BITS = 512, 128
"""Chunks of a line that are multiplied with one row at once."""
FOURS, FOURS_IN_8_BITS = 1, 2
"""Four lines each that one program multiplies: in 8 bits, fewer would read the inputs as often as the lines."""


@triton.jit
def one_row(
    x, values, scales, gain, out, outputs, epsilon, INPUTS: tl.constexpr, GROUPS: tl.constexpr, NORM: tl.constexpr,
    GATED: tl.constexpr, RESIDUAL: tl.constexpr, FOURS: tl.constexpr, PARTS: tl.constexpr, CHUNKS: tl.constexpr,
    CHUNK: tl.constexpr,
):  # fmt: skip
    """One program per FOURS times four lines of the matrix, on their way before the kernel before has ended.

    A thread's load of CHUNK inputs lies in one group, so that it is scaled as one sum; long lines come in PARTS.
    NORM: x is the residual stream; its root mean square divides the sum at the end, since it scales all inputs alike.
    GATED: the lines are two gates and their ups. RESIDUAL: the sums are added to `out`.
    """
    lines = 2 * outputs if GATED else outputs
    span: tl.constexpr = 2 if GATED else 4
    gap = outputs if GATED else 2
    first = tl.program_id(0) * FOURS * span
    squares = 0.0
    sums = ()
    for part in tl.static_range(PARTS):
        chunk = part * CHUNKS + tl.arange(0, CHUNKS)
        fits = (chunk < INPUTS // CHUNK) | (PARTS * CHUNKS * CHUNK == INPUTS)
        at = chunk[:, None] * CHUNK + tl.arange(0, CHUNK)[None, :]
        weights = ()
        for four in tl.static_range(FOURS):
            weights = weights + (four_lines(values, first + four * span, gap, lines, at, fits, INPUTS),)
        if part == 0:
            after_previous()
        given = tl.load(x + at, mask=fits[:, None], other=0.0).to(tl.float32)
        if NORM:
            squares += tl.sum(tl.sum(given * given, axis=1), axis=0)
            given *= tl.load(gain + at, mask=fits[:, None], other=0.0).to(tl.float32)
        step = 1.0
        if GROUPS:
            given, step = in_16_bits(given)
        before = sums
        sums = ()
        for four in tl.static_range(FOURS):
            row = first + four * span
            more = dots(weights[four], given, step, scales, row, gap, lines, chunk, fits, GROUPS, CHUNK)
            sums = sums + ((more if part == 0 else before[four] + more),)
    shrink = tl.rsqrt(squares / INPUTS + epsilon) if NORM else 1.0
    for four in tl.static_range(FOURS):
        finish(sums[four], shrink, first + four * span, out, outputs, GATED, RESIDUAL)


@triton.jit
def finish(sums, shrink, first, out, outputs, GATED: tl.constexpr, RESIDUAL: tl.constexpr):
    """What `one_row` does with the chunks' sums of four lines, (chunks, 2, 2)."""
    result = tl.sum(sums, axis=0) * shrink
    pair = tl.arange(0, 2)
    if GATED:
        gate, up = tl.split(result)
        result = gate * tl.sigmoid(gate) * up
        row = first + pair
    else:
        row = first + pair[:, None] + 2 * pair[None, :]
    if RESIDUAL:
        result += tl.load(out + row, mask=row < outputs, other=0.0)
    tl.store(out + row, result.to(out.dtype.element_ty), mask=row < outputs)


@triton.jit
def four_lines(values, first, gap, lines, at, fits, INPUTS: tl.constexpr):
    """Two neighbouring lines of the matrix, and the two that stand `gap` further on."""
    return (
        line(values, first, lines, at, fits, INPUTS),
        line(values, first + 1, lines, at, fits, INPUTS),
        line(values, first + gap, lines, at, fits, INPUTS),
        line(values, first + gap + 1, lines, at, fits, INPUTS),
    )


@triton.jit
def line(values, row, lines, at, fits, INPUTS: tl.constexpr):
    """One line of the matrix, as it is stored, (chunks, CHUNK); the last one again where there is none."""
    place = values + tl.minimum(row, lines - 1).to(tl.int64) * INPUTS + at
    return tl.load(place, mask=fits[:, None], other=0, eviction_policy="evict_first")


@triton.jit
def dots(
    weights, given, step, scales, first, gap, lines, chunk, fits, GROUPS: tl.constexpr, CHUNK: tl.constexpr
):
    """Each chunk's part of the products of four lines with the inputs, (chunks, 2, 2)."""
    lower = tl.join(
        dot(weights[0], given, step, scales, first, lines, chunk, fits, GROUPS, CHUNK),
        dot(weights[1], given, step, scales, first + 1, lines, chunk, fits, GROUPS, CHUNK),
    )
    upper = tl.join(
        dot(weights[2], given, step, scales, first + gap, lines, chunk, fits, GROUPS, CHUNK),
        dot(weights[3], given, step, scales, first + gap + 1, lines, chunk, fits, GROUPS, CHUNK),
    )
    return tl.join(lower, upper)


@triton.jit
def dot(weight, given, step, scales, row, lines, chunk, fits, GROUPS: tl.constexpr, CHUNK: tl.constexpr):
    """Each chunk's part of the product of a line with the inputs."""
    if GROUPS:
        high, low = given
        sums = tl.inline_asm_elementwise(DOT_OF_CHUNK, OPERANDS, [weight, high, low], tl.int32, True, CHUNK)
        scale = tl.load(
            scales + tl.minimum(row, lines - 1) * GROUPS + chunk * CHUNK // 128, mask=fits, other=0.0
        )
        part = tl.sum(sums, axis=1).to(tl.float32) * (step * scale.to(tl.float32))
    else:
        part = tl.sum(weight.to(tl.float32) * given, axis=1)
    return part


@triton.jit
def in_16_bits(given):
    """Each chunk's inputs as whole multiples of a step, as high and low bytes; steps (chunks,).

    A step is a 32767th of the chunk's largest: finer than bfloat16, in which the inputs came, for all but its smallest.
    """
    top = tl.maximum(tl.max(tl.abs(given), axis=1), 1e-30)
    whole = (given * (32767.0 / top)[:, None] + ROUND).to(tl.int32, bitcast=True)
    return ((whole >> 8).to(tl.int8), whole.to(tl.int8)), top / 32767.0


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
            return self.row(
                rows, torch.empty((1, 1, self.values.shape[0]), dtype=torch.float32, device=rows.device)
            )
        if count <= (FEW_ROWS if self.scales is None else MANY_ROWS):
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
        parts, chunks = parts_of(
            inputs // chunk, WIDEST_PART if self.scales is None else WIDEST_PART_IN_8_BITS
        )
        fours = FOURS if self.scales is None else FOURS_IN_8_BITS
        at_once = (2 if gated else 4) * fours
        one_row[(triton.cdiv(outputs, at_once),)](
            row, self.values, self.values if self.scales is None else self.scales, row if gain is None else gain, out,
            outputs, epsilon, INPUTS=inputs, GROUPS=self.groups, NORM=gain is not None, GATED=gated,
            RESIDUAL=residual, FOURS=fours, PARTS=parts, CHUNKS=chunks, CHUNK=chunk,
            num_warps=min(16, max(1, chunks // (64 if parts == 1 else 32))), **OVERLAPPED,
        )  # fmt: skip
        return out

    def _few(self, rows: Tensor) -> Tensor:
        outputs, inputs = self.values.shape
        count = rows.shape[0]
        tile, wide = min(64, max(16, triton.next_power_of_2(count))), 64
        programs = triton.cdiv(outputs, wide) * triton.cdiv(count, tile)
        steps = triton.cdiv(inputs, GROUP)
        wanted = processors(rows.device) * (1.2 if self.scales is None else 2.4) / programs
        splits = min(8, triton.next_power_of_2(max(1, math.ceil(wanted))), max(1, steps // 4))
        share = triton.cdiv(steps, splits) * GROUP
        splits = triton.cdiv(inputs, share)
        out = torch.empty((splits, count, outputs), dtype=torch.float32, device=rows.device)
        few_rows[(triton.cdiv(outputs, wide), splits, triton.cdiv(count, tile))](
            rows, self.values, self.values if self.scales is None else self.scales, out, count, outputs,
            INPUTS=inputs, GROUPS=self.groups, SHARE=share, OUTPUTS=wide, ROWS=tile, STEP=GROUP,
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


def parts_of(chunks: int, widest: int) -> tuple[int, int]:
    """Equal parts of a line and the chunks of each, a power of two: as many as divide it, else all in one part."""
    even = min(chunks & -chunks, widest)
    if chunks <= widest or even < widest // 2:
        return 1, max(32, triton.next_power_of_2(chunks))
    return chunks // even, even


def processors(device: torch.device) -> int:
    """How many multiprocessors share a kernel's programs."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4
