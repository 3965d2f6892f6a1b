"""What the server asks of its instrumentation: `exporters.inference`, or nothing at all to measure what that costs."""

from typing import Any, Protocol


class RequestEvents(Protocol):
    """One request's events, from any thread."""

    def scheduled(self) -> None:
        """The engine computes it from now on."""

    def token(self) -> None:
        """One output token exists now."""

    def finished(self, outcome: str, *, prompt_tokens: int = 0, output_tokens: int = 0) -> None:
        """It ended: ok, error, timeout, aborted or rejected."""


class EngineEvents(Protocol):
    """What the engine does, from its thread."""

    def kv_blocks(self, *, used: int, cached: int, free: int) -> None:
        """The KV cache's blocks by state: held, findable, empty."""

    def preempted(self, requests: int) -> None:
        """So many running requests lost their blocks and wait to be computed again."""

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
        """A step is done: with so many running requests and computed tokens, after the device sat idle for so long.

        Steps count as replayed from a graph or as launched kernel by kernel. The utilisation is that of recent
        steps; None where it is not known.
        """


class InvalidRequestEvents(Protocol):
    """Requests that were none."""

    def count(self, reason: str) -> None:
        """One was answered 4xx: `reference_server.api.refusals` has the reasons."""


class Instrumentation(Protocol):
    """The server's events."""

    def request(self, *, streaming: bool) -> RequestEvents:
        """A request was accepted now."""

    def cache_lookup(self, tier: str, *, queried_tokens: int, hit_tokens: int) -> None:
        """A cache tier was asked for prompt tokens and had some of them."""

    def kv_usage(self, ratio: float) -> None:
        """The share of the KV cache's blocks that running requests hold."""

    def kv_fragmentation(self, ratio: float) -> None:
        """The share of the positions in those blocks that has no keys and values yet."""

    @property
    def engine(self) -> EngineEvents:
        """The engine's own events."""

    @property
    def invalid_requests(self) -> InvalidRequestEvents:
        """Those that were answered 4xx."""


class Uninstrumented:
    """All four protocols, doing nothing."""

    def request(self, *, streaming: bool) -> RequestEvents:  # noqa: ARG002  the protocol's signature
        """Report to nobody."""
        return self

    @property
    def engine(self) -> EngineEvents:
        """Report to nobody."""
        return self

    @property
    def invalid_requests(self) -> InvalidRequestEvents:
        """Report to nobody."""
        return self

    def _nothing(self, *_: Any, **__: Any) -> None: ...

    scheduled = token = finished = cache_lookup = kv_usage = kv_fragmentation = _nothing
    kv_blocks = preempted = step = count = _nothing
