"""What the core tells its instrumentation about steps and blocks: differences of counters, means of recent steps."""

from reference_server.batch import BLOCK_TOKENS, BackendStatistics
from reference_server.block_pool import Usage
from reference_server.instrumentation import Instrumentation
from reference_server.scheduler import Scheduler

RECENT = 0.95
"""Weight of a step in the utilisation when the next one is counted: the last twenty decide."""


class StepReporter:
    """Reports to one instrumentation what a backend and its scheduler count."""

    def __init__(self, instrumentation: Instrumentation, statistics: BackendStatistics) -> None:
        self._instrumentation = instrumentation
        self._statistics = statistics
        self._host_idle_s = 0.0
        self._reported = (0, 0, 0.0)
        self._usage: Usage | None = None
        self._preemptions = 0
        self._read_bytes = self._took_s = 0.0

    def idle(self, seconds: float) -> None:
        """By the host's clock, the device had nothing to do for so long although there was work."""
        self._host_idle_s += seconds

    def step(self, sequences: int, tokens: int, positions: int, took_s: float) -> None:
        """A step was read: how many sequences run, what it computed, how many cached positions it read, how long."""
        told = self._statistics
        idle_s = self._host_idle_s if told.idle_s is None else told.idle_s
        now = told.graph_steps, told.eager_steps, idle_s
        graph_steps, eager_steps, idle_s = (new - old for new, old in zip(now, self._reported, strict=True))
        self._reported = now
        self._instrumentation.engine.step(
            sequences=sequences,
            tokens=tokens,
            idle_s=idle_s,
            graph_steps=int(graph_steps),
            eager_steps=int(eager_steps),
            bandwidth_utilisation=self._utilisation(positions, took_s),
        )

    def blocks(self, scheduler: Scheduler) -> None:
        """Who holds the KV blocks now, and how many sequences lost theirs since the last call."""
        usage = scheduler.pool.usage
        reserved = sum(len(one.blocks) for one in scheduler.running) * BLOCK_TOKENS
        unused = reserved - sum(one.computed for one in scheduler.running)
        if usage != self._usage:
            self._usage = usage
            self._instrumentation.kv_usage(usage.used / scheduler.pool.blocks)
            self._instrumentation.engine.kv_blocks(used=usage.used, cached=usage.cached, free=usage.free)
        self._instrumentation.kv_fragmentation(unused / (usage.used * BLOCK_TOKENS) if usage.used else 0.0)
        if scheduler.preemptions > self._preemptions:
            self._instrumentation.engine.preempted(scheduler.preemptions - self._preemptions)
            self._preemptions = scheduler.preemptions

    def _utilisation(self, positions: int, took_s: float) -> float | None:
        told = self._statistics
        self._read_bytes = self._read_bytes * RECENT + told.weight_bytes + told.kv_bytes * positions
        self._took_s = self._took_s * RECENT + took_s
        if told.copy_bytes_per_s is None or self._took_s == 0:
            return None
        return self._read_bytes / self._took_s / told.copy_bytes_per_s
