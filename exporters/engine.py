"""What an engine reports about its own steps and KV blocks, as series: there once it reports."""

from prometheus_client import CollectorRegistry

from exporters.registry import counter, gauge, histogram
from exporters.series import engine as declared


class EngineMetrics:
    """The engine's series of one served model, all but the utilisation there from the start."""

    def __init__(self, model: str, registry: CollectorRegistry) -> None:
        self._sequences = histogram(declared.STEP_SEQUENCES, registry).labels(model)
        self._tokens = histogram(declared.STEP_TOKENS, registry).labels(model)
        steps = counter(declared.STEPS, registry)
        self._graph_steps, self._eager_steps = (steps.labels(model, how) for how in declared.STEP_RESULTS)
        self._idle_s = counter(declared.IDLE_SECONDS, registry).labels(model)
        self._bandwidth = gauge(declared.BANDWIDTH_UTILISATION, registry)
        self._preemptions = counter(declared.PREEMPTIONS, registry).labels(model)
        blocks = gauge(declared.KV_BLOCKS, registry)
        self._blocks = [blocks.labels(model, state) for state in declared.BLOCK_STATES]
        self._model = model

    def step(
        self,
        *,
        sequences: int,
        tokens: int,
        idle_s: float,
        graph_steps: int,
        eager_steps: int,
        bandwidth_utilisation: float | None,
    ) -> None:
        """A step is done: `sequences` run, it computed `tokens`, the device sat idle for `idle_s` before it.

        `graph_steps` and `eager_steps` are those since the last call.
        """
        self._sequences.observe(sequences)
        self._tokens.observe(tokens)
        self._idle_s.inc(idle_s)
        self._graph_steps.inc(graph_steps)
        self._eager_steps.inc(eager_steps)
        if bandwidth_utilisation is not None:
            self._bandwidth.labels(self._model).set(bandwidth_utilisation)

    def kv_blocks(self, *, used: int, cached: int, free: int) -> None:
        """From now on so many blocks are in each state."""
        for gauge_, count in zip(self._blocks, (used, cached, free), strict=True):
            gauge_.set(count)

    def preempted(self, requests: int) -> None:
        """So many running requests lost their blocks."""
        self._preemptions.inc(requests)
