"""A step of few rows as one CUDA graph per padded number of them, captured ahead or once that number is common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEP_FIELDS = 9
"""Lines of a step's input: token, position, slot, the slot that keeps the draw; then the five of `sampling.draw`."""
PATIENCE = 3
"""Steps of one size that are computed kernel by kernel before it is captured."""

Compute = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From int32 (STEP_FIELDS, rows) on the device to (tokens drawn, logits as partial sums)."""


@dataclass(slots=True)
class _Size:
    """What one padded number of rows keeps: inputs that do not move, and the graph with its outputs."""

    inputs: Tensor
    uses: int = 0
    graph: torch.cuda.CUDAGraph | None = None
    outputs: tuple[Tensor, Tensor] | None = None


@dataclass(slots=True)
class StepGraphs:
    """Runs steps of few rows: by replay where their size is prepared, kernel by kernel at first where it is not."""

    compute: Compute
    limit: int
    """Most rows of a step."""
    device: torch.device
    enabled: bool = True
    replayed: int = 0
    eager: int = 0
    _sizes: dict[int, _Size] = field(default_factory=dict)
    _pool: Any = None
    _stream: Any = None

    def padded(self, rows: int) -> int:
        """The number of rows that a step of so many is filled up to."""
        return next(size for size in graph_sizes(self.limit) if size >= rows)

    def run(self, step: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """Compute a step of padded size, (STEP_FIELDS, rows)."""
        size = self._staged(step)
        size.uses += 1
        if self.enabled and size.graph is None and size.uses > PATIENCE:
            self._capture(size)
        if size.graph is None or size.outputs is None:
            self.eager += 1
            return self.compute(size.inputs)
        self.replayed += 1
        size.graph.replay()
        return size.outputs

    def prepare(self, step: NDArray[np.int32]) -> None:
        """Capture this step's size, whose kernels were all launched before, and replay it: the first time is slow."""
        size = self._staged(step)
        if self.enabled and size.graph is None:
            self._capture(size)
        if size.graph is not None:
            size.graph.replay()

    def _staged(self, step: NDArray[np.int32]) -> _Size:
        """The step's size, with its inputs on their way to the device."""
        rows = step.shape[1]
        size = self._sizes.get(rows)
        if size is None:
            size = self._sizes[rows] = _Size(torch.empty(step.shape, dtype=torch.int32, device=self.device))
        staged = torch.from_numpy(step)
        size.inputs.copy_(staged.pin_memory() if self.enabled else staged, non_blocking=True)
        return size

    def would_wait(self, rows: int) -> bool:
        """Whether a step of this padded size may wait for a compilation or a capture."""
        size = self._sizes.get(rows)
        return size is None or (self.enabled and size.graph is None and size.uses >= PATIENCE)

    @property
    def captured(self) -> Sequence[int]:
        """The sizes that are replayed."""
        return [rows for rows, size in self._sizes.items() if size.graph is not None]

    def _capture(self, size: _Size) -> None:
        if self._pool is None:
            self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(self.device)
            # What is free belongs to no graph. Once: torch.cuda.graph does it each time, and the host's memory with it.
            torch.cuda.empty_cache()
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream):
            # Other threads of this process may use CUDA meanwhile; one memory pool, since graphs never run together.
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                outputs = self.compute(size.inputs)
            finally:
                graph.capture_end()
        size.graph, size.outputs = graph, outputs


def graph_sizes(limit: int) -> list[int]:
    """Padded numbers of rows up to the limit: 1, 2, 4, 8, 16, 24, 32, and then every sixteenth."""
    sizes = [1, 2, 4, 8, 16, 24, *range(32, limit + 1, 16)]
    return [size for size in sizes if size < limit] + [limit]
