"""The HTTP routes: OpenAI's endpoints, streamed or whole, and the probes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

from aiohttp import HttpVersion11, web

from reference_server.api.choices import Choices
from reference_server.api.direct_stream import DirectStream
from reference_server.api.errors import ApiError, invalid, unavailable
from reference_server.api.field_list import UNSERVED, cannot_shape
from reference_server.api.generation import Generation
from reference_server.api.openai_answers import CHAT, COMPLETION, Answer, Format, event, usage
from reference_server.api.openai_protocol import Order, chat_order, completion_order
from reference_server.api.refusals import why_invalid
from reference_server.config import Settings
from reference_server.engine import Engine
from reference_server.health import why_not_alive, why_not_ready
from reference_server.instrumentation import Instrumentation, Uninstrumented
from reference_server.models.served_model import ServedModel
from reference_server.sequence import TokenSequence

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OrderParser = Callable[[bytes, ServedModel], Order]
Streamer = Callable[[web.Request, Generation, Answer], Awaitable[web.StreamResponse]]
"""Answers a request as a stream."""

REPLICA_HEADER = "x-aftershock-replica"
_UNCOUNTED = Uninstrumented()
STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class Api:
    """The routes of one replica, and the requests in flight on them."""

    def __init__(
        self, settings: Settings, served: ServedModel, engine: Engine, instrumentation: Instrumentation
    ) -> None:
        self._settings = settings
        self._served = served
        self._engine = engine
        self._instrumentation = instrumentation
        self._invalid_requests = instrumentation.invalid_requests
        """Asked for now, so that its series are there from the start."""
        self._created = int(time.time())
        self.in_flight: set[Generation] = set()
        self.idle = asyncio.Event()
        """Set while no request is in flight."""
        self.idle.set()
        self.draining = False
        self.why_refused: Callable[[], str | None] = self._why_not_ready
        """Why a completion is refused now; the probes ask for themselves. A fault puts itself around it, and:"""
        self.stream: Streamer = streamed
        self.is_observer: Callable[[web.Request], bool] = lambda _: False
        """Whether a request comes from whoever looks after faults: such a one is in nobody's counts."""

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[_errors_in_openai_shape])
        app.on_response_prepare.append(self._name_replica)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name}", self._model)
        app.router.add_post("/v1/completions", self._handler(COMPLETION, completion_order))
        app.router.add_post("/v1/chat/completions", self._handler(CHAT, chat_order))
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _name_replica(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers[REPLICA_HEADER] = self._settings.replica_name

    async def _healthz(self, _: web.Request) -> web.Response:
        return _probe(why_not_alive(self._engine, self._settings))

    async def _readyz(self, _: web.Request) -> web.Response:
        return _probe(self._why_not_ready())

    def _why_not_ready(self) -> str | None:
        return why_not_ready(self._engine, self._settings, draining=self.draining)

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._card()]})

    async def _model(self, request: web.Request) -> web.Response:
        if request.match_info["name"] != self._served.name:
            raise ApiError(
                404, f"The model {request.match_info['name']!r} does not exist.", code="model_not_found"
            )
        return web.json_response(self._card())

    def _card(self) -> dict[str, object]:
        return {
            "id": self._served.name,
            "object": "model",
            "created": self._created,
            "owned_by": "aftershock",
            "max_model_len": self._served.longest,
        }

    def _handler(self, form: Format, parse: OrderParser) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            order = await self._understood(request, parse)
            instrumentation = _UNCOUNTED if self.is_observer(request) else self._instrumentation
            if reason := self.why_refused():
                for _ in order.sequences:
                    instrumentation.request(streaming=order.streaming).finished("rejected")
                raise unavailable(reason)
            answer = Answer(form, self._served.name, include_usage=order.include_usage)
            if not order.plain:
                return await self._choices(request, order, answer, instrumentation)
            generation = self._generation(order, order.sequence, instrumentation)
            with self._tracked(generation):
                if order.streaming:
                    return await self.stream(request, generation, answer)
                return await _whole(generation, answer)

        return handle

    async def _understood(self, request: web.Request, parse: OrderParser) -> Order:
        """The order, or ApiError, counted by why."""
        try:
            order = parse(await request.read(), self._served)
            if order.streaming and self._settings.serving_mode == "batch":
                raise invalid("stream: this replica serves whole answers only", "stream", UNSERVED)
            if order.shaped_by is not None and not self._engine.shapes:
                raise cannot_shape(order.shaped_by)
        except (ApiError, web.HTTPRequestEntityTooLarge) as error:
            if not self.is_observer(request):
                self._invalid_requests.count(why_invalid(error))
            raise
        return order

    def _generation(
        self, order: Order, sequence: TokenSequence, instrumentation: Instrumentation
    ) -> Generation:
        events = instrumentation.request(streaming=order.streaming)
        return Generation(
            self._engine, sequence, events, within_s=min(self._settings.request_s, order.within_s)
        )

    async def _choices(
        self, request: web.Request, order: Order, answer: Answer, instrumentation: Instrumentation
    ) -> web.StreamResponse:
        """Answer an order of several choices, or of one that tells more than its text."""
        choices = Choices(order, answer, self._served.tokenizer.to_bytes)
        response = _stream(request)
        try:
            with ExitStack() as in_flight:
                for sequence in order.sequences:
                    generation = self._generation(order, sequence, instrumentation)
                    in_flight.enter_context(self._tracked(generation))
                    in_flight.enter_context(choices.add(generation))
                if not order.streaming:
                    return web.json_response(await choices.whole())
                async for data in choices.events():
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(data)
        except ApiError as error:
            if not response.prepared:
                raise
            await response.write(event(error.body))
        return response

    @contextmanager
    def _tracked(self, generation: Generation) -> Iterator[None]:
        self.in_flight.add(generation)
        self.idle.clear()
        try:
            yield
        finally:
            self.in_flight.remove(generation)
            if not self.in_flight:
                self.idle.set()


async def _whole(generation: Generation, answer: Answer) -> web.Response:
    pieces: list[str] = []
    finish_reason = ""
    with generation:
        async for output in generation:
            pieces.append(output.text)
            finish_reason = output.finish_reason or ""
    return web.json_response(answer.whole("".join(pieces), finish_reason, usage(generation.sequence)))


async def streamed(request: web.Request, generation: Generation, answer: Answer) -> web.StreamResponse:
    """Send each output as it comes. The status waits for the first one: until then an error can still be one."""
    response = _stream(request)
    try:
        with generation, DirectStream(request, response, answer) as stream:
            async for output in generation:
                data = answer.text(output.text)
                if not response.prepared:
                    await response.prepare(request)
                    data = answer.opening() + data
                if output.finish_reason is not None:
                    stream.take_back()
                    data += answer.ending(output.finish_reason, usage(generation.sequence))
                if data:
                    await response.write(data)
                    # The head is out now, and nothing of the answer waits.
                    generation.pass_on(stream)
    except ApiError as error:
        if not response.prepared:
            raise
        await response.write(event(error.body))
    return response


def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=STREAM_HEADERS)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    return response


def _probe(problem: str | None) -> web.Response:
    if problem is None:
        return web.Response(text="ok\n")
    return web.Response(status=503, text=f"{problem}\n")


@web.middleware
async def _errors_in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(error.body, status=error.status, headers=error.headers)
    except web.HTTPException as error:
        shaped = ApiError(error.status, f"{error.reason}: {request.method} {request.path}")
        return web.json_response(shaped.body, status=error.status)
