"""Cache lookups by tier: two counters in tokens, and the hit ratio derived from the two at scrape."""

import threading
from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import Metric

from exporters.registry import counter_snapshot, gauge_snapshot
from exporters.series.server import CACHE_HIT_RATIO, CACHE_HITS, CACHE_QUERIES


class CacheLookups:
    """A collector that counts looked-up and found tokens per tier.

    They are kept here, not in prometheus_client's counters, so that ratio and counters of one scrape agree.
    """

    def __init__(self, model: str, tiers: Sequence[str]) -> None:
        self._model = model
        self._tokens = dict.fromkeys(tiers, (0, 0))
        self._lock = threading.Lock()

    def add(self, tier: str, queried_tokens: int, hit_tokens: int) -> None:
        """Count one lookup.

        Raises:
            ValueError: an undeclared tier, or not 0 <= hit_tokens <= queried_tokens.
        """
        if tier not in self._tokens:
            known = (
                ", ".join(self._tokens)
                or "those of InferenceMetrics(cache_tiers=...), of which there are none"
            )
            raise ValueError(f"cache tier is one of {known}, not {tier!r}")
        if not 0 <= hit_tokens <= queried_tokens:
            raise ValueError(f"hit_tokens must lie between 0 and {queried_tokens} queried, not {hit_tokens}")
        with self._lock:
            queried, hit = self._tokens[tier]
            self._tokens[tier] = (queried + queried_tokens, hit + hit_tokens)

    def collect(self) -> Iterable[Metric]:
        """Both counters of every tier, and the ratio of each tier that was ever asked."""
        queries, hits = counter_snapshot(CACHE_QUERIES), counter_snapshot(CACHE_HITS)
        ratio = gauge_snapshot(CACHE_HIT_RATIO)
        with self._lock:
            tokens = dict(self._tokens)
        for tier, (queried, hit) in tokens.items():
            labels = [self._model, tier]
            queries.add_metric(labels, queried)
            hits.add_metric(labels, hit)
            if queried:
                ratio.add_metric(labels, hit / queried)
        return queries, hits, ratio
