"""From settings to a core that can step: weights, device, caches. The first module to import torch."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch

from reference_server.batch import BLOCK_TOKENS, Backend
from reference_server.block_pool import BlockPool, blocks_for
from reference_server.config import Settings
from reference_server.core import Core
from reference_server.cpu_backend import CpuBackend
from reference_server.grid import Place
from reference_server.instrumentation import Instrumentation
from reference_server.kv_cache import KVCache
from reference_server.model import Model
from reference_server.models.served_model import ServedModel
from reference_server.models.weights import Weights, random_weights, read_weights
from reference_server.policies import policy
from reference_server.scheduler import Limits, Scheduler
from reference_server.shards.backend import Group, ShardedBackend
from reference_server.shards.collectives import Collectives
from reference_server.shards.slicing import shard
from reference_server.small_model import SmallModel, is_small

logger = logging.getLogger(__name__)


def load_core(
    settings: Settings, served: ServedModel, instrumentation: Instrumentation, group: Group | None = None
) -> Core:
    """Everything a step needs, the backend in this process or over the ranks of a group.

    Raises:
        ConfigError: the weights cannot be read, or are of another shape.
    """
    load = partial(load_backend, settings, served)
    backend = load() if group is None else ShardedBackend(group, load)
    _, dtype = _device()
    shape = served.shape
    block_bytes = BLOCK_TOKENS * 2 * shape.layers * shape.kv_heads * shape.head_dim * dtype.itemsize
    cached = (settings.cache_megabytes << 20) // block_bytes
    scheduler = Scheduler(
        Limits(running=settings.max_running, step_tokens=settings.step_tokens),
        BlockPool(backend.blocks, cached=cached, ttl_s=settings.cache_ttl_s),
        policy(settings.scheduling, window_size=settings.window_size, window_s=settings.window_s),
    )
    return Core(backend, scheduler, shape.eos, instrumentation, itl_s=settings.itl_s)


def load_backend(
    settings: Settings,
    served: ServedModel,
    place: Place | None = None,
    collectives: Collectives | None = None,
) -> Backend:
    """The model on one device, or one rank's part of it: float32 on the CPU, bfloat16 on a GPU where there is one.

    Raises:
        ConfigError: the weights cannot be read, or are of another shape.
    """
    torch.set_num_threads(settings.torch_threads)
    if place is None:
        # Steps follow each other on one stream, and a context with one queue is made in a third of the time.
        os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "1")
    device, dtype = _device() if collectives is None else (collectives.device, _device()[1])
    source = served.weights or f"random seed={settings.seed}"
    logger.info("loading model=%s weights=%s device=%s dtype=%s", served.name, source, device, dtype)
    on_gpu = device.type == "cuda" and (place is None or place.grid.pipeline == 1)
    with _compiler_identified() if on_gpu else nullcontext():
        began_s = time.monotonic()
        shape, weights, context = served.shape, _weights(settings, served, device), served.longest
        logger.info("loaded weights seconds=%.2f", time.monotonic() - began_s)
        if place is not None:
            shape, weights = shard(shape, weights, place)
        blocks = blocks_for(settings.kv_tokens or settings.max_running * context)
        if on_gpu:
            from reference_server.gpu.backend import GpuBackend

            return GpuBackend(
                shape, weights, context=context, blocks=blocks, slots=settings.max_running, device=device, dtype=dtype,
                alphabet=served.alphabet, collectives=collectives, step_tokens=settings.step_tokens,
                lazy=settings.capture == "lazy",
            )  # fmt: skip
    cache = KVCache(shape, blocks=blocks, context=context, device=device, dtype=dtype)
    if device.type == "cpu" and place is None and is_small(weights):
        return CpuBackend(SmallModel(shape, weights, context=context), cache, served.alphabet)
    model = Model(shape, weights, context=context, device=device, dtype=dtype, collectives=collectives)
    return CpuBackend(model, cache, served.alphabet)


@contextmanager
def _compiler_identified() -> Iterator[None]:
    """What the first kernel would wait for, done beside the block."""
    from reference_server.gpu.kernel_cache import identify_compiler

    identifying = threading.Thread(target=identify_compiler, name="identify-compiler")
    identifying.start()
    try:
        yield
    finally:
        identifying.join()


def _weights(settings: Settings, served: ServedModel, device: torch.device) -> Weights:
    if served.weights is None:
        return random_weights(served.shape, settings.seed, device)
    return read_weights(served.weights, served.shape)


def _device() -> tuple[torch.device, torch.dtype]:
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16
    return torch.device("cpu"), torch.float32
