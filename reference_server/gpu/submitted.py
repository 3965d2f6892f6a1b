"""A step on its way through the device, and what the host learns of it when it reads the tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from reference_server.batch import BackendStatistics
from reference_server.shaping import NO_LOGPROBS, TokenLogprobs


@dataclass(slots=True)
class Submitted:
    """A step on its way: its tokens, as they come to the host."""

    host: Tensor
    wanted: Sequence[int]
    started: Any = None
    ended: Any = None
    before: "Submitted | None" = None
    """The step before, if the host had not read it yet when this one was submitted."""
    statistics: BackendStatistics | None = None
    read: bool = False

    @property
    def logprobs(self) -> Mapping[int, TokenLogprobs]:
        """None: such draws are not made here."""
        return NO_LOGPROBS

    def tokens(self) -> list[int]:
        """One per piece that draws, in their order; waits for them."""
        if self.ended is not None:
            self.ended.synchronize()
            self._add_idle_time()
        self.read = True
        tokens: list[int] = self.host.tolist()
        return [tokens[i] for i in self.wanted]

    def _add_idle_time(self) -> None:
        before, self.before = self.before, None
        if before is not None and before.ended is not None and self.statistics is not None:
            idle_s = before.ended.elapsed_time(self.started) / 1000
            self.statistics.idle_s = (self.statistics.idle_s or 0.0) + max(0.0, idle_s)
