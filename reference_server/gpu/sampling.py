"""Drawing tokens on the device: the likeliest, or by the Gumbel maximum, so that logits never leave it.

The noise of a token is a pure function of (seed, position, token): Philox (Salmon et al., SC 2011) with the seed as
key and the other two as counter. argmax(logits / temperature + noise), with Gumbel noise, is a draw from the softmax.
"""

from collections.abc import Iterable, Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from reference_server.gpu.kernels import OVERLAPPED, after_previous, summed

BLOCK = 2048


@triton.jit(do_not_specialize=["rows"], do_not_specialize_on_alignment=["draws", "positions"])
def best_of_blocks(
    sums, draws, positions, forbidden, tops, places, rows, VOCABULARY: tl.constexpr, SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One program per draw and block of tokens: the highest score and its token; of equals, the earlier."""
    row, block = tl.program_id(0), tl.program_id(1)
    after_previous()
    of_row = tl.load(draws + row)
    low = tl.load(draws + rows + row).to(tl.uint32, bitcast=True).to(tl.uint64)
    high = tl.load(draws + 2 * rows + row).to(tl.uint32, bitcast=True).to(tl.uint64)
    temperature = tl.load(draws + 3 * rows + row).to(tl.float32, bitcast=True)
    mask_line = tl.load(draws + 4 * rows + row)
    token = block * BLOCK + tl.arange(0, BLOCK)
    fits = token < VOCABULARY
    score = summed(sums, rows, row, token, fits, SPLITS, VOCABULARY)
    if temperature > 0:
        counter = tl.load(positions + of_row) + token * 0
        bits, _, _, _ = tl.philox((high << 32) | low, token, counter, token * 0, token * 0)
        # 23 bits, so that the half fits into a float32: of 24, the largest would become 1, and its noise infinite.
        uniform = ((bits >> 9).to(tl.float32) + 0.5) * (1.0 / (1 << 23))
        score = score / temperature - tl.log(-tl.log(uniform))
    barred = tl.load(forbidden + mask_line * VOCABULARY + token, mask=fits, other=1)
    score = tl.where(fits & (barred == 0), score, float("-inf"))
    top = tl.max(score, axis=0)
    tl.store(tops + row * tl.num_programs(1) + block, top)
    first = tl.min(tl.where((score == top) & fits & (barred == 0), token, 2147483647), axis=0)
    tl.store(places + row * tl.num_programs(1) + block, first)


@triton.jit(do_not_specialize_on_alignment=["draws", "slots"])
def best_of_all(tops, places, draws, slots, last, drawn, BLOCKS: tl.constexpr, PAD: tl.constexpr):
    """One program per draw: the best block's token, kept for the caller and as its slot's last one."""
    row, at = tl.program_id(0), tl.arange(0, PAD)
    after_previous()
    top = tl.load(tops + row * BLOCKS + at, mask=at < BLOCKS, other=float("-inf"))
    place = tl.load(places + row * BLOCKS + at, mask=at < BLOCKS, other=2147483647)
    token = tl.min(tl.where(top == tl.max(top, axis=0), place, 2147483647), axis=0)
    tl.store(drawn + row, token)
    tl.store(last + tl.load(slots + tl.load(draws + row)), token)


def draw(
    sums: Tensor, draws: Tensor, positions: Tensor, slots: Tensor, forbidden: Tensor, last: Tensor
) -> Tensor:
    """One token per draw, also left in `last` at its slot.

    Args:
        sums: logits as partial sums, (splits, draws, vocabulary).
        draws: int32 (5, draws): row of the step, both halves of the seed, the temperature's bits, line of `forbidden`.
        positions: int32, of the step's rows; the position before the drawn token's.
        slots: int32, of the step's rows: which line of `last` keeps what the row draws.
        forbidden: int8 (2, vocabulary): not 0 where a token may not be drawn.
        last: int32, the token that each slot drew last.
    """
    splits, count, vocabulary = sums.shape
    blocks = triton.cdiv(vocabulary, BLOCK)
    tops = torch.empty((count, blocks), dtype=torch.float32, device=sums.device)
    places = torch.empty((count, blocks), dtype=torch.int32, device=sums.device)
    drawn = torch.empty(count, dtype=torch.int32, device=sums.device)
    best_of_blocks[(count, blocks)](
        sums, draws, positions, forbidden, tops, places, count, VOCABULARY=vocabulary, SPLITS=splits, BLOCK=BLOCK,
        **OVERLAPPED,
    )  # fmt: skip
    pad = triton.next_power_of_2(blocks)
    best_of_all[(count,)](tops, places, draws, slots, last, drawn, BLOCKS=blocks, PAD=pad, **OVERLAPPED)
    return drawn


def nucleus(logits: Tensor, temperatures: Tensor, top_ps: Tensor, forbidden: Tensor) -> Tensor:
    """The logits with all tokens outside each row's nucleus at minus infinity (arXiv 1904.09751).

    By a full sort, outside the graph: only steps that ask for it pay. The likeliest token always stays.

    Args:
        logits: float32 (draws, vocabulary).
        temperatures: float32 (draws,).
        top_ps: float32 (draws,).
        forbidden: bool (draws, vocabulary).
    """
    allowed = logits.masked_fill(forbidden, -torch.inf)
    ordered, order = torch.sort(
        allowed / temperatures.clamp_min(1e-6).unsqueeze(1), descending=True, stable=True
    )
    share = ordered.softmax(dim=-1)
    outside = share.cumsum(dim=-1) - share >= top_ps.unsqueeze(1)
    outside[:, 0] = False
    return allowed.masked_fill(torch.zeros_like(outside).scatter_(1, order, outside), -torch.inf)


def forbidden_tokens(vocabulary: int, alphabet: Iterable[int] | None, ends: Sequence[int]) -> Tensor:
    """int8 (2, vocabulary), not 0 where a token may not be drawn: in the second line those that end a sequence, too."""
    forbidden = torch.zeros((2, vocabulary), dtype=torch.int8)
    if alphabet is not None:
        forbidden.fill_(1)
        forbidden[:, list(alphabet)] = 0
    forbidden[0, list(ends)] = 0
    forbidden[1, list(ends)] = 1
    return forbidden
