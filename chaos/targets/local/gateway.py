"""The gateway: one address in front of all replicas, as a Service with an inference gateway would be.

`python -m chaos.targets.local.gateway` takes its orders as JSON lines (see `wire`): `listen` answers `{port,
metrics_port}`; `endpoints {endpoints: [{name, port, ready, probed_s}]}` replaces what it knows of the
replicas. `/healthz` is its own; every other path goes to a replica. `/metrics` has a port of its own.

One logical request takes at most two attempts, and nothing is buffered once the answer has begun. The answer's head
is held back until its first body bytes are there, so a replica that dies while a request waits for its first token
costs a retry, not an error. From then on the client sees what the replica does: a replica that dies mid-stream resets
the client, it never ends the stream cleanly.
"""

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from chaos.targets.local import gateway_metrics as outcomes
from chaos.targets.local.balancer import Balancer, Endpoint
from chaos.targets.local.gateway_metrics import GatewayMetrics
from chaos.targets.local.ports import HOST
from chaos.targets.local.relay import reset
from chaos.targets.local.wire import Channel, Message, answer
from exporters.exposition import serve as serve_metrics

REPLICA_HEADER = "x-aftershock-replica"
ATTEMPTS_HEADER = "x-aftershock-attempts"

_MOST_ATTEMPTS = 2
_CONNECT_WITHIN_S = 2.0
# Below the five seconds after which uvicorn closes an idle connection: reusing one that is being closed is a
# failure.
_IDLE_S = 2.0
_RETRY_AFTER_S = 1
# Of one hop alone, by RFC 9110 section 7.6.1; lengths and encodings of the body are set anew.
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    )
)


def session() -> aiohttp.ClientSession:
    """A client that changes nothing it passes on and never gives up: patience is the caller's to limit."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN_S),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class Forwarder:
    """Answers every request by way of a replica."""

    def __init__(self, client: aiohttp.ClientSession, balancer: Balancer) -> None:
        self.in_flight = 0
        self.metrics = GatewayMetrics(balancer, lambda: self.in_flight)
        self._client = client
        self._balancer = balancer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one logical request and count it once."""
        began_s, outcome = (
            time.monotonic(),
            outcomes.CLIENT_GONE,
        )  # being cancelled is how a leaving client shows
        self.in_flight += 1
        try:
            response, outcome = await self._serve(request, await request.read())
            return response
        finally:
            self.in_flight -= 1
            self.metrics.request_ended(outcome, time.monotonic() - began_s)

    async def _serve(self, request: web.Request, body: bytes) -> tuple[web.StreamResponse, str]:
        tried: list[str] = []
        while len(tried) < _MOST_ATTEMPTS and (endpoint := self._balancer.choose(tried)):
            tried.append(endpoint.name)
            response, outcome = await self._attempt(request, body, endpoint, tried)
            if response is not None:
                return response, outcome
        if not tried:
            return _error(503, "no_ready_replica", "no replica is ready", tried), outcomes.NO_REPLICA
        return _error(502, "replica_unreachable", "no replica answered", tried), outcomes.UNREACHABLE

    async def _attempt(
        self, request: web.Request, body: bytes, endpoint: Endpoint, tried: Sequence[str]
    ) -> tuple[web.StreamResponse | None, str]:
        """The answer and how it ended; no answer when another replica may be tried."""
        outcome = outcomes.CLIENT_GONE
        endpoint.outstanding += 1
        try:
            response, outcome = await self._try(request, body, endpoint, tried)
            return response, outcome
        finally:
            endpoint.outstanding -= 1
            self.metrics.attempt_ended(endpoint.name, outcome, retry=len(tried) > 1)

    async def _try(
        self, request: web.Request, body: bytes, endpoint: Endpoint, tried: Sequence[str]
    ) -> tuple[web.StreamResponse | None, str]:
        upstream = None
        try:
            upstream = await self._client.request(
                request.method,
                URL(f"http://{HOST}:{endpoint.port}{request.raw_path}", encoded=True),
                headers=_passed_on(request.headers, drop="content-length"),
                data=body or None,
                allow_redirects=False,
            )
            first = await upstream.content.readany()
        except (aiohttp.ClientError, OSError):  # refused, reset, or ended before its first body byte
            endpoint.suspect()
            return None, outcomes.UNREACHABLE
        else:
            if upstream.status == 503 and len(tried) < _MOST_ATTEMPTS and self._balancer.choose(tried):
                return None, outcomes.HTTP_5XX
            return await _relay(request, upstream, first, tried)
        finally:
            if upstream is not None:
                upstream.close()  # returns a connection that is done to the pool, and aborts any other


async def _relay(
    request: web.Request, upstream: aiohttp.ClientResponse, chunk: bytes, tried: Sequence[str]
) -> tuple[web.StreamResponse, str]:
    headers = _passed_on(upstream.headers)
    headers[REPLICA_HEADER], headers[ATTEMPTS_HEADER] = tried[-1], str(len(tried))
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
    try:
        await response.prepare(request)
        while chunk:
            await response.write(chunk)
            chunk = await _next(upstream)
        await response.write_eof()
    except _TruncatedError:
        if request.transport is not None:
            reset(request.transport)
        return response, outcomes.TRUNCATED
    except ConnectionError:
        return response, outcomes.CLIENT_GONE
    return response, outcomes.of_status(upstream.status)


class _TruncatedError(Exception):
    """The replica's answer broke off."""


async def _next(upstream: aiohttp.ClientResponse) -> bytes:
    # aiohttp's errors of a broken upstream and of a client that left share their base classes.
    try:
        return await upstream.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        raise _TruncatedError from error


def _passed_on(headers: Mapping[str, str], drop: str = "") -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    unwanted = _HOP_BY_HOP | named | {drop}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in unwanted)


def _error(status: int, code: str, message: str, tried: Sequence[str]) -> web.Response:
    body = {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
    headers = {ATTEMPTS_HEADER: str(len(tried)), "Retry-After": str(_RETRY_AFTER_S)}
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )


async def healthy(_: web.Request) -> web.Response:
    """The gateway's own liveness: it answers."""
    await asyncio.sleep(0)
    return web.Response(text="ok\n")


class Gateway:
    """The listening side and what it is told of the replicas."""

    def __init__(self, forwarder: Forwarder, balancer: Balancer) -> None:
        self._balancer = balancer
        self._metrics = forwarder.metrics
        application = web.Application(client_max_size=0)  # no limit: prompts may be long, and they are ours
        application.router.add_get("/healthz", healthy)
        application.router.add_route("*", "/{path:.*}", forwarder.handle)
        # Cancelled when its client leaves, so that a replica stops computing for nobody.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None)

    async def serve(self, channel: Channel) -> None:
        """Obey until the other side is gone."""
        await answer(channel, {"listen": self._listen, "endpoints": self._endpoints})

    async def _listen(self, _: Message) -> Message:
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0, backlog=1024)
        await site.start()
        exposition = serve_metrics(self._metrics.registry, host=HOST, port=0)
        return {"port": self._runner.addresses[0][1], "metrics_port": exposition.port}

    async def _endpoints(self, message: Message) -> Message:
        self._balancer.update(message["endpoints"])
        return {}


async def _main() -> None:
    channel = await Channel.of_stdio()
    balancer = Balancer(random.SystemRandom())
    async with session() as client:
        await Gateway(Forwarder(client, balancer), balancer).serve(channel)


if __name__ == "__main__":
    asyncio.run(_main())
