"""What an inference server mounts: it reports each request's events, and every series follows.

    metrics = InferenceMetrics(model="tiny")
    exposition = serve(metrics.registry, port=8081)

    request = metrics.request(streaming=True)    # accepted
    request.scheduled()                          # the engine has started on it
    request.token()                              # once per output token
    request.finished("ok", prompt_tokens=64)     # in a finally-path, so that no request goes missing

Any thread may report any event; the costs of one are a lock and one or two observations.
"""

import platform
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Histogram

from exporters.cache import CacheLookups
from exporters.collectors import CollectorSet
from exporters.engine import EngineMetrics
from exporters.exposition import Exposition, serve
from exporters.invalid_requests import InvalidRequests
from exporters.registry import Registry, counter, gauge, histogram
from exporters.request_events import Clock, InFlight, RequestMetrics, RequestSeries
from exporters.series import server as declared
from exporters.series.family import Family, with_bound
from exporters.slo import OBJECTIVES, Objective

__all__ = ["Exposition", "InferenceMetrics", "RequestMetrics", "serve"]


class InferenceMetrics:
    """The series of one served model, in a registry of its own or the one given.

    Those of requests are there from the start; what a server may not know of itself (the KV cache, its caches, its
    steps, requests that were none) from when it is told: 0 would be a claim.
    """

    def __init__(
        self,
        model: str,
        *,
        cache_tiers: Sequence[str] = (),
        registry: CollectorRegistry | None = None,
        clock: Clock = time.monotonic,
        objectives: Iterable[Objective] = OBJECTIVES,
    ) -> None:
        """`cache_tiers` are the caches whose lookups will be reported; without any, there are no series of caches.

        The bounds of the objectives are bucket edges.

        Raises:
            ValueError: the registry already holds these families.
        """
        self.registry = Registry() if registry is None else registry
        self.collectors = CollectorSet(self.registry)
        self._cache = CacheLookups(model, cache_tiers)
        self.collectors.add("cache", self._cache)
        self._in_flight = InFlight(clock)
        self._series = _request_series(model, self.registry, tuple(objectives))
        _watch(self._in_flight, model, self.registry)
        self._kv_usage = gauge(declared.KV_CACHE_USAGE, self.registry)
        self._kv_fragmentation = gauge(declared.KV_CACHE_FRAGMENTATION, self.registry)
        self._model = model
        build_info = gauge(declared.BUILD_INFO, self.registry)
        build_info.labels(_version(), platform.python_version()).set(1)

    def request(self, *, streaming: bool) -> RequestMetrics:
        """A request was accepted now; report its further events on what this returns."""
        return RequestMetrics(self._series, self._in_flight, streaming=streaming)

    def cache_lookup(self, tier: str, *, queried_tokens: int, hit_tokens: int) -> None:
        """A cache tier was asked for `queried_tokens` prompt tokens and held `hit_tokens` of them.

        Raises:
            ValueError: the tier was not given at construction, or not 0 <= hit_tokens <= queried_tokens.
        """
        self._cache.add(tier, queried_tokens, hit_tokens)

    def kv_usage(self, ratio: float) -> None:
        """From now on this share of the KV cache is used, 0 to 1; no series before the first call."""
        self._kv_usage.labels(self._model).set(ratio)

    def kv_fragmentation(self, ratio: float) -> None:
        """From now on this share of the reserved KV slots holds no token, 0 to 1; no series before the first call."""
        self._kv_fragmentation.labels(self._model).set(ratio)

    @cached_property
    def invalid_requests(self) -> InvalidRequests:
        """For a server that counts what it answers 4xx: series of their own, there from the first use."""
        return InvalidRequests(self._model, self.registry)

    @cached_property
    def engine(self) -> EngineMetrics:
        """For a server that is an engine itself: series of its steps and KV blocks, there from the first use."""
        return EngineMetrics(self._model, self.registry)


def _request_series(
    model: str, registry: CollectorRegistry, objectives: Sequence[Objective]
) -> RequestSeries:
    def timed(family: Family) -> Histogram:
        return histogram(with_bound(family, objectives), registry)

    latency = timed(declared.INFERENCE_LATENCY)
    requests = counter(declared.REQUESTS, registry)
    tokens = counter(declared.TOKENS, registry)
    return RequestSeries(
        latency_s={
            (outcome, streaming): latency.labels(model, outcome, str(streaming).lower())
            for outcome in declared.OUTCOMES
            for streaming in (False, True)
        },
        ttft_s=timed(declared.TIME_TO_FIRST_TOKEN).labels(model),
        tpot_s=timed(declared.TIME_PER_OUTPUT_TOKEN).labels(model),
        itl_s=timed(declared.INTER_TOKEN_LATENCY).labels(model),
        queue_s=timed(declared.QUEUE_TIME).labels(model),
        requests={outcome: requests.labels(model, outcome) for outcome in declared.OUTCOMES},
        prompt_tokens=tokens.labels(model, "prompt"),
        output_tokens=tokens.labels(model, "generation"),
    )


def _watch(in_flight: InFlight, model: str, registry: CollectorRegistry) -> None:
    for family, value in (
        (declared.REQUESTS_RUNNING, in_flight.running),
        (declared.REQUESTS_WAITING, in_flight.waiting),
        (declared.OLDEST_QUEUED_AGE, in_flight.oldest_waiting_s),
    ):
        gauge(family, registry).labels(model).set_function(value)


def _version() -> str:
    try:
        return version("aftershock")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
