"""One row by a large matrix, without tensor cores: what stands before and after the product is done on the way.

In 8 bits the row becomes numbers of 16 bits, so that four bytes are multiplied and added by one instruction, exactly.
"""

import triton
import triton.language as tl

from reference_server.gpu.kernels import after_previous

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
            more = four_lines(values, first + four * span, gap, lines, at, fits, INPUTS)
            weights = weights + (more,)  # type: ignore[assignment]
        if part == 0:
            after_previous()
        given = tl.load(x + at, mask=fits[:, None], other=0.0).to(tl.float32)
        if NORM:
            squares += tl.sum(tl.sum(given * given, axis=1), axis=0)
            given *= tl.load(gain + at, mask=fits[:, None], other=0.0).to(tl.float32)
        given, step = in_16_bits(given) if GROUPS else (given, 1.0)
        before, sums = sums, ()
        for four in tl.static_range(FOURS):
            row = first + four * span
            more = dots(weights[four], given, step, scales, row, gap, lines, chunk, fits, GROUPS, CHUNK)
            sums = sums + ((more if part == 0 else before[four] + more),)  # type: ignore[assignment]
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


def launch_of(inputs: int, *, in_8_bits: bool) -> dict[str, int]:
    """How `one_row` is launched for lines of so many inputs.

    In 8 bits a program has eight lines, since fewer would read the inputs as often as the lines, and smaller parts.
    """
    fours, chunk, widest = (2, 16, 128) if in_8_bits else (1, 8, 512)
    parts, chunks = parts_of(inputs // chunk, widest)
    warps = min(16, max(1, chunks // (64 if parts == 1 else 32)))
    return {"FOURS": fours, "PARTS": parts, "CHUNKS": chunks, "CHUNK": chunk, "num_warps": warps}


def parts_of(chunks: int, widest: int) -> tuple[int, int]:
    """Equal parts of a line and the chunks of each, a power of two: as many as divide it, else all in one part."""
    even = min(chunks & -chunks, widest)
    if chunks <= widest or even < widest // 2:
        return 1, max(32, triton.next_power_of_2(chunks))
    return chunks // even, even
