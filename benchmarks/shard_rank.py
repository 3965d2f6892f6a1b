"""One rank of the shards' benchmark: random weights made where they are used, and what a sum takes inside a graph."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reference_server.batch import BLOCK_TOKENS, Backend
from reference_server.grid import Place
from reference_server.models.shapes import Shape

if TYPE_CHECKING:  # the parent, which never computes, names the function below without importing torch
    import torch
    from torch import Tensor

    from reference_server.shards.collectives import Collectives

GRAPHED_SUM, GRAPHED_NCCL_SUM = "graphed all_reduce", "graphed NCCL all_reduce"
"""No operations of a step: one of a row of sums inside a graph, by batch size, timed when the rank loads; as a step
makes it, and as NCCL makes it."""
_SUMS = 64
_REPLAYS = 20


@dataclass(frozen=True, slots=True)
class Cut:
    """What is loaded: a model's shape and room for `slots` sequences of `context` tokens."""

    shape: Shape
    context: int
    slots: int
    batches: tuple[int, ...] = ()
    seed: int | None = None
    """Of weights that are the same whatever the number of ranks; None makes them fast, each rank its own."""

    @property
    def blocks_each(self) -> int:
        """KV blocks of one sequence."""
        return -(-self.context // BLOCK_TOKENS)


def load_random(cut: Cut, place: Place, collectives: "Collectives") -> Backend:
    """This rank's part of a model with random weights: bfloat16 on a GPU, float32 on a CPU."""
    import torch

    from reference_server.models.weights import random_weights
    from reference_server.shards.slicing import shard, shard_shape

    torch.manual_seed(place.rank)
    collectives.probe_every = 4
    device, lanes = collectives.device, place.grid.tensor
    shape = shard_shape(cut.shape, lanes)
    if cut.seed is None:
        weights = random_shard(cut.shape, lanes, device)
    else:
        shape, weights = shard(cut.shape, random_weights(cut.shape, cut.seed), place)
    blocks = cut.slots * cut.blocks_each
    alone = None if place.grid.ranks == 1 else collectives
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    if device.type == "cuda" and place.grid.pipeline == 1:
        from reference_server.gpu.backend import GpuBackend

        for batch in cut.batches if alone else ():
            note_graphed_sums(collectives, batch, cut.shape.hidden)
        return GpuBackend(
            shape, weights, context=cut.context, blocks=blocks, slots=cut.slots, device=device,
            dtype=dtype, collectives=alone, lazy=True,  # what is timed here is repeated until it is warm
        )  # fmt: skip
    from reference_server.cpu_backend import CpuBackend
    from reference_server.kv_cache import KVCache
    from reference_server.model import Model

    torch.set_num_threads(1)
    context = cut.context
    model = Model(shape, weights, context=context, device=device, dtype=dtype, collectives=alone)
    cache = KVCache(shape, blocks=blocks, context=context, device=device, dtype=dtype)
    return CpuBackend(model, cache, range(shape.vocabulary))


def random_shard(shape: Shape, lanes: int, device: "torch.device") -> dict[str, "Tensor"]:
    """Weights of the sizes that one of so many lanes holds, of the spread that `random_weights` has."""
    import torch

    from reference_server.models.weights import HEAD, tensor_sizes
    from reference_server.shards.slicing import shard_shape

    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    sizes = tensor_sizes(shard_shape(shape, lanes))
    if shape.vocabulary % lanes == 0:
        sizes[HEAD] = (shape.vocabulary // lanes, shape.hidden)
    weights = {}
    for name, size in sizes.items():
        weight = torch.empty(size, dtype=dtype, device=device)
        weights[name] = weight.fill_(1) if len(size) == 1 else weight.normal_(std=size[1] ** -0.5)
    return weights


def note_graphed_sums(collectives: "Collectives", rows: int, hidden: int) -> None:
    """Time a sum of this size as a step makes it and as NCCL makes it; all ranks together."""
    import torch

    from reference_server.shards.collectives import Timing

    parts = torch.zeros((2, 1, rows, hidden), device=collectives.device)
    for op, one in (
        (GRAPHED_SUM, partial(collectives.add_sums, parts[0], parts[1, 0])),
        (GRAPHED_NCCL_SUM, partial(collectives.sum, parts[0, 0])),
    ):
        collectives.note(Timing(op, str(rows), time_graphed(one)))


def time_graphed(one: Callable[[], object]) -> float:
    """Seconds of one of many in a row where nothing is launched: all ranks replay the same graph."""
    import torch

    one()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        for _ in range(_SUMS):
            one()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    graph.replay()
    begin.record()
    for _ in range(_REPLAYS):
        graph.replay()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000 / (_SUMS * _REPLAYS)
