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

UNPACK = tl.constexpr("""
prmt.b32 $0, $4, 0x47000000, 0x7404;
prmt.b32 $1, $4, 0x47000000, 0x7414;
prmt.b32 $2, $4, 0x47000000, 0x7424;
prmt.b32 $3, $4, 0x47000000, 0x7434;
""")
OFFSET = tl.constexpr(32768.0 + 128.0)
"""Four biased bytes to float32, each OFFSET too high: a byte becomes the end of 2^15's mantissa. One instruction each,
where the language's conversion runs on a unit with an eighth of the rate; the offset is taken off a whole sum."""
UNPACK_BF16 = tl.constexpr("""{
.reg .b32 pair, low, top, one;
mov.b32 one, 0x3F803F80;
prmt.b32 pair, $2, 0, 0x4140;
lop3.b32 low, pair, 0x007F007F, 0x43004300, 0xEA;
lop3.b32 top, pair, 0x00800080, 0xC380C380, 0x6A;
fma.rn.bf16x2 $0, low, one, top;
prmt.b32 pair, $2, 0, 0x4342;
lop3.b32 low, pair, 0x007F007F, 0x43004300, 0xEA;
lop3.b32 top, pair, 0x00800080, 0xC380C380, 0x6A;
fma.rn.bf16x2 $1, low, one, top;
}""")
"""Four biased bytes to bfloat16, exactly: the low seven bits as 128 and more, less 128 where the top bit is set, else
less 256."""
FEW_ROWS, MANY_ROWS = 64, 128


@triton.jit
def one_row(
    x, values, scales, gain, out, outputs, epsilon, INPUTS: tl.constexpr, GROUPS: tl.constexpr, NORM: tl.constexpr,
    GATED: tl.constexpr, RESIDUAL: tl.constexpr, CHUNKS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One program per four lines of the matrix, all on their way before the kernel before has ended.

    In 8 bits eight, since the inputs that a program reads, from the second-level cache, would be more than the lines.
    A thread's load of CHUNK inputs lies in one group, so that it is scaled as one sum.
    NORM: x is the residual stream; its root mean square divides the sum at the end, since it scales all inputs alike.
    GATED: the lines are two gates and their ups. RESIDUAL: the sums are added to `out`.
    """
    lines = 2 * outputs if GATED else outputs
    span: tl.constexpr = 2 if GATED else 4
    gap = outputs if GATED else 2
    chunk = tl.arange(0, CHUNKS)
    fits = (chunk < INPUTS // CHUNK) | (CHUNKS * CHUNK == INPUTS)
    at = chunk[:, None] * CHUNK + tl.arange(0, CHUNK)[None, :]
    first = tl.program_id(0) * (span * 2 if GROUPS else span)
    weights = four_lines(values, first, gap, lines, at, fits, INPUTS)
    if GROUPS:
        further = four_lines(values, first + span, gap, lines, at, fits, INPUTS)
    after_previous()
    given = tl.load(x + at, mask=fits[:, None], other=0.0).to(tl.float32)
    shrink = 1.0
    if NORM:
        shrink = tl.rsqrt(tl.sum(tl.sum(given * given, axis=1), axis=0) / INPUTS + epsilon)
        given *= tl.load(gain + at, mask=fits[:, None], other=0.0).to(tl.float32)
    excess = OFFSET * tl.sum(given, axis=1) if GROUPS else 0.0
    finish(
        weights, given, excess, shrink, scales, first, out, outputs, chunk, fits, GROUPS, GATED, RESIDUAL, CHUNK
    )  # fmt: skip
    if GROUPS:
        first += span
        finish(
            further, given, excess, shrink, scales, first, out, outputs, chunk, fits, GROUPS, GATED, RESIDUAL, CHUNK
        )  # fmt: skip


@triton.jit
def finish(
    weights, given, excess, shrink, scales, first, out, outputs, chunk, fits, GROUPS: tl.constexpr, GATED: tl.constexpr,
    RESIDUAL: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """The products of four lines, and what `one_row` does with them."""
    lines = 2 * outputs if GATED else outputs
    third = first + outputs if GATED else first + 2
    lower = tl.join(
        dot(weights[0], given, excess, scales, first, lines, chunk, fits, GROUPS, CHUNK),
        dot(weights[1], given, excess, scales, first + 1, lines, chunk, fits, GROUPS, CHUNK),
    )
    upper = tl.join(
        dot(weights[2], given, excess, scales, third, lines, chunk, fits, GROUPS, CHUNK),
        dot(weights[3], given, excess, scales, third + 1, lines, chunk, fits, GROUPS, CHUNK),
    )
    result = tl.sum(tl.join(lower, upper), axis=0) * shrink
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
    """One line of the matrix, as it is stored, (chunks, CHUNK)."""
    return tl.load(
        values + tl.minimum(row, lines - 1).to(tl.int64) * INPUTS + at, mask=fits[:, None], other=0
    )


@triton.jit
def dot(weight, given, excess, scales, row, lines, chunk, fits, GROUPS: tl.constexpr, CHUNK: tl.constexpr):
    """Each chunk's part of the product of a line with the inputs."""
    if GROUPS:
        weight = tl.inline_asm_elementwise(UNPACK, "=r,=r,=r,=r,r", [weight], tl.float32, True, 4)
    part = tl.sum(weight.to(tl.float32) * given, axis=1)
    if GROUPS:
        scale = scales + tl.minimum(row, lines - 1) * GROUPS + chunk * CHUNK // 128
        part = (part - excess) * tl.load(scale, mask=fits, other=0.0).to(tl.float32)
    return part


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
            weight = tl.inline_asm_elementwise(UNPACK_BF16, "=r,=r,r", [weight], tl.bfloat16, True, 4)
            sums += tl.dot(weight, column) * scale[:, None]
        else:
            sums = tl.dot(weight, column, sums)
    place = out + (split * rows + row[None, :]) * outputs + at[:, None]
    tl.store(place, sums.to(out.dtype.element_ty), mask=inside[:, None] & wanted[None, :])


@triton.jit
def unpack(values, scales, out, INPUTS: tl.constexpr, GROUPS: tl.constexpr, BLOCK: tl.constexpr):
    """One program per output and block of inputs: the matrix in 16 bits."""
    row, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    after_previous()
    value = tl.load(values + row * INPUTS + at, mask=at < INPUTS, other=0).to(tl.float32) - 128.0
    value *= tl.load(scales + row * GROUPS + at // 128, mask=at < INPUTS, other=0.0).to(tl.float32)
    tl.store(out + row * INPUTS + at, value.to(out.dtype.element_ty), mask=at < INPUTS)


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix on the device: (outputs, inputs) in the model's type, or bytes, 128 too high, with their scales."""

    values: Tensor
    scales: Tensor | None
    dtype: torch.dtype

    @classmethod
    def of(cls, weights: "list[Tensor | Int8Weight]", device: torch.device, dtype: torch.dtype) -> "Linear":
        """Matrices with the same inputs as one."""
        packed = [weight for weight in weights if isinstance(weight, Int8Weight)]
        if packed:
            values = torch.cat([weight.values.to(device) for weight in packed])
            values = values.view(torch.uint8).bitwise_xor_(128)
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
        chunks = max(32, triton.next_power_of_2(inputs // chunk))
        at_once = (2 if gated else 4) * (1 if self.scales is None else 2)
        one_row[(triton.cdiv(outputs, at_once),)](
            row, self.values, self.values if self.scales is None else self.scales, row if gain is None else gain, out,
            outputs, epsilon, INPUTS=inputs, GROUPS=self.groups, NORM=gain is not None, GATED=gated,
            RESIDUAL=residual, CHUNKS=chunks, CHUNK=chunk, num_warps=min(16, max(1, chunks // 64)), **OVERLAPPED,
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


def processors(device: torch.device) -> int:
    """How many multiprocessors share a kernel's programs."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4
