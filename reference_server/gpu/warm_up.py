"""Before a replica is ready: every kernel that a step can need is loaded, every graph captured, every size run once.

What a step can need is read off the functions that launch it. A narrow step is one of the graphs' sizes, and each is
launched. A wide one is launched as its numbers of rows say, of all rows, of those that are alone in their piece and of
those that draw: here is a step for every form that these numbers can lead to.
"""

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch

from reference_server.batch import BLOCK_TOKENS, Piece
from reference_server.gpu import kernels, linear, one_row, peer_sums, sampling
from reference_server.gpu.graphs import graph_sizes
from reference_server.gpu.kernel_cache import folder, held, key_of, made_once
from reference_server.sampler import Sampling

if TYPE_CHECKING:
    from reference_server.gpu.backend import GpuBackend
    from reference_server.gpu.model import GpuModel

KERNELS = [kernels, linear, one_row, peer_sums, sampling]
"""Modules of all kernels."""
NUCLEUS = Sampling(seed=0, temperature=1.0, top_p=0.5)
LIKELIEST = Sampling(seed=0, temperature=0.0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which steps requests can bring about."""

    slots: int
    """Most pieces."""
    step_tokens: int
    context: int
    """Most positions of a piece."""

    @property
    def rows(self) -> int:
        """Most rows of a step."""
        return min(self.step_tokens, self.slots * self.context)

    def spread(self, rows: int, beside: int = 0) -> tuple[int, ...]:
        """So many rows as pieces, as few as hold them, in slots that `beside` others leave; as many rows as fit."""
        slots = self.slots - beside
        rows = min(rows, slots * self.context)
        pieces = -(-rows // self.context)
        return tuple(rows // pieces + (i < rows % pieces) for i in range(pieces))


@dataclass(frozen=True, slots=True)
class Step:
    """A step as pieces: the rows of each, and how many of them draw."""

    widths: tuple[int, ...]
    drawing: int


def wide_steps(model: "GpuModel", reach: Reach, fewest: int) -> list[Step]:
    """A step for every form that one of at least so many rows can have."""
    if fewest > reach.rows:
        return []
    steps = [Step(reach.spread(rows), 1) for rows in _firsts(model.form, range(fewest, reach.rows + 1))]
    for single in _firsts(lambda count: model.drawing_form(count, count + 1), range(reach.slots)):
        prompts = reach.spread(max(2, fewest - single), beside=single)
        steps.append(Step((1,) * single + prompts, single + 1))
    return steps


def _firsts(form: Callable[[int], Hashable], counts: Iterable[int]) -> list[int]:
    """The first count of each form."""
    first: dict[Hashable, int] = {}
    for count in counts:
        first.setdefault(form(count), count)
    return list(first.values())


def warm_up(backend: "GpuBackend") -> None:
    """Launch, capture and run what steps can need, on a backend that no request has reached."""
    model, reach, sizes = backend.model, backend.reach, graph_sizes(backend.graphs.limit)
    wide = wide_steps(model, reach, backend.fewest_wide)
    with _stage("kernels", f"sizes={sizes[0]}-{sizes[-1]} wide={len(wide)}"), _compiling(backend):
        with _libraries_loaded(backend, sizes[-1]):
            for rows in sizes:
                backend.launch(backend.empty_step(rows), model.kinds)
        backend.launch_nucleus()
        for step, sampling in product(wide, (LIKELIEST, NUCLEUS)):
            pieces = _pieces(step, sampling, backend.blocks)
            backend.compute(pieces, step.widths, narrow=False, layers=model.kinds)
        _wait(backend)
    with _stage("graphs", f"sizes={len(sizes)}"), torch.inference_mode():
        # The largest first: the others find room in its memory.
        for rows in reversed(sizes):
            backend.graphs.prepare(backend.empty_step(rows))
        _wait(backend)
    with _stage("steps", f"sizes={len(sizes)}"):
        for rows in sizes:
            step = Step(reach.spread(rows), 1)
            backend.compute(_pieces(step, NUCLEUS, backend.blocks), step.widths, narrow=True).tokens()


@contextmanager
def _libraries_loaded(backend: "GpuBackend", rows: int) -> Iterator[None]:
    """Beside the block: torch's kernels for sorting and multiplying, which wait for the driver; ours, for Python.

    Triton's own are left to the block: it compiles and launches on one thread.
    """
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(_sort, backend), pool.submit(_multiply, backend, rows)]
        yield
        for load in loads:
            load.result()


@torch.inference_mode()
def _sort(backend: "GpuBackend") -> None:
    logits = torch.ones((1, backend.model.shape.vocabulary), device=backend.device)
    sampling.nucleus(logits, logits[:, 0], logits[:, 0] / 2, logits == 0)


@torch.inference_mode()
def _multiply(backend: "GpuBackend", rows: int) -> None:
    for matrix in (*backend.model.matrices, backend.model.head):
        if matrix.scales is None and matrix.tiling(rows) is None:
            inputs = matrix.values.shape[1]
            matrix.sums(torch.ones((rows, inputs), dtype=matrix.dtype, device=backend.device))


@contextmanager
def _compiling(backend: "GpuBackend") -> Iterator[None]:
    """By one process of the machine at a time, except for ranks, which wait for each other within a step."""
    what = repr((backend.model.shape, backend.reach, backend.model.kinds, backend.graphs.limit))
    alone = backend.model.alone and backend.device.type == "cuda"
    with made_once(key_of(what, backend.device), folder()) if alone else nullcontext():
        yield


@contextmanager
def _stage(name: str, what: str) -> Iterator[None]:
    began_s = time.monotonic()
    logger.info("warming %s %s", name, what)
    yield
    took_s = time.monotonic() - began_s
    logger.info("warming %s kernels=%d seconds=%.2f", name, held(KERNELS), took_s)


def _pieces(step: Step, sampling: Sampling, blocks: int) -> Sequence[Piece]:
    """Beginnings of prompts; they may share blocks, since nobody reads what they leave."""
    pieces = []
    for slot, width in enumerate(step.widths):
        table = [i % blocks for i in range(-(-width // BLOCK_TOKENS))]
        pieces.append(Piece(slot, 0, (0,) * width, table, sampling if slot < step.drawing else None))
    return pieces


def _wait(backend: "GpuBackend") -> None:
    if backend.device.type == "cuda":
        torch.cuda.synchronize(backend.device)
