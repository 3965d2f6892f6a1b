"""From settings to a core that can step: weights, device, caches. The first module to import torch."""

import logging

import torch

from reference_server.batch import BLOCK_TOKENS
from reference_server.block_pool import BlockPool, blocks_for
from reference_server.config import Settings
from reference_server.core import Core
from reference_server.cpu_backend import CpuBackend
from reference_server.instrumentation import Instrumentation
from reference_server.kv_cache import KVCache
from reference_server.model import Model
from reference_server.policies import Continuous
from reference_server.scheduler import Limits, Scheduler
from reference_server.served_model import ServedModel
from reference_server.weights import random_weights, read_weights

logger = logging.getLogger(__name__)


def load_core(settings: Settings, served: ServedModel, instrumentation: Instrumentation) -> Core:
    """Everything a step needs: float32 on the CPU, bfloat16 on a GPU where there is one.

    Raises:
        ConfigError: the weights cannot be read, or are of another shape.
    """
    torch.set_num_threads(settings.torch_threads)
    cuda = torch.cuda.is_available()
    device, dtype = (torch.device("cuda"), torch.bfloat16) if cuda else (torch.device("cpu"), torch.float32)
    source = served.weights or f"random seed={settings.seed}"
    logger.info("loading model=%s weights=%s device=%s dtype=%s", served.name, source, device, dtype)
    shape = served.shape
    weights = (
        random_weights(shape, settings.seed)
        if served.weights is None
        else read_weights(served.weights, shape)
    )
    blocks = blocks_for(settings.kv_tokens or settings.max_running * served.longest)
    block_bytes = BLOCK_TOKENS * 2 * shape.layers * shape.kv_heads * shape.head_dim * dtype.itemsize
    cached = (settings.cache_megabytes << 20) // block_bytes
    model = Model(shape, weights, context=served.longest, device=device, dtype=dtype)
    cache = KVCache(shape, blocks=blocks, context=served.longest, device=device, dtype=dtype)
    scheduler = Scheduler(
        Limits(running=settings.max_running, step_tokens=settings.step_tokens),
        BlockPool(blocks, cached=cached, ttl_s=settings.cache_ttl_s),
        Continuous(),
    )
    return Core(CpuBackend(model, cache, served.alphabet), scheduler, shape.eos, instrumentation)
