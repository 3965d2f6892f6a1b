"""What can be said of a run while it goes on: rows as they end, for the gate before injection and the display."""

from collections import deque
from collections.abc import Callable

from chaos.load import Load
from chaos.measuring.quantiles import quantile
from chaos.measuring.slis import samples
from chaos.progress import Progress
from chaos.targets import Target
from loadtests.rows import Row

_RATE_OVER_S = 5.0


class LiveView:
    """Follows the load's rows and the target's readiness; tells a display, and `on_restored` while all are ready."""

    def __init__(
        self, load: Load, target: Target, progress: Progress, on_restored: Callable[[], None]
    ) -> None:
        self.rows: list[Row] = []
        self._load = load
        self._target = target
        self._progress = progress
        self._on_restored = on_restored
        self._ended: deque[float] = deque()

    def look(self, now_s: float) -> None:
        """Take in what ended since the last look; `now_s` on the run clock.

        Raises:
            InconclusiveError: the load has died.
        """
        self._load.poll()
        fresh = self._load.new_rows()
        self.rows += fresh
        self._ended.extend(sorted(row.ended_s for row in fresh if row.ended_s is not None))
        while self._ended and self._ended[0] < now_s - _RATE_OVER_S:
            self._ended.popleft()
        ttft_s = samples(self.rows, "ttft")
        ready, wanted = sum(each.ready for each in self._target.replicas()), self._target.wanted_replicas
        if ready >= wanted:
            self._on_restored()
        self._progress.update(
            rate=len(self._ended) / min(_RATE_OVER_S, max(now_s, 1.0)),
            ttft_p99_s=quantile(ttft_s, 99) if ttft_s else None,
            errors=sum(not row.ok for row in self.rows),
            ready=ready,
            wanted=wanted,
        )
