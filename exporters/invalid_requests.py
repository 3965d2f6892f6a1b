"""Requests that were none: counted by why, and in no other series."""

from prometheus_client import CollectorRegistry

from exporters.registry import counter
from exporters.series.server import INVALID_REASONS, INVALID_REQUESTS


class InvalidRequests:
    """One counter for each reason, all there from the start."""

    def __init__(self, model: str, registry: CollectorRegistry) -> None:
        counted = counter(INVALID_REQUESTS, registry)
        self._counters = {reason: counted.labels(model, reason) for reason in INVALID_REASONS}

    def count(self, reason: str) -> None:
        """A request was answered 4xx for this reason.

        Raises:
            ValueError: it is none of `exporters.series.server.INVALID_REASONS`.
        """
        if reason not in self._counters:
            raise ValueError(f"reason is one of {', '.join(self._counters)}, not {reason!r}")
        self._counters[reason].inc()
