"""Sums over the memory of several GPUs: the same bits on every rank, whatever their size, and inside graphs."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

if TYPE_CHECKING:
    from reference_server.gpu.peer_sums import PeerSums

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two GPUs of one host are expected"),
]
WIDTH = 4096
IN_A_ROW = 65
"""Sums of one graph: an odd number, so that each replay begins at the other place of every piece."""


def test_sums_are_those_of_nccl_and_the_same_bits_on_every_rank(tmp_path: Path) -> None:
    ranks = torch.cuda.device_count()
    spawn(compare, (ranks, str(tmp_path / "ranks")), nprocs=ranks)  # type: ignore[no-untyped-call]


def compare(rank: int, ranks: int, meeting: str) -> None:
    from reference_server.gpu.peer_sums import PeerSums

    torch.cuda.set_device(rank)
    device = torch.device("cuda", rank)
    dist.init_process_group("nccl", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    assert dist.group.WORLD is not None
    peers = PeerSums(dist.group.WORLD, device)
    torch.manual_seed(rank)
    for turn in range(120):
        rows, splits = [(1, 1), (1, 4), (32, 2), (3, 1), (17, 8), (64, 1)][turn % 6]
        sums = torch.randn(splits, rows, WIDTH, device=device)
        sums = sums.bfloat16() if turn % 7 == 3 else sums
        exact = sums.double().sum(dim=0)
        dist.all_reduce(exact)
        added = torch.zeros(rows, WIDTH, device=device)
        peers.add(sums, added)
        torch.testing.assert_close(added.double(), exact, rtol=1e-5, atol=1e-5)
        others = [torch.empty_like(added) for _ in range(ranks)]
        dist.all_gather(others, added)
        assert all(torch.equal(added, other) for other in others)
    chained(peers, rank, ranks, device)
    dist.destroy_process_group()


def chained(peers: "PeerSums", rank: int, ranks: int, device: torch.device) -> None:
    """A mean of means stays where it is, after thousands of sums of which none waits for the host."""
    mine = torch.full((1, 1, WIDTH), rank + 1.0, device=device)

    def means() -> torch.Tensor:
        here = mine
        for _ in range(IN_A_ROW):
            total = torch.zeros(1, WIDTH, device=device)
            peers.add(here / ranks, total)
            here = total.unsqueeze(0)
        return here

    means()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        last = means()
    for _ in range(50):
        graph.replay()
    torch.cuda.synchronize()
    assert torch.allclose(last, torch.full_like(last, (ranks + 1) / 2))
