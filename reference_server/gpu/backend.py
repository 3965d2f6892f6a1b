"""The backend of one GPU: tokens stay on the device from one step to the next, the host follows one step behind."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS, BackendStatistics, Drawn, Piece
from reference_server.gpu.graphs import STEP_FIELDS, StepGraphs
from reference_server.gpu.model import Collectives, GpuModel, Rows, Weights
from reference_server.gpu.prompts import Prompts
from reference_server.gpu.sampling import draw, forbidden_tokens, nucleus
from reference_server.gpu.submitted import Submitted
from reference_server.gpu.warm_up import Reach, warm_up
from reference_server.models.shapes import Shape
from reference_server.sampler import Sampling

LAST_DRAWN = -1
NARROW_ROWS = 256
"""Steps of so many rows are replayed from graphs, prompts included: launching kernels one by one takes the host longer
than computing them takes the device."""
NARROW_READS = 1 << 17
"""Unless prompts read more positions, all rows together: in a graph each row reads its own, in FlashAttention they
share what they read."""
ONE_OFF_S = 60.0
"""What compiling a step's kernels may take, at most."""


class GpuBackend:
    """`Backend` on one GPU, or on one rank of a tensor-parallel group."""

    lookahead = 1
    shapes = False  # tokens are drawn on the device, from what its graphs hold

    def __init__(
        self,
        shape: Shape,
        weights: Weights,
        *,
        context: int,
        blocks: int,
        slots: int,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        alphabet: Iterable[int] | None = None,
        collectives: Collectives | None = None,
        step_tokens: int = 4096,
        lazy: bool = False,
        graphs: bool = True,
    ) -> None:
        """Weights, by their Hugging Face names and maybe in 8 bits, go to the device; blocks are allocated.

        `alphabet` are the tokens that may be drawn besides those that end a sequence, None for all; `collectives` are
        of the rank's group, whose part `shape` then is; a step has at most `step_tokens`; where it is `lazy`, nothing
        is prepared; without `graphs` every step is launched kernel by kernel.
        """
        self.blocks = blocks
        self.reach = Reach(slots=slots, step_tokens=step_tokens, context=context)
        self.model = GpuModel(
            shape, weights, context=context, blocks=blocks, slots=slots, device=device, dtype=dtype,
            collectives=collectives,
        )  # fmt: skip
        on_gpu, limit = device.type == "cuda", min(max(slots, NARROW_ROWS), self.reach.rows)
        self.graphs = StepGraphs(self._compute_narrow, limit, device, enabled=graphs and on_gpu)
        self.device = device
        self._lazy, self._prepared, self._slots, self._next = lazy, False, slots, [-1] * slots
        self._tables: NDArray[np.int32] = self.model.tables.cpu().numpy()
        self._forbidden = forbidden_tokens(shape.vocabulary, alphabet, shape.eos).to(device)
        self._encoded: dict[int, tuple[Sampling, tuple[int, int, int]]] = {}
        self._seen: set[tuple[int, ...]] = set()
        self._latest: Submitted | None = None
        rate = copy_rate(device) if on_gpu else None
        self.statistics = BackendStatistics(self.model.weight_bytes(), self.model.kv_bytes, rate)

    def submit(self, pieces: Sequence[Piece]) -> Drawn:
        """Compute a step after those submitted before; returns as soon as the device has its orders."""
        widths = [1 if piece.tokens is None else len(piece.tokens) for piece in pieces]
        narrow = self._narrow(pieces, widths)
        self.statistics.one_off_s = ONE_OFF_S if self._would_wait(widths, narrow=narrow) else 0.0
        step = self.compute(pieces, widths, narrow=narrow)
        self.statistics.one_off_s = 0.0
        self.statistics.graph_steps, self.statistics.eager_steps = self.graphs.replayed, self.graphs.eager
        return step

    def compute(
        self,
        pieces: Sequence[Piece],
        widths: Sequence[int],
        *,
        narrow: bool,
        layers: Sequence[int] | None = None,
    ) -> Submitted:
        """The step, as single rows or not; of these layers alone, where a wide one's result does not matter."""
        started = self._event()
        with torch.inference_mode():
            placed = [self._place(piece, width) for piece, width in zip(pieces, widths, strict=True)]
            if any(placed):
                self.model.tables.copy_(pinned(self._tables, self.device), non_blocking=True)
            drawn, wanted = (
                self._submit_narrow(pieces, widths) if narrow else self._submit_wide(pieces, widths, layers)
            )
            self._latest = self._copied(drawn, wanted, started)
        return self._latest

    def prepare(self) -> None:
        """Have every kernel and every graph that a step can need, so that none has to wait for one."""
        if not self._lazy:
            warm_up(self)
            self._prepared, self.graphs.replayed, self.graphs.eager = True, 0, 0

    def launch(self, step: NDArray[np.int32], layers: Sequence[int]) -> None:
        """Launch a narrow step of these layers kernel by kernel."""
        with torch.inference_mode():
            self._compute_narrow(torch.from_numpy(step).to(self.device), layers)

    def launch_nucleus(self) -> None:
        """Launch the draw that no graph holds, kernel by kernel too."""
        with torch.inference_mode():
            inputs = torch.from_numpy(self.empty_step(1)).to(self.device)
            logits = torch.zeros((2, 1, self._forbidden.shape[1]), device=self.device)
            self._draw(logits, [0.5], inputs[4:], inputs[1], inputs[3])

    @property
    def fewest_wide(self) -> int:
        """Rows of the smallest step that runs as pieces; of larger ones some do."""
        return max(2, min(self.graphs.limit, NARROW_READS // self.reach.context) + 1)

    def _narrow(self, pieces: Sequence[Piece], widths: Sequence[int]) -> bool:
        """Whether the step runs as single rows, from a graph where there is one."""
        reads = sum(
            width * (piece.start + width) for piece, width in zip(pieces, widths, strict=True) if width > 1
        )
        return sum(widths) <= self.graphs.limit and reads <= NARROW_READS

    def _would_wait(self, widths: Sequence[int], *, narrow: bool) -> bool:
        """Whether some kernel of the step may have to be compiled, or the step captured, first."""
        if narrow:
            return self.graphs.would_wait(self.graphs.padded(sum(widths)))
        if self._prepared:
            return False
        kind = (sum(widths).bit_length(), sum(width == 1 for width in widths).bit_length())
        new = kind not in self._seen
        self._seen.add(kind)
        return new

    def empty_step(self, rows: int) -> NDArray[np.int32]:
        """Rows that compute nothing anybody reads, each drawing for itself."""
        step = np.zeros((STEP_FIELDS, rows), dtype=np.int32)
        step[2:4], step[4] = self._slots, np.arange(rows)
        return step

    def _submit_narrow(self, pieces: Sequence[Piece], widths: Sequence[int]) -> tuple[Tensor, Sequence[int]]:
        """Every row on its own: those of a prompt read what the rows before them have just left in the blocks."""
        ends = np.cumsum(widths)
        step = self.empty_step(self.graphs.padded(int(ends[-1])))
        step[:3, : ends[-1]] = rows_of(pieces, widths)
        drawing = [i for i, piece in enumerate(pieces) if piece.sampling is not None]
        at = ends[drawing] - 1
        step[3, at] = step[2, at]
        step[5:, at] = np.array([self._encode(pieces[i]) for i in drawing], dtype=np.int32).reshape(-1, 4).T
        drawn, logits = self.graphs.run(step)
        top_ps = {int(row): top_p(pieces[i]) for row, i in zip(at, drawing, strict=True)}
        if min(top_ps.values(), default=1.0) < 1:
            inputs = torch.from_numpy(step).to(self.device)
            shares = [top_ps.get(row, 1.0) for row in range(step.shape[1])]
            drawn = self._draw(logits, shares, inputs[4:], inputs[1], inputs[3])
        return drawn, at.tolist()

    def _submit_wide(
        self, pieces: Sequence[Piece], widths: Sequence[int], layers: Sequence[int] | None
    ) -> tuple[Tensor, Sequence[int]]:
        order = sorted(range(len(pieces)), key=lambda i: widths[i] > 1)
        ordered, its_widths = [pieces[i] for i in order], [widths[i] for i in order]
        last_row = dict(zip(order, (np.cumsum(its_widths) - 1).tolist(), strict=True))
        single = its_widths.count(1)
        spans = [
            (piece.start, piece.start + len(piece.tokens or ()), piece.blocks) for piece in ordered[single:]
        ]
        of_rows = torch.from_numpy(rows_of(ordered, its_widths)).to(self.device)
        drawing = [i for i, piece in enumerate(pieces) if piece.sampling is not None]
        rows = Rows(of_rows[0], of_rows[1], of_rows[2], single, Prompts.of(spans, self.device))
        # A step whose prompts all go on draws nothing; one row's logits keep every launch of the usual form.
        wanted = torch.tensor([last_row[i] for i in drawing] or [0], device=self.device)
        logits = self.model.logits(rows, wanted, layers)
        self.graphs.eager += 1
        if not drawing:
            return self.model.last[:0], ()
        draws = torch.tensor(
            [(last_row[i], *self._encode(pieces[i])) for i in drawing], dtype=torch.int32, device=self.device
        ).t()
        shares = [top_p(pieces[i]) for i in drawing]
        drawn = self._draw(logits, shares, draws.contiguous(), rows.positions, rows.slots)
        return drawn, range(len(drawing))

    def _compute_narrow(self, step: Tensor, layers: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        logits = self.model.logits(Rows(step[0], step[1], step[2], step.shape[1]), None, layers)
        return draw(logits, step[4:], step[1], step[3], self._forbidden, self.model.last), logits

    def _draw(
        self, logits: Tensor, shares: Sequence[float], draws: Tensor, positions: Tensor, slots: Tensor
    ) -> Tensor:
        """Draw from nuclei of these shares of the probability."""
        if min(shares) < 1:
            barred = self._forbidden[draws[4].long()].bool()
            top_ps = torch.tensor(shares, dtype=torch.float32, device=self.device)
            logits = nucleus(
                logits.float().sum(dim=0), draws[3].view(torch.float32), top_ps, barred
            ).unsqueeze(0)
        return draw(logits, draws, positions, slots, self._forbidden, self.model.last)

    def _place(self, piece: Piece, width: int) -> bool:
        """Bring the slot's block table up to date; whether anything in it changed."""
        slot, start = piece.slot, piece.start
        goes_on, self._next[slot] = piece.tokens is None and start == self._next[slot], start + width
        if goes_on and start % BLOCK_TOKENS:
            return False
        used = -(-(start + width) // BLOCK_TOKENS)
        first = used - 1 if goes_on else 0
        self._tables[slot, first:used] = piece.blocks[first:used]
        return True

    def _encode(self, piece: Piece) -> tuple[int, int, int, int]:
        """Seed, temperature and line of `forbidden`, as 32-bit integers."""
        if piece.sampling is None:
            return 0, 0, 0, 0
        known = self._encoded.get(piece.slot)
        if known is None or known[0] is not piece.sampling:
            low, high = np.array([piece.sampling.seed % (1 << 64)], dtype=np.uint64).view(np.int32).tolist()
            known = piece.sampling, (low, high, int(np.float32(piece.sampling.temperature).view(np.int32)))
            self._encoded[piece.slot] = known
        return *known[1], int(piece.ignore_eos)

    def _copied(self, drawn: Tensor, wanted: Sequence[int], started: Any) -> Submitted:
        if started is None:
            return Submitted(drawn.clone(), wanted)
        host = torch.empty(drawn.shape, dtype=drawn.dtype, pin_memory=True)
        host.copy_(drawn, non_blocking=True)
        before = None if self._latest is None or self._latest.read else self._latest
        return Submitted(host, wanted, started, self._event(), before, self.statistics)

    def _event(self) -> Any:
        if self.device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def rows_of(pieces: Sequence[Piece], widths: Sequence[int]) -> NDArray[np.int32]:
    """Token, position and slot of each row of the pieces, one piece after the other, (3, rows)."""
    before = np.cumsum(widths) - widths
    starts = np.array([piece.start for piece in pieces]) - before
    return np.array(
        [
            [token for piece in pieces for token in piece.tokens or (LAST_DRAWN,)],
            np.repeat(starts, widths) + np.arange(sum(widths)),
            np.repeat([piece.slot for piece in pieces], widths),
        ],
        dtype=np.int32,
    )


def top_p(piece: Piece) -> float:
    """The share of the probability that it draws from."""
    return 1.0 if piece.sampling is None else piece.sampling.top_p


def copy_rate(device: torch.device, size: int = 1 << 29) -> float:
    """Bytes read and written in a second by a copy on the device; the best of five."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times: list[float] = []
    for _ in range(5):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return 2 * size / min(times)


def pinned(array: NDArray[np.int32], device: torch.device) -> Tensor:
    """A copy in memory that the device can read while the host goes on."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory() if device.type == "cuda" else tensor.clone()
