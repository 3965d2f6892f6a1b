"""How the model is spread over devices, and how they are made ready."""

import os
from dataclasses import dataclass
from typing import Annotated

from reference_server.grid import Grid
from reference_server.settings.setting import COUNT, Setting, one_of


@dataclass(frozen=True)
class DeviceSettings:
    """Ranks, kernels and threads."""

    tensor_parallel: Annotated[
        int,
        Setting(
            "DS_TENSOR_PARALLEL",
            COUNT,
            "ranks that share every layer, a process and a device each; divides KV heads and feed-forward width",
        ),
    ] = 1
    pipeline_parallel: Annotated[
        int,
        Setting("DS_PIPELINE_PARALLEL", COUNT, "stages of layers, one after the other, each of such ranks"),
    ] = 1
    capture: Annotated[
        str,
        Setting(
            "DS_CAPTURE",
            one_of("lazy", "start"),
            "when kernels are compiled and CUDA graphs made. start: all that a request can need, before the replica "
            "is ready; lazy: each once steps need it, so that a replica is ready early and its first requests wait",
        ),
    ] = "start"
    torch_threads: Annotated[
        int,
        Setting(
            "DS_TORCH_THREADS",
            COUNT,
            "threads of one CPU operation, and of each rank; replicas that share a machine are better off with 1",
        ),
    ] = min(2, os.cpu_count() or 1)

    @property
    def grid(self) -> Grid:
        """How the model is spread over ranks."""
        return Grid(self.tensor_parallel, self.pipeline_parallel)
