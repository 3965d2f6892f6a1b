"""A sum over the GPUs of one host as one kernel: each reads the parts of all from their memory, over NVLink.

NCCL's sum of a few kilobytes takes some 20 us inside a graph, hardly any of it for bytes, and a decode step makes two
per layer. Here every program leaves its piece of the own part where the others can read it, tells them by a number
that grows, waits for theirs, and adds all pieces in the order of ranks, so that all ranks hold the same bits. What they
are added to, the residual stream, is added in the same kernel.

A piece has two places, used in turn: a program writes to a place again only after every rank has come to the sum in
between, and so has left the one before. Memory is opened by CUDA's handles between processes, the way torch shares
tensors: torch's symmetric memory takes two seconds more to begin, which a lost rank's group would wait for.
"""

from itertools import permutations
from typing import Any

import torch
import torch.distributed as dist
import triton
import triton.language as tl
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor

from reference_server.gpu.kernels import OVERLAPPED, after_previous

BLOCK = 1024
"""Elements of one program's piece: always the same, so that a piece is one program's whatever the size of the sum."""
CAPACITY = 1 << 18
"""Most elements of a sum, 1 MiB in float32: for more, bytes are what takes the time, and NCCL moves fewer."""


@triton.jit
def add_over_peers(
    sums, hidden, parts, flags, epochs, size, RANK: tl.constexpr, RANKS: tl.constexpr, RANKS_PAD: tl.constexpr,
    SPLITS: tl.constexpr, BLOCK: tl.constexpr, CAPACITY: tl.constexpr,
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
    tl.store(memory_of(parts, RANK) + place, value, mask=inside)
    tl.debug_barrier()  # every thread's part is there before one of them says so
    tl.store(epochs + piece, epoch)
    total = tl.load(hidden + at, mask=inside, other=0.0)
    peer = tl.arange(0, RANKS_PAD)
    others = (peer < RANKS) & (peer != RANK)
    theirs = tl.load(flags + peer, mask=others, other=0).to(tl.pointer_type(tl.int32)) + piece * RANKS + RANK
    tl.atomic_xchg(theirs, epoch + peer * 0, mask=others, sem="release", scope="sys")
    own = tl.load(flags + RANK).to(tl.pointer_type(tl.int32)) + piece * RANKS
    for other in tl.static_range(RANKS):
        if other != RANK:
            # The difference, since the number wraps around after a day or more.
            while tl.atomic_add(own + other, 0, sem="acquire", scope="sys") - epoch < 0:
                pass
    tl.debug_barrier()  # and nobody reads before the one that waited has seen them all
    for other in tl.static_range(RANKS):
        if other == RANK:
            total += value
        else:
            total += tl.load(memory_of(parts, other) + place, mask=inside, other=0.0)
    tl.store(hidden + at, total, mask=inside)


@triton.jit
def memory_of(addresses, rank):
    """Where a rank's parts begin, seen from here."""
    return tl.multiple_of(tl.load(addresses + rank).to(tl.pointer_type(tl.float32)), 16)


class PeerSums:
    """One rank's sums with the GPUs of its group, on the current stream: part of whatever graph is captured there."""

    def __init__(self, group: dist.ProcessGroup, device: torch.device) -> None:
        """All ranks of the group come here together; returns once each can read the others' memory."""
        self._rank, self._ranks = dist.get_rank(group), dist.get_world_size(group)
        pieces = CAPACITY // BLOCK
        parts = torch.zeros(2 * CAPACITY, dtype=torch.float32, device=device)
        flags = torch.zeros(pieces * self._ranks, dtype=torch.int32, device=device)
        self._epochs = torch.zeros(pieces, dtype=torch.int32, device=device)
        torch.cuda.synchronize(device)
        self._opened = [opened(tensor, group) for tensor in (parts, flags)]
        self._addresses = [
            torch.tensor([one.data_ptr() for one in of_ranks], dtype=torch.int64, device=device)
            for of_ranks in self._opened
        ]
        torch.cuda.synchronize(device)

    @staticmethod
    def possible() -> bool:
        """Whether all of this machine's GPUs reach each other's memory: the same answer on every rank."""
        pairs = permutations(range(torch.cuda.device_count()), 2)
        return all(torch.cuda.can_device_access_peer(a, b) for a, b in pairs)

    @staticmethod
    def takes(sums: Tensor) -> bool:
        """Whether partial sums are few enough for this way."""
        return sums[0].numel() <= CAPACITY

    def add(self, sums: Tensor, hidden: Tensor) -> None:
        """Add the sum over splits and ranks of partial sums (splits, rows, outputs) to float32 (rows, outputs)."""
        parts, flags = self._addresses
        size = hidden.numel()
        add_over_peers[(triton.cdiv(size, BLOCK),)](
            sums, hidden, parts, flags, self._epochs, size, RANK=self._rank, RANKS=self._ranks,
            RANKS_PAD=triton.next_power_of_2(self._ranks), SPLITS=sums.shape[0], BLOCK=BLOCK, CAPACITY=CAPACITY,
            num_warps=4, **OVERLAPPED,
        )  # fmt: skip


def opened(tensor: Tensor, group: dist.ProcessGroup) -> list[Tensor]:
    """Every rank's tensor of this kind, by rank, where this rank's GPU reads and writes it. All ranks call it."""
    rank = dist.get_rank(group)
    handles: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(handles, reduce_tensor(tensor), group=group)
    # The seventh argument names the device on which memory is opened: its owner's, which is to be this rank's.
    return [
        tensor if at == rank else rebuild(*given[:6], tensor.device.index, *given[7:])
        for at, (rebuild, given) in enumerate(handles)
    ]
