"""A crowd of replicas' /metrics in one process: real expositions of a working server, rendered once, sent many times.

    python -m tests.support.replica_crowd --replicas 1000 --interval 15 --seconds 900

Replica N is at /N, the gateway at /gateway; the first line printed is the port. Counters move from scrape to scrape as
those of a server with three requests a second; the GPU families are an H200's, with a uuid of each replica's own.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporters.inference import InferenceMetrics
from exporters.registry import Registry, counter, gauge, histogram
from exporters.series import gateway as gateway_series
from exporters.series.server import INVALID_REASONS

RECORDED = Path(__file__).parents[1] / "data" / "h200" / "server.prom"
UUID = b"GPU-00000000-0000-4000-8000-000000000200"
REQUESTS_PER_S = 3
SPREAD = 16
"""Replicas are this many scrapes apart at most: the crowd does not move as one."""


@dataclass(frozen=True, slots=True)
class _Gpus:
    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


def snapshots(count: int, interval_s: float) -> list[bytes]:
    """One server's exposition after each interval of work."""
    chance = random.Random(7)
    now_s = 0.0
    server = InferenceMetrics("tiny", cache_tiers=("memory",), clock=lambda: now_s)
    recorded = text_string_to_metric_families(RECORDED.read_text())
    server.collectors.add("gpu", _Gpus(tuple(one for one in recorded if one.name.startswith("ds_gpu"))))
    invalid = server.invalid_requests
    taken = []
    for _ in range(count):
        for _ in range(round(REQUESTS_PER_S * interval_s)):
            request = server.request(streaming=chance.random() < 0.8)
            now_s += chance.expovariate(50)
            request.scheduled()
            for _ in range(8):
                now_s += chance.expovariate(30)
                request.token()
            outcome = chance.choices(("ok", "error", "timeout"), (98, 1, 1))[0]
            request.finished(outcome, prompt_tokens=64)
            invalid.count(chance.choice(INVALID_REASONS))
            server.cache_lookup("memory", queried_tokens=64, hit_tokens=chance.choice((0, 32)))
        server.kv_usage(chance.random())
        server.kv_fragmentation(chance.random())
        taken.append(generate_latest(server.registry))
    return taken


def gateway(replicas: int) -> Callable[[], bytes]:
    """What renders the gateway's exposition; between two calls one request of each replica has ended."""
    registry = Registry()
    gauge(gateway_series.GATEWAY_READY, registry).set(replicas)
    ended = counter(gateway_series.GATEWAY_REQUESTS, registry).labels("ok")
    retries = counter(gateway_series.GATEWAY_RETRIES, registry)
    took = histogram(gateway_series.GATEWAY_REQUEST_SECONDS, registry).labels("ok")

    def render() -> bytes:
        ended.inc(replicas)
        retries.inc(1)
        for _ in range(replicas):
            took.observe(0.4)
        return generate_latest(registry)

    return render


class Scraped(asyncio.Protocol):
    """Answers each request on a connection that stays open."""

    def __init__(self, body_of: Callable[[bytes], bytes]) -> None:
        self._body_of = body_of
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            body = self._body_of(head.split(b" ", 2)[1])
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)
            )
            self._transport.write(body)


async def serve(replicas: int, interval_s: float, seconds: float) -> None:
    """Serve for so long."""
    taken = snapshots(int(seconds / interval_s) + SPREAD + 8, interval_s)
    render_gateway = gateway(replicas)
    began_s = time.monotonic()

    def body_of(path: bytes) -> bytes:
        if path == b"/gateway":
            return render_gateway()
        number = int(path[1:])
        index = int((time.monotonic() - began_s) / interval_s) + number % SPREAD
        return taken[min(index, len(taken) - 1)].replace(UUID, b"GPU-%036d" % number)

    server = await asyncio.get_running_loop().create_server(
        lambda: Scraped(body_of), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(seconds)


def main() -> None:
    """Serve the crowd."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=900.0)
    options = parser.parse_args()
    asyncio.run(serve(options.replicas, options.interval, options.seconds))


if __name__ == "__main__":
    main()
