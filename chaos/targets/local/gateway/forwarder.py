"""One logical request from its arrival to its last byte: attempts at replicas, and what of them the client gets.

Nothing is buffered once the answer has begun. The answer's head is held back until its first body bytes are there, so
a replica that dies, reports an error or stays silent while a request waits for its first token costs a retry, not an
error. From then on the client sees what the replica does: a replica that dies mid-stream resets the client, it never
ends the stream cleanly.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from chaos.targets.local.gateway import hop
from chaos.targets.local.gateway import metrics as outcomes
from chaos.targets.local.gateway.answer_watch import EVENT_STREAM, AnswerWatch, is_error
from chaos.targets.local.gateway.balancer import Balancer, Choice, Endpoint
from chaos.targets.local.gateway.ejection import Ending
from chaos.targets.local.gateway.metrics import GatewayMetrics
from chaos.targets.local.gateway.open_attempts import OpenAttempt, OpenAttempts
from chaos.targets.local.gateway.overload import is_backpressure
from chaos.targets.local.gateway.retry_budget import RetryBudget
from chaos.targets.local.gateway.spec import GatewaySpec
from chaos.targets.local.ports import HOST
from chaos.targets.local.proxy.ends import reset

GENERATES = "POST"
"""The method of whatever asks for tokens."""
_MOST_ATTEMPTS = 2
_STREAMS = re.compile(rb'"stream"\s*:\s*true')
_WITH_A_TERMINAL_EVENT = "/completions"
_UNNAMED = ("application/octet-stream", "text/plain")
"""What a stream is called whose server gives it no name (the first of them by aiohttp)."""
_ENDINGS = {
    outcomes.OK: Ending.GOOD,
    outcomes.HTTP_4XX: Ending.GOOD,
    outcomes.HTTP_5XX: Ending.ERROR,
    outcomes.UNREACHABLE: Ending.ERROR,
    outcomes.TRUNCATED: Ending.BROKEN,
    outcomes.ERROR_EVENT: Ending.BROKEN,
    outcomes.SILENT: Ending.BROKEN,
    outcomes.CLIENT_GONE: Ending.NOTHING,
}


@dataclass(slots=True)
class _Request:
    """One logical request, and what was tried so far."""

    received: web.Request
    body: bytes
    tried: list[str] = field(default_factory=list)
    granted: int = 0
    """Retries that the budget was asked for, and that are to be given back."""

    @property
    def generates(self) -> bool:
        """Whether it asks for tokens: no engine generates on a GET."""
        return self.received.method == GENERATES

    @property
    def streams(self) -> bool:
        """Whether it asks for them as they come."""
        return self.generates and _STREAMS.search(self.body) is not None


@dataclass(slots=True)
class _Exchange:
    """One attempt, and how it ended so far."""

    attempt: OpenAttempt
    endpoint: Endpoint
    outcome: str = outcomes.CLIENT_GONE  # being cancelled is how a leaving client shows
    backpressure: bool = False

    @property
    def ending(self) -> Ending:
        """What it says about its replica."""
        return Ending.NOTHING if self.backpressure else _ENDINGS[self.outcome]


class Forwarder:
    """Answers every request by way of a replica."""

    def __init__(self, client: aiohttp.ClientSession, balancer: Balancer, spec: GatewaySpec) -> None:
        self.in_flight = 0
        self.attempts = OpenAttempts(balancer.ejector, spec.ejection)
        self._budget = RetryBudget(spec.retries)
        self.metrics = GatewayMetrics(balancer, self._budget, lambda: self.in_flight, spec.e2e_s)
        self._client = client
        self._balancer = balancer

    async def handle(self, received: web.Request) -> web.StreamResponse:
        """Serve one logical request; one that generates is counted, once, as the replicas count it."""
        began_s, outcome = time.monotonic(), outcomes.CLIENT_GONE
        self.in_flight += 1
        try:
            request = _Request(received, await received.read())
            try:
                response, outcome = await self._serve(request)
            finally:
                for _ in range(request.granted):
                    self._budget.ended()
            return response
        finally:
            self.in_flight -= 1
            if received.method == GENERATES:
                self.metrics.request_ended(outcome, time.monotonic() - began_s)

    async def _serve(self, request: _Request) -> tuple[web.StreamResponse, str]:
        while choice := self._balancer.choose(request.tried, generates=request.generates):
            response, outcome = await self._attempt(request, choice)
            if response is not None:
                return response, outcome
        if not request.tried:
            refusal = hop.error(503, "no_ready_replica", "no replica is ready", request.tried)
            return refusal, outcomes.NO_REPLICA
        return _unreachable(request), outcomes.UNREACHABLE

    async def _attempt(self, request: _Request, choice: Choice) -> tuple[web.StreamResponse | None, str]:
        """The answer and how it ended; no answer when another replica is to be tried."""
        endpoint = choice.endpoint
        request.tried.append(endpoint.name)
        attempt = OpenAttempt(
            replica=endpoint.name,
            generates=request.generates,
            streams=request.streams,
            trial=choice.trial,
            began_s=time.monotonic(),
            may_try_again=lambda: self._may_try_again(request, free=choice.trial),
        )
        exchange = _Exchange(attempt, endpoint)
        self.attempts.begin(attempt)
        endpoint.outstanding += 1
        try:
            return await self._try(request, exchange), exchange.outcome
        finally:
            endpoint.outstanding -= 1
            self.attempts.end(attempt, exchange.ending, time.monotonic())
            if request.generates:
                self.metrics.attempt_ended(endpoint.name, exchange.outcome, retry=len(request.tried) > 1)

    async def _try(self, request: _Request, exchange: _Exchange) -> web.StreamResponse | None:
        attempt, upstream = exchange.attempt, None
        try:
            async with asyncio.timeout(None) as attempt.patience:
                upstream = await self._ask(request, exchange.endpoint)
                first = await upstream.content.readany()
        except (
            aiohttp.ClientError,
            OSError,
        ):  # refused, reset, ended before its first body byte, or given up
            if attempt.given_up:
                exchange.outcome = outcomes.SILENT
                return None
            exchange.outcome = outcomes.UNREACHABLE
            exchange.endpoint.suspect()
            return None if self._may_try_again(request) else _unreachable(request)
        else:
            attempt.patience = None
            return await self._answer(request, exchange, upstream, first)
        finally:
            if upstream is not None:
                upstream.close()  # returns a connection that is done to the pool, and aborts any other

    async def _ask(self, request: _Request, endpoint: Endpoint) -> aiohttp.ClientResponse:
        received = request.received
        return await self._client.request(
            received.method,
            URL(f"http://{HOST}:{endpoint.port}{received.raw_path}", encoded=True),
            headers=hop.passed_on(received.headers, drop="content-length"),
            data=request.body or None,
            allow_redirects=False,
        )

    async def _answer(
        self, request: _Request, exchange: _Exchange, upstream: aiohttp.ClientResponse, first: bytes
    ) -> web.StreamResponse | None:
        """What the client gets of an answer that has begun; nothing when another replica is to be tried."""
        others_open = exchange.endpoint.outstanding - 1
        exchange.backpressure = is_backpressure(upstream.status, upstream.headers, first, others_open)
        if upstream.status == 503 and self._may_try_again(request):
            exchange.outcome = outcomes.HTTP_5XX
            return None
        passage = _Passage(upstream, request)
        passes = passage.feed(first)
        if passage.failed and self._may_try_again(request):
            exchange.outcome = outcomes.ERROR_EVENT
            return None
        if passes:
            self.attempts.spoke(exchange.attempt, time.monotonic())
        return await self._relay(request, exchange, passage, first)

    async def _relay(
        self, request: _Request, exchange: _Exchange, passage: "_Passage", chunk: bytes
    ) -> web.StreamResponse:
        upstream, received = passage.upstream, request.received
        headers = hop.passed_on(upstream.headers)
        headers[hop.REPLICA_HEADER] = exchange.endpoint.name
        headers[hop.ATTEMPTS_HEADER] = str(len(request.tried))
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
        try:
            await response.prepare(received)
            while chunk:
                await response.write(chunk)
                chunk = await _next(upstream)
                if chunk and passage.feed(chunk):
                    self.attempts.spoke(exchange.attempt, time.monotonic())
            await response.write_eof()
        except _TruncatedError:
            if received.transport is not None:
                reset(received.transport)
            exchange.outcome = outcomes.TRUNCATED
        except ConnectionError:
            exchange.outcome = outcomes.CLIENT_GONE
        else:
            exchange.outcome = passage.outcome
        return response

    def _may_try_again(self, request: _Request, *, free: bool = False) -> bool:
        """Whether there is another replica to try, and leave to do so, which is then taken.

        Args:
            request: which one.
            free: without asking the budget: a trial is the gateway's own idea, and there are few.
        """
        if len(request.tried) >= _MOST_ATTEMPTS or not self._balancer.others(request.tried):
            return False
        if free:
            return True
        granted = self._budget.grant(self.in_flight, time.monotonic())
        request.granted += granted
        return granted


class _Passage:
    """An answer that passes: what is seen of it on its way."""

    def __init__(self, upstream: aiohttp.ClientResponse, request: _Request) -> None:
        self.upstream = upstream
        self.failed = False
        """It said by now that it failed, whatever its status is."""
        well = upstream.status == 200
        self._ends_with_an_event = well and request.received.path.endswith(_WITH_A_TERMINAL_EVENT)
        kind = upstream.content_type
        streams = kind == EVENT_STREAM or (request.streams and kind in _UNNAMED)
        self._watch = AnswerWatch() if well and streams else None
        self._wanted_a_stream = request.streams
        self._looked = not well

    def feed(self, chunk: bytes) -> bool:
        """Whether these bytes are more than a comment."""
        if self._watch is not None:
            speaks = self._watch.feed(chunk)
            self.failed = self._watch.failed
            return speaks
        if not self._looked and chunk:
            self._looked, self.failed = True, self._ends_with_an_event and is_error(chunk)
        return bool(chunk)

    @property
    def outcome(self) -> str:
        """How it ended, where its last byte has come."""
        if self.failed:
            return outcomes.ERROR_EVENT
        if self._watch is None:
            # Whoever asked for a stream and got another thing has no terminal event: the load does not call it whole.
            missing = self._ends_with_an_event and self._wanted_a_stream
            return outcomes.TRUNCATED if missing else outcomes.of_status(self.upstream.status)
        incomplete = self._ends_with_an_event and not self._watch.complete
        return outcomes.TRUNCATED if incomplete else outcomes.OK


class _TruncatedError(Exception):
    """The replica's answer broke off."""


async def _next(upstream: aiohttp.ClientResponse) -> bytes:
    # aiohttp's errors of a broken upstream and of a client that left share their base classes.
    try:
        return await upstream.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        raise _TruncatedError from error


def _unreachable(request: _Request) -> web.Response:
    return hop.error(502, "replica_unreachable", "no replica answered", request.tried)
