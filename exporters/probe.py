"""The black-box probe: one small streaming request every so often, judged as a client would judge it.

It knows nothing of the server but its OpenAI-compatible API, so it also sees what a health check cannot: a server that
says it is well and answers nobody. Each probe ends at its deadline, whatever the server does; only resolving its name
may take longer, which no program can end.
"""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from prometheus_client.metrics_core import Metric

from exporters.polling import Poller
from exporters.registry import counter_snapshot, gauge_snapshot
from exporters.series import probe as declared
from exporters.series.family import Family
from loadtests.answer import OK, Answer, RequestFailedError
from loadtests.completions import PATH
from loadtests.endpoint import Endpoint

_PROMPT = "Count to eight."
_MAX_TOKENS = 8
_READ_BYTES = 65536
_MOST_BYTES = 1_000_000
"""Of an answer of eight tokens: whoever sends more does not answer."""
MAX_TARGETS = 256


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A server and the model to ask it for."""

    url: str
    """Base URL, such as `http://10.0.0.7:8000`, with or without `/v1`; the key may stand in it."""
    model: str
    timeout_s: float = 10.0
    """From the start of connecting to the end of the answer."""
    api_key: str | None = None
    called: str | None = None
    """The label `target`, where it has a better name than its address."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Beside those that every client sends."""

    def __post_init__(self) -> None:
        _ = self.endpoint

    @property
    def endpoint(self) -> Endpoint:
        """The URL taken apart, as the load does it; ValueError when it is none."""
        return Endpoint.parse(self.url, self.api_key or "")

    @property
    def name(self) -> str:
        """The label `target`: host and port, where it is not called otherwise."""
        return self.called or urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one probe went; times in seconds from its start."""

    outcome: str
    """One of `series.probe.PROBE_OUTCOMES`."""
    duration_s: float
    ttft_s: float | None = None
    tpot_s: float | None = None


class _BadStatusError(Exception):
    """The server answered with a status that is an error."""


class _Timing:
    """When tokens came, counting each event with text as one."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.token_s: list[float] = []
        self.whole = False
        """The answer ended as the load's `ok` does."""

    def result(self, outcome: str) -> ProbeResult:
        """What it comes to, now."""
        tokens = self.token_s
        return ProbeResult(
            outcome,
            time.monotonic() - self.started_s,
            tokens[0] - self.started_s if tokens else None,
            (tokens[-1] - tokens[0]) / (len(tokens) - 1) if len(tokens) > 1 else None,
        )


def probe(target: ProbeTarget) -> ProbeResult:
    """Send one request and read its answer to the end, or to the deadline; nothing is raised."""
    timing = _Timing()
    connection = _connection(target)
    try:
        connection.connect()
    except TimeoutError:
        return timing.result("timeout")
    except OSError:
        return timing.result("refused")
    overdue = threading.Event()
    # A read timeout starts anew with each byte; only ending the connection ends a trickle.
    left_s = max(0.0, target.timeout_s - (time.monotonic() - timing.started_s))
    watchdog = threading.Timer(left_s, _end, (connection.sock, overdue))
    watchdog.daemon = True
    watchdog.start()
    try:
        _converse(connection, target, timing)
    except RequestFailedError as failure:
        late, incomplete = overdue.is_set(), failure.outcome == "truncated"
        return timing.result("timeout" if late else "incomplete" if incomplete else "error")
    except Exception as error:  # whatever a broken server sends, it is an outcome
        late = overdue.is_set() or isinstance(error, TimeoutError)
        return timing.result("timeout" if late else "error")
    finally:
        watchdog.cancel()
        connection.close()
    if overdue.is_set():
        return timing.result("timeout")
    return timing.result("ok" if timing.whole else "incomplete")


def _connection(target: ProbeTarget) -> http.client.HTTPConnection:
    at = target.endpoint
    kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
    return kind(at.host, at.port, timeout=target.timeout_s)


def _end(sock: socket.socket, overdue: threading.Event) -> None:
    overdue.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _converse(connection: http.client.HTTPConnection, target: ProbeTarget, timing: _Timing) -> None:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": _PROMPT}],
        "max_tokens": _MAX_TOKENS,
        "temperature": 0,
        "stream": True,
    }
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        **target.endpoint.authorization,
        **target.headers,
    }
    connection.request("POST", f"{target.endpoint.prefix}{PATH}", json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise _BadStatusError(f"status {response.status}")
    timing.whole = _read(response, timing) == OK


def _read(response: http.client.HTTPResponse, timing: _Timing) -> str:
    """The outcome of the answer, each of its tokens timed.

    Raises:
        RequestFailedError: it is an error, or ended before its time.
    """
    answer, read_bytes = Answer(), 0
    while (body := response.read1(_READ_BYTES)) and read_bytes < _MOST_BYTES:
        read_bytes += len(body)
        try:
            answer.feed(body)
        finally:
            now_s = time.monotonic()
            timing.token_s += [now_s] * (answer.tokens - len(timing.token_s))
        if answer.done:
            return answer.verdict()[0]
    raise answer.closed(response.getheader("Content-Type"))


class Prober:
    """Probes one target every `every_s` seconds until stopped, and keeps the last result and all counts."""

    def __init__(self, target: ProbeTarget, *, every_s: float) -> None:
        self.target = target
        self.counts = Counter(dict.fromkeys(declared.PROBE_OUTCOMES, 0))
        self.last: tuple[float, ProbeResult] | None = None
        """When the last probe ended, in monotonic seconds, and how; None while it rests."""
        self._every_s = every_s
        self._lock = threading.Lock()
        self._poller: Poller[None] | None = None
        self._stint = object()
        self.begin()

    def begin(self) -> None:
        """Probe at once, and again and again; what was found before is forgotten, and its counts are kept."""
        self.rest()
        stint = self._stint
        self._poller = Poller(lambda: self._probe(stint), period_s=self._every_s)

    def rest(self) -> None:
        """Probe no more until begun anew, and show nothing; a probe under way is counted when it ends."""
        self.stop()
        with self._lock:
            self._stint, self.last = object(), None

    def stop(self) -> None:
        """Probe no more; a probe under way ends by its deadline."""
        if self._poller is not None:
            self._poller.stop()

    def _probe(self, stint: object) -> None:
        result = probe(self.target)
        with self._lock:
            self.counts[result.outcome] += 1
            if stint is self._stint:
                self.last = (time.monotonic(), result)


class ProbeCollector:
    """The series of all probers; a target has no gauge before its first probe has ended."""

    def __init__(self, probers: Sequence[Prober]) -> None:
        self._probers = probers

    def collect(self) -> Iterable[Metric]:
        """The last result of each target, and how many probes ended how."""
        requests = counter_snapshot(declared.PROBE_REQUESTS)
        gauges: dict[Family, list[tuple[list[str], float | None]]] = {}
        for prober in tuple(self._probers):
            labels = [prober.target.name, prober.target.model]
            for outcome, count in prober.counts.items():
                requests.add_metric([*labels, outcome], count)
            last = prober.last
            if last is not None:
                for family, value in _figures(*last).items():
                    gauges.setdefault(family, []).append((labels, value))
        yield requests
        for family, samples in gauges.items():
            snapshot = gauge_snapshot(family)
            for labels, value in samples:
                if value is not None:
                    snapshot.add_metric(labels, value)
            yield snapshot


def _figures(ended_s: float, result: ProbeResult) -> dict[Family, float | None]:
    return {
        declared.PROBE_SUCCESS: float(result.outcome == "ok"),
        declared.PROBE_TTFT: result.ttft_s,
        declared.PROBE_TPOT: result.tpot_s,
        declared.PROBE_DURATION: result.duration_s,
        declared.PROBE_AGE: time.monotonic() - ended_s,
    }
