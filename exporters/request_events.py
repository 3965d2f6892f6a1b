"""One request's events, as the server reports them, turned into observations: each exactly once."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from exporters.series.server import OUTCOMES

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class RequestSeries:
    """The label children that requests feed: looked up once, because a token should cost little."""

    latency_s: Mapping[tuple[str, bool], Histogram]
    """By outcome and whether the request streams."""
    ttft_s: Histogram
    tpot_s: Histogram
    itl_s: Histogram
    queue_s: Histogram
    requests: Mapping[str, Counter]
    """By outcome."""
    prompt_tokens: Counter
    output_tokens: Counter


class InFlight:
    """Which requests wait, since when, and how many run. Thread-safe."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        # In order of acceptance, so the first one has waited longest.
        self._waiting: dict[RequestMetrics, float] = {}
        self._running = 0

    def accept(self, request: "RequestMetrics") -> float:
        """The request waits from now on; returns now in monotonic seconds."""
        with self._lock:
            now_s = self.clock()
            self._waiting[request] = now_s
            return now_s

    def schedule(self, request: "RequestMetrics") -> None:
        """A waiting request runs from now on."""
        with self._lock:
            del self._waiting[request]
            self._running += 1

    def leave(self, request: "RequestMetrics") -> None:
        """The request ended, waiting or running."""
        with self._lock:
            if self._waiting.pop(request, None) is None:
                self._running -= 1

    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def running(self) -> int:
        """How many requests run."""
        return self._running

    def oldest_waiting_s(self) -> float:
        """Seconds that the longest waiting request has waited so far; 0 when none waits."""
        with self._lock:
            now_s = self.clock()
            return now_s - next(iter(self._waiting.values()), now_s)


class RequestMetrics:
    """One request from acceptance to its end. Thread-safe; late or repeated events change nothing."""

    __slots__ = (
        *("_accepted_s", "_ended", "_first_token_s", "_in_flight", "_last_token_s"),
        *("_lock", "_scheduled", "_series", "_streaming", "_tokens"),
    )

    def __init__(self, series: RequestSeries, in_flight: InFlight, *, streaming: bool) -> None:
        self._series = series
        self._in_flight = in_flight
        self._streaming = streaming
        self._lock = threading.Lock()
        self._scheduled = False
        self._ended = False
        self._tokens = 0
        self._first_token_s = 0.0
        self._last_token_s = 0.0
        self._accepted_s = in_flight.accept(self)

    def scheduled(self) -> None:
        """The engine computes this request from now on."""
        with self._lock:
            if not self._ended and not self._scheduled:
                self._leave_queue(self._in_flight.clock())

    def token(self) -> None:
        """An output token exists now. Without a call of `scheduled`, the first one ends the queue time."""
        with self._lock:
            if self._ended:
                return
            now_s = self._in_flight.clock()
            if self._tokens:
                self._series.itl_s.observe(now_s - self._last_token_s)
            else:
                if not self._scheduled:
                    self._leave_queue(now_s)
                self._series.ttft_s.observe(now_s - self._accepted_s)
                self._first_token_s = now_s
            self._last_token_s = now_s
            self._tokens += 1
            self._series.output_tokens.inc()

    def finished(self, outcome: str, *, prompt_tokens: int = 0, output_tokens: int = 0) -> None:
        """The request ended, from whatever state; the first call counts, later ones change nothing.

        Args:
            outcome: one of `exporters.series.server.OUTCOMES`.
            prompt_tokens: length of the prompt.
            output_tokens: length of the answer, where `token` was not called for each of them.

        Raises:
            ValueError: the outcome is not one of those.
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome is one of {', '.join(OUTCOMES)}, not {outcome!r}")
        with self._lock:
            if self._ended:
                return
            self._ended = True
            now_s = self._in_flight.clock()
            self._in_flight.leave(self)
            if not self._scheduled and outcome != "rejected":
                # Requests that waited in vain waited longest: leaving them out would flatter the quantiles.
                self._series.queue_s.observe(now_s - self._accepted_s)
            self._count_tokens(prompt_tokens, output_tokens)
            self._series.latency_s[outcome, self._streaming].observe(now_s - self._accepted_s)
            self._series.requests[outcome].inc()

    def _leave_queue(self, now_s: float) -> None:
        self._scheduled = True
        self._in_flight.schedule(self)
        self._series.queue_s.observe(now_s - self._accepted_s)

    def _count_tokens(self, prompt_tokens: int, output_tokens: int) -> None:
        total = max(output_tokens, self._tokens)
        self._series.prompt_tokens.inc(prompt_tokens)
        self._series.output_tokens.inc(total - self._tokens)
        if self._tokens > 1:
            self._series.tpot_s.observe((self._last_token_s - self._first_token_s) / (total - 1))
