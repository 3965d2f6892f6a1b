"""From settings to a core that can step: weights, device, caches. The first module to import torch."""

import logging

import torch

from reference_server.config import Settings
from reference_server.core import Core
from reference_server.instrumentation import Instrumentation
from reference_server.kv_cache import KVCache
from reference_server.model import Model
from reference_server.prefix_cache import PrefixCache
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
    limits = Limits(
        running=settings.max_running,
        kv_tokens=settings.kv_tokens or settings.max_running * served.longest,
        step_tokens=settings.step_tokens,
    )
    return Core(
        Model(shape, weights, context=served.longest, device=device, dtype=dtype),
        KVCache(shape, slots=limits.running, context=served.longest, device=device, dtype=dtype),
        PrefixCache(capacity_bytes=settings.cache_megabytes << 20, ttl_s=settings.cache_ttl_s),
        Scheduler(limits),
        served.alphabet,
        instrumentation,
    )
