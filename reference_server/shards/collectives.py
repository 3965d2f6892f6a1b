"""What ranks say to each other within a step, each exchange timed: sums and gathers over lanes, rows between stages.

NCCL between GPUs, small sums by a kernel of our own; gloo between CPUs. On the CPU an exchange is timed by the clock;
on a GPU by a pair of events, which nothing waits for and which are read once they are past. Inside a CUDA graph there
is nothing to time, so `probe` makes the last sum's like outside of one, between steps. Receiving includes waiting for
the sender.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from os import environ
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.grid import Place

if TYPE_CHECKING:  # brings triton, which is there only beside a GPU
    from reference_server.gpu.peer_sums import PeerSums

TIMEOUT_S = 20.0
"""A collective that lasts longer fails its rank: the backstop behind the parent, which notices a loss within 2 s."""

logger = logging.getLogger(__name__)


class Timing(NamedTuple):
    """One exchange that took place."""

    op: str
    peer: str
    """The other rank, or the ranks that took part."""
    seconds: float


class Collectives:
    """One rank's exchanges. Used by one thread at a time."""

    def __init__(self, place: Place, meeting: str) -> None:
        """Join the group that meets at the file `meeting`; returns once all ranks did.

        Raises:
            ConfigError: there are GPUs, but fewer than ranks.
        """
        self._place, self.device = place, _device(place)
        # One host: ranks meet on the loopback, whatever the host's name resolves to.
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            environ.setdefault(variable, "lo" if sys.platform == "linux" else "lo0")
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.set_device(self.device)
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            init_method=f"file://{meeting}",
            rank=place.rank,
            world_size=place.grid.ranks,
            timeout=timedelta(seconds=TIMEOUT_S),
        )
        lanes = place.grid.tensor
        groups = [
            dist.new_group(list(range(first, first + lanes))) for first in range(0, place.grid.ranks, lanes)
        ]
        self._lanes, first = groups[place.stage], place.stage * lanes
        self._lanes_name = f"rank{first}-{first + lanes - 1}"
        self._peers = _peer_sums(self._lanes, self.device) if cuda and lanes > 1 else None
        self.probe_every = 64
        self._steps = 0
        self._again: Callable[[], object] | None = None
        """One more sum like the last one."""
        self._timings: deque[Timing] = deque()
        self._under_way: deque[tuple[str, str, torch.cuda.Event, torch.cuda.Event]] = deque()

    def sum(self, part: Tensor) -> Tensor:
        """The sum of all lanes' parts, in place."""
        if self._place.grid.tensor > 1:
            self._again = partial(self._sum_of_zeros, part.shape, part.dtype)
            with self._timed("all_reduce", self._lanes_name):
                dist.all_reduce(part, group=self._lanes)
        return part

    def add_sums(self, sums: Tensor, hidden: Tensor) -> None:
        """Add the sum over splits and lanes of partial sums (splits, rows, outputs) to float32 (rows, outputs)."""
        if self._peers is not None and self._peers.takes(sums):
            self._again = partial(self._added_zeros, sums.shape, sums.dtype)
            with self._timed("all_reduce", self._lanes_name):
                self._peers.add(sums, hidden)
        else:
            hidden += self.sum(sums[0] if sums.shape[0] == 1 else sums.sum(dim=0))

    def gather(self, logits: Tensor, width: int) -> Tensor:
        """The lanes' columns side by side, `width` together; logits that have them all come back as they are."""
        if logits.shape[-1] == width:
            return logits
        if not logits.shape[0]:
            return logits.new_empty((0, width))
        lanes = self._place.grid.tensor
        parts = logits.new_empty((lanes, *logits.shape))
        with self._timed("all_gather", self._lanes_name):
            dist.all_gather(list(parts), logits.contiguous(), group=self._lanes)
        return parts.transpose(0, 1).reshape(logits.shape[0], width)

    def receive(self, rows: Tensor) -> Tensor:
        """Fill the rows with those of the same lane of the stage before."""
        peer = self._place.rank - self._place.grid.tensor
        with self._timed("recv", f"rank{peer}"):
            dist.recv(rows, peer)
        return rows

    def send(self, rows: Tensor) -> None:
        """Hand the rows to the same lane of the next stage."""
        peer = self._place.rank + self._place.grid.tensor
        with self._timed("send", f"rank{peer}"):
            dist.send(rows.contiguous(), peer)

    def probe(self) -> None:
        """After a step: every `probe_every`-th time, on a GPU, one more sum of the last one's size, to be timed.

        All lanes compute the same steps, so all of them make it at the same place among their exchanges.
        """
        self._steps += 1
        if self._again is not None and self.device.type == "cuda" and self._steps % self.probe_every == 0:
            self._again()

    def _sum_of_zeros(self, size: torch.Size, dtype: torch.dtype) -> None:
        self.sum(torch.zeros(size, dtype=dtype, device=self.device))

    def _added_zeros(self, size: torch.Size, dtype: torch.dtype) -> None:
        zeros = torch.zeros(size, dtype=dtype, device=self.device)
        self.add_sums(zeros, torch.zeros(size[1:], device=self.device))

    def note(self, timing: Timing) -> None:
        """Add an exchange that was timed elsewhere."""
        self._timings.append(timing)

    def timings(self) -> list[Timing]:
        """What was timed since the last call; never waits."""
        while self._under_way and self._under_way[0][3].query():  # type: ignore[no-untyped-call]
            op, peer, begin, end = self._under_way.popleft()
            self._timings.append(Timing(op, peer, begin.elapsed_time(end) / 1000))
        taken = list(self._timings)
        self._timings.clear()
        return taken

    @contextmanager
    def _timed(self, op: str, peer: str) -> Iterator[None]:
        if self.device.type != "cuda":
            began_s = time.perf_counter()
            yield
            self._timings.append(Timing(op, peer, time.perf_counter() - began_s))
        elif torch.cuda.is_current_stream_capturing():
            yield
        else:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            yield
            end.record()
            self._under_way.append((op, peer, begin, end))


def _peer_sums(group: dist.ProcessGroup, device: torch.device) -> "PeerSums | None":
    """None, on every rank, where GPUs do not reach each other's memory: then all sums are NCCL's."""
    from reference_server.gpu.peer_sums import PeerSums

    if PeerSums.possible():
        return PeerSums(group, device)
    logger.warning("GPUs do not reach each other's memory: every sum goes through NCCL")
    return None


def _device(place: Place) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if place.grid.ranks > torch.cuda.device_count():
        raise ConfigError(
            f"DS_TENSOR_PARALLEL, DS_PIPELINE_PARALLEL: at most one rank per GPU ({torch.cuda.device_count()}) "
            f"is expected, not {place.grid.ranks}"
        )
    return torch.device("cuda", place.rank)
