"""A sum over the GPUs of one host as one kernel: each reads the parts of all from their memory, over NVLink.

NCCL's sum of a few kilobytes takes some 20 us inside a graph, hardly any of it for bytes, and a decode step makes two
per layer. Here every program leaves its piece of the own part where the others can read it, tells them by a number
that grows, waits for theirs, and adds all pieces in the order of ranks, so that all ranks hold the same bits.

A piece has two places, used in turn: a program writes to a place again only after every rank has come to the sum in
between, and so has left the one before. Memory is torch's symmetric memory; multicast is never used.
"""

from itertools import permutations

import torch
import torch.distributed as dist
import torch.distributed._symmetric_memory as symmetric
import triton
import triton.language as tl
from torch import Tensor

from reference_server.gpu.kernels import OVERLAPPED, after_previous

BLOCK = 1024
"""Elements of one program's piece: always the same, so that a piece is one program's whatever the size of the sum."""
CAPACITY = 1 << 18
"""Most elements of a sum, 1 MiB in float32: for more, bytes are what takes the time, and NCCL moves fewer."""


@triton.jit
def sum_over_peers(
    sums, out, parts, flags, epochs, size, RANK: tl.constexpr, RANKS: tl.constexpr, SPLITS: tl.constexpr,
    BLOCK: tl.constexpr, CAPACITY: tl.constexpr,
):  # fmt: skip
    """One program per piece. `parts` and `flags` are addresses by rank; `epochs` count each piece's sums."""
    piece = tl.program_id(0)
    at = piece * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    after_previous()
    value = tl.load(sums + at, mask=inside, other=0.0).to(tl.float32)
    for split in tl.static_range(1, SPLITS):
        value += tl.load(sums + split * size + at, mask=inside, other=0.0).to(tl.float32)
    epoch = tl.load(epochs + piece) + 1
    place = (epoch & 1) * CAPACITY + at
    tl.store(memory_of(parts, RANK, tl.float32) + place, value, mask=inside)
    tl.debug_barrier()
    tl.store(epochs + piece, epoch)
    for peer in tl.static_range(RANKS):
        if peer != RANK:
            tl.atomic_xchg(
                memory_of(flags, peer, tl.int32) + piece * RANKS + RANK, epoch, sem="release", scope="sys"
            )
    own = memory_of(flags, RANK, tl.int32) + piece * RANKS
    for peer in tl.static_range(RANKS):
        if peer != RANK:
            # The difference, since the number wraps around after a day or more.
            while tl.atomic_add(own + peer, 0, sem="acquire", scope="sys") - epoch < 0:
                pass
    tl.debug_barrier()
    total = tl.zeros([BLOCK], tl.float32)
    for peer in tl.static_range(RANKS):
        if peer == RANK:
            total += value
        else:
            total += tl.load(
                memory_of(parts, peer, tl.float32) + place, mask=inside, other=0.0, volatile=True
            )
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def memory_of(addresses, rank, dtype: tl.constexpr):
    """Where a rank's memory begins, seen from here."""
    return tl.multiple_of(tl.load(addresses + rank), 16).to(tl.pointer_type(dtype))


class PeerSums:
    """One rank's sums with the GPUs of its group, on the current stream: part of whatever graph is captured there."""

    def __init__(self, group: dist.ProcessGroup, device: torch.device) -> None:
        """All ranks of the group come here together; returns once each can read the others' memory."""
        self._rank, self._ranks = dist.get_rank(group), dist.get_world_size(group)
        pieces = CAPACITY // BLOCK
        self._parts = symmetric.empty(2 * CAPACITY, dtype=torch.float32, device=device)
        self._flags = symmetric.empty(pieces * self._ranks, dtype=torch.int32, device=device).zero_()
        self._epochs = torch.zeros(pieces, dtype=torch.int32, device=device)
        torch.cuda.synchronize(device)
        handles = [symmetric.rendezvous(tensor, group) for tensor in (self._parts, self._flags)]
        self._addresses = [
            torch.tensor(handle.buffer_ptrs, dtype=torch.int64, device=device) for handle in handles
        ]
        dist.barrier(group)

    @staticmethod
    def possible() -> bool:
        """Whether all of this machine's GPUs reach each other's memory: the same answer on every rank."""
        pairs = permutations(range(torch.cuda.device_count()), 2)
        return all(torch.cuda.can_device_access_peer(a, b) for a, b in pairs)

    @staticmethod
    def takes(sums: Tensor) -> bool:
        """Whether partial sums are few enough for this way."""
        return sums[0].numel() <= CAPACITY

    def sum(self, sums: Tensor) -> Tensor:
        """The sum over splits and ranks of partial sums (splits, rows, outputs), as (1, rows, outputs) in float32."""
        splits, rows, outputs = sums.shape
        size = rows * outputs
        out = torch.empty((1, rows, outputs), dtype=torch.float32, device=sums.device)
        parts, flags = self._addresses
        sum_over_peers[(triton.cdiv(size, BLOCK),)](
            sums, out, parts, flags, self._epochs, size, RANK=self._rank, RANKS=self._ranks, SPLITS=splits,
            BLOCK=BLOCK, CAPACITY=CAPACITY, num_warps=4, **OVERLAPPED,
        )  # fmt: skip
        return out
