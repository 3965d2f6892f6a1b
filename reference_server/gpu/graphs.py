"""A step of single tokens as one CUDA graph per padded number of rows, captured once that number has proved common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEP_FIELDS = 8
"""Lines of a step's input: token, position, slot; then the five of `gpu_sampling.draw`."""
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
    """Runs decode steps: kernel by kernel at first, so that no request waits for a capture; later by replay."""

    compute: Compute
    limit: int
    """Most rows of a step."""
    device: torch.device
    enabled: bool = True
    replayed: int = 0
    eager: int = 0
    _sizes: dict[int, _Size] = field(default_factory=dict)
    _pool: Any = None

    def padded(self, rows: int) -> int:
        """The number of rows that a step of so many is filled up to."""
        return next(size for size in graph_sizes(self.limit) if size >= rows)

    def run(self, step: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """Compute a step of padded size, (STEP_FIELDS, rows)."""
        rows = step.shape[1]
        size = self._sizes.get(rows)
        if size is None:
            size = self._sizes[rows] = _Size(torch.empty(step.shape, dtype=torch.int32, device=self.device))
        staged = torch.from_numpy(step)
        size.inputs.copy_(staged.pin_memory() if self.enabled else staged, non_blocking=True)
        size.uses += 1
        if self.enabled and size.graph is None and size.uses > PATIENCE:
            self._capture(size)
        if size.graph is None or size.outputs is None:
            self.eager += 1
            return self.compute(size.inputs)
        self.replayed += 1
        size.graph.replay()
        return size.outputs

    def would_wait(self, rows: int) -> bool:
        """Whether a step of this padded size may wait for a compilation or a capture."""
        size = self._sizes.get(rows)
        return size is None or (self.enabled and size.graph is None and size.uses >= PATIENCE)

    @property
    def captured(self) -> Sequence[int]:
        """The sizes that are replayed."""
        return [rows for rows, size in self._sizes.items() if size.graph is not None]

    def _capture(self, size: _Size) -> None:
        graph = torch.cuda.CUDAGraph()
        # Other threads of this process may use CUDA meanwhile; one memory pool, since graphs never run together.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = self.compute(size.inputs)
        self._pool = graph.pool()
        size.graph, size.outputs = graph, outputs


def graph_sizes(limit: int) -> list[int]:
    """Padded numbers of rows up to the limit: 1, 2, 4, 8, 16, 24, 32, and then every sixteenth."""
    sizes = [1, 2, 4, 8, 16, 24, *range(32, limit + 1, 16)]
    return [size for size in sizes if size < limit] + [limit]
