"""Triton kernels of a decode step, apart from matrix products: one launch each, everything in between in registers.

A matrix product leaves its result as partial sums, (splits, rows, outputs); the kernel that reads it adds them up.
The residual stream is float32, (rows, hidden). Keys and values lie in blocks, (blocks, kv_heads, BLOCK_TOKENS,
head_dim); a slot's line of the block table names the blocks of its positions.

Triton compiles a kernel anew for a number that is 1 or a multiple of 16, and for a pointer that is one. Numbers of
rows, and pointers to the lines of a step's input, are no such reason here: a kernel differs by its compile-time
constants alone, which `warm_up` can list.
"""

# Triton's language has no types to annotate; every argument named in capitals is a compile-time constant.
import torch
import triton
import triton.language as tl

HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (9, 0)
OVERLAPPED = {"launch_pdl": True} if HOPPER else {}
"""Launch options of every kernel here: it may start while the one before it still runs."""
OVERLAPS = tl.constexpr(HOPPER)


@triton.jit
def after_previous():
    """Let the next kernel start, and wait until all before have ended: memory that they write is read from here on.

    Programmatic dependent launch: a kernel's start, and the loads of weights before this call, cost no time of
    their own.
    """
    if OVERLAPS:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


FETCH = tl.constexpr("prefetch.global.L2 [$1]; mov.b32 $0, 0;")


@triton.jit(do_not_specialize_on_alignment=["tokens", "slots"])
def embed(
    tokens,
    slots,
    last,
    values,
    scales,
    hidden,
    HIDDEN: tl.constexpr,
    GROUPS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program per row: the embedding of its token, or, where that is negative, of its slot's last one."""
    row = tl.program_id(0)
    after_previous()
    token = tl.load(tokens + row)
    token = tl.where(token < 0, tl.load(last + tl.load(slots + row)), token).to(tl.int64)
    at = tl.arange(0, BLOCK)
    value = tl.load(values + token * HIDDEN + at, mask=at < HIDDEN).to(tl.float32)
    if GROUPS:
        value *= tl.load(scales + token * GROUPS + at // 128, mask=at < HIDDEN).to(tl.float32)
    tl.store(hidden + row * HIDDEN + at, value, mask=at < HIDDEN)


@triton.jit(do_not_specialize=["rows"])
def add_and_norm(
    hidden, sums, gain, normed, rows, epsilon, SPLITS: tl.constexpr, HIDDEN: tl.constexpr, BLOCK: tl.constexpr
):
    """One program per row: add the partial sums to the residual stream, then RMSNorm (arXiv 1910.07467)."""
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    mask = at < HIDDEN
    gains = tl.load(gain + at, mask=mask, other=0.0).to(tl.float32)
    after_previous()
    value = tl.load(hidden + row * HIDDEN + at, mask=mask, other=0.0)
    for split in tl.static_range(SPLITS):
        value += tl.load(sums + (split * rows + row) * HIDDEN + at, mask=mask, other=0.0).to(tl.float32)
    if SPLITS:
        tl.store(hidden + row * HIDDEN + at, value, mask=mask)
    scale = tl.rsqrt(tl.sum(value * value, axis=0) / HIDDEN + epsilon)
    tl.store(normed + row * HIDDEN + at, (value * scale * gains).to(normed.dtype.element_ty), mask=mask)


@triton.jit
def summed(sums, rows, row, at, mask, SPLITS: tl.constexpr, WIDTH: tl.constexpr):
    """The sum over splits of one row of partial sums, in float32."""
    value = tl.load(sums + row * WIDTH + at, mask=mask, other=0.0).to(tl.float32)
    for split in tl.static_range(1, SPLITS):
        value += tl.load(sums + (split * rows + row) * WIDTH + at, mask=mask, other=0.0).to(tl.float32)
    return value


@triton.jit(do_not_specialize=["rows"], do_not_specialize_on_alignment=["positions", "slots"])
def rotate_and_store(
    sums, rotation, positions, slots, tables, queries, keys, values, rows, table_width,
    SPLITS: tl.constexpr, GROUP: tl.constexpr, GROUP_PAD: tl.constexpr, KV_HEADS: tl.constexpr,
    DIM: tl.constexpr, HALF_PAD: tl.constexpr, PAGE: tl.constexpr,
):  # fmt: skip
    """One program per row and KV head: rotary embedding of its queries and key; key and value into their block."""
    row, head = tl.program_id(0), tl.program_id(1)
    half: tl.constexpr = DIM // 2
    width: tl.constexpr = (GROUP + 2) * KV_HEADS * DIM
    after_previous()
    position = tl.load(positions + row)
    at = tl.arange(0, HALF_PAD)
    fits = at < half
    cosine = tl.load(rotation + position * DIM + at, mask=fits, other=0.0)
    sine = tl.load(rotation + position * DIM + half + at, mask=fits, other=0.0)
    query = head * GROUP + tl.arange(0, GROUP_PAD)
    place = query[:, None] * DIM + at[None, :]
    mask = (tl.arange(0, GROUP_PAD) < GROUP)[:, None] & fits[None, :]
    low = summed(sums, rows, row, place, mask, SPLITS, width)
    high = summed(sums, rows, row, place + half, mask, SPLITS, width)
    out = queries + row * (GROUP * KV_HEADS * DIM) + place
    dtype = queries.dtype.element_ty
    tl.store(out, (low * cosine[None, :] - high * sine[None, :]).to(dtype), mask=mask)
    tl.store(out + half, (high * cosine[None, :] + low * sine[None, :]).to(dtype), mask=mask)
    block = tl.load(tables + tl.load(slots + row) * table_width + position // PAGE).to(tl.int64)
    cell = ((block * KV_HEADS + head) * PAGE + position % PAGE) * DIM + at
    key = (GROUP * KV_HEADS + head) * DIM + at
    low = summed(sums, rows, row, key, fits, SPLITS, width)
    high = summed(sums, rows, row, key + half, fits, SPLITS, width)
    tl.store(keys + cell, (low * cosine - high * sine).to(dtype), mask=fits)
    tl.store(keys + cell + half, (high * cosine + low * sine).to(dtype), mask=fits)
    value = key + KV_HEADS * DIM
    tl.store(values + cell, summed(sums, rows, row, value, fits, SPLITS, width).to(dtype), mask=fits)
    tl.store(
        values + cell + half, summed(sums, rows, row, value + half, fits, SPLITS, width).to(dtype), mask=fits
    )


@triton.jit(do_not_specialize_on_alignment=["slots", "positions"])
def attend_blocks(
    queries, keys, values, tables, slots, positions, parts, stats, attended, scale, table_width,
    SPLITS: tl.constexpr, GROUP: tl.constexpr, GROUP_PAD: tl.constexpr, KV_HEADS: tl.constexpr,
    DIM: tl.constexpr, DIM_PAD: tl.constexpr, PAGE: tl.constexpr, STRIDE: tl.constexpr,
):  # fmt: skip
    """One program per row, KV head and split of its positions; several leave parts for `combine` (flash decoding)."""
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(positions + row) + 1
    table = tables + tl.load(slots + row) * table_width
    share = tl.cdiv(tl.cdiv(length, SPLITS), STRIDE) * STRIDE
    end = tl.minimum(split * share + share, length)
    fetch_ahead(keys, values, table, split * share, length, head, KV_HEADS, PAGE, DIM, STRIDE)
    after_previous()
    member, at = tl.arange(0, GROUP_PAD), tl.arange(0, DIM_PAD)
    inside = (member < GROUP)[:, None] & (at < DIM)[None, :]
    line = row * (GROUP * KV_HEADS) + head * GROUP + member
    query = tl.load(queries + line[:, None] * DIM + at[None, :], mask=inside, other=0.0)
    top, total = tl.full([GROUP_PAD], float("-inf"), tl.float32), tl.zeros([GROUP_PAD], tl.float32)
    result = tl.zeros([GROUP_PAD, DIM_PAD], tl.float32)
    for first in range(split * share, end, STRIDE):
        position = first + tl.arange(0, STRIDE)
        seen = position < end
        cell = cells_of(table, position, seen, head, KV_HEADS, PAGE, DIM)
        mask = seen[:, None] & (at < DIM)[None, :]
        key = tl.load(keys + cell[:, None] + at[None, :], mask=mask, other=0.0)
        value = tl.load(values + cell[:, None] + at[None, :], mask=mask, other=0.0)
        score = tl.where(seen[None, :], tl.dot(query, tl.trans(key)) * scale, float("-inf"))
        higher = tl.maximum(top, tl.max(score, axis=1))
        weight = tl.exp2(score - higher[:, None])
        shrink = tl.exp2(top - higher)
        total = total * shrink + tl.sum(weight, axis=1)
        result = tl.dot(weight.to(value.dtype), value, result * shrink[:, None])
        top = higher
    if SPLITS == 1:
        parts, part, result = attended, line, (result / total[:, None]).to(attended.dtype.element_ty)
    else:
        part = line * SPLITS + split
        tl.store(stats + part * 2, top, mask=member < GROUP)
        tl.store(stats + part * 2 + 1, total, mask=member < GROUP)
    tl.store(parts + part[:, None] * DIM + at[None, :], result, mask=inside)


@triton.jit
def cells_of(table, position, mask, head, KV_HEADS: tl.constexpr, PAGE: tl.constexpr, DIM: tl.constexpr):
    """Where the keys, and the values, of these positions begin."""
    block = tl.load(table + position // PAGE, mask=mask, other=0).to(tl.int64)
    return ((block * KV_HEADS + head) * PAGE + position % PAGE) * DIM


@triton.jit
def fetch_ahead(
    keys, values, table, first, length, head, KV_HEADS: tl.constexpr, PAGE: tl.constexpr, DIM: tl.constexpr,
    STRIDE: tl.constexpr,
):  # fmt: skip
    """Have the first turn's keys and values brought to the second-level cache, while the kernel before still runs.

    Positions, slots and tables are there since before the step, and so are all keys and values but the last.
    """
    if OVERLAPS:
        position = tl.minimum(first + tl.arange(0, STRIDE), length - 1)
        cell = cells_of(table, position, position >= 0, head, KV_HEADS, PAGE, DIM)
        for part in tl.static_range((DIM + 63) // 64):
            tl.inline_asm_elementwise(
                FETCH, "=r,l", [(keys + cell + part * 64).to(tl.int64)], tl.int32, False, 1
            )
            tl.inline_asm_elementwise(
                FETCH, "=r,l", [(values + cell + part * 64).to(tl.int64)], tl.int32, False, 1
            )


@triton.jit
def combine(parts, stats, attended, SPLITS: tl.constexpr, DIM: tl.constexpr, DIM_PAD: tl.constexpr):
    """One program per row and head: the splits' sums, each scaled to the common maximum, over the common total."""
    line = tl.program_id(0)
    split, at = tl.arange(0, SPLITS), tl.arange(0, DIM_PAD)
    after_previous()
    top = tl.load(stats + (line * SPLITS + split) * 2)
    weight = tl.exp2(top - tl.max(top, axis=0))
    total = tl.sum(tl.load(stats + (line * SPLITS + split) * 2 + 1) * weight, axis=0)
    place = parts + (line * SPLITS + split)[:, None] * DIM + at[None, :]
    part = tl.load(place, mask=(at < DIM)[None, :], other=0.0)
    result = tl.sum(part * weight[:, None], axis=0) / total
    tl.store(attended + line * DIM + at, result.to(attended.dtype.element_ty), mask=at < DIM)


@triton.jit(do_not_specialize=["rows"])
def activate(sums, out, rows, SPLITS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """SiLU(gate) * up, from one product that holds both halves (arXiv 2002.05202)."""
    row, at = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = at < WIDTH
    after_previous()
    gate = summed(sums, rows, row, at, mask, SPLITS, 2 * WIDTH)
    up = summed(sums, rows, row, at + WIDTH, mask, SPLITS, 2 * WIDTH)
    tl.store(out + row * WIDTH + at, (gate * tl.sigmoid(gate) * up).to(out.dtype.element_ty), mask=mask)
