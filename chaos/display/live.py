"""What can be said of a run while it goes on: rows as they end, for the gate before injection and the display."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chaos.display.disturbances import DisturbanceWatch
from chaos.display.progress import Facts, Progress
from chaos.load.process import Load
from chaos.measuring.objectives import Objectives
from chaos.measuring.quantiles import quantile
from chaos.measuring.recovery_time import Criteria
from chaos.targets import Target
from loadtests.rows import Row

_RATE_OVER_S = 5.0
NEWEST = 1000
"""Of so many requests, those that ended last, the shown P99 tells: more than the 299 that a claim needs."""


@dataclass
class Latest:
    """What a display says of the load; verdicts come from all rows, when the run is over.

    The rate counts what ended within the last `over_s`. The P99 of TTFT covers the `NEWEST` requests that ended,
    failures as +inf: an outage that is long over is not in it any more. Failures are counted from the start.
    """

    over_s: float
    _ended_s: deque[float] = field(default_factory=deque)
    _ttft_s: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _failed: int = 0

    def facts(self, fresh: Sequence[Row], now_s: float) -> Facts:
        """Take in what ended since the last look, and say how it goes at `now_s` on the run clock."""
        self._ended_s.extend(sorted(row.ended_s for row in fresh if row.ended_s is not None))
        while self._ended_s and self._ended_s[0] < now_s - self.over_s:
            self._ended_s.popleft()
        for row in fresh:
            self._ttft_s.append(row.ttft_s if row.ok and row.ttft_s is not None else math.inf)
            self._failed += not row.ok
        return Facts(
            rate=len(self._ended_s) / min(self.over_s, max(now_s, 1.0)),
            ttft_p99_s=quantile(sorted(self._ttft_s), 99) if self._ttft_s else None,
            errors=self._failed,
        )


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
        self._latest = Latest(_RATE_OVER_S)
        self.followers: list[Callable[[Sequence[Row], float], None]] = []
        """Each is told what ended since the last look, and the instant on the run clock."""

    def tell_disturbances(self, objectives: Objectives, criteria: Criteria, from_s: float) -> None:
        """Say from now on when the service is worse than the criteria allow; `from_s` on the run clock."""
        self.followers.append(DisturbanceWatch(objectives, criteria, from_s, self._progress).look)

    def look(self, now_s: float) -> None:
        """Take in what ended since the last look; `now_s` on the run clock.

        The display gets what `Latest` covers: the rate of the last 5 s, the P99 of the newest 1,000 requests.

        Raises:
            InconclusiveError: the load has died.
        """
        self._load.poll()
        fresh = self._load.new_rows()
        self.rows += fresh
        for follow in self.followers:
            follow(fresh, now_s)
        ready, wanted = sum(each.ready for each in self._target.replicas()), self._target.wanted_replicas
        if ready >= wanted:
            self._on_restored()
        self._progress.update(**self._latest.facts(fresh, now_s))
        self._progress.update(ready=ready, wanted=wanted)
