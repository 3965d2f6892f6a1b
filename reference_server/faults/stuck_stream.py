"""Stuck streams: an answer that begins well, and then does what no answer should."""

import asyncio
import socket
import struct
from typing import Annotated, Literal

from aiohttp import HttpVersion11, web
from pydantic import Field

from reference_server.api.errors import ApiError, failed
from reference_server.api.generation import Generation
from reference_server.api.openai_answers import DONE, Answer, event, usage
from reference_server.api.routes import STREAM_HEADERS, Streamer
from reference_server.faults.order import Inside, Order, Undo

Way = Literal["silence", "drip", "reset", "end", "abort", "error"]


class _CutShortError(Exception):
    """The answer ends here, and what is left of its work is dropped."""


class StuckStream(Order):
    """After `after_tokens` outputs of a stream that began while it is in force.

    `silence`: nothing more, until the fault is over; `drip`: an output each `drip_s`; `reset`: the connection is
    reset; `end`: it ends in order, without its terminal event; `abort`: it ends politely with a `finish_reason` of
    abort; `error`: an event that is an error, inside the 200.
    """

    fault: Literal["stuck-stream"]
    way: Way
    after_tokens: Annotated[int, Field(ge=0)]
    drip_s: Annotated[float, Field(gt=0)] = 1.0

    def begin(self, inside: Inside) -> Undo:
        """Answer streams this way from now on."""
        over = asyncio.Event()

        def sticking(_: Streamer) -> Streamer:
            return _Stuck(self, over).stream

        take_off = inside.stream.put_on(sticking)

        def undo() -> None:
            take_off()
            over.set()

        return undo


class _Stuck:
    """Answers streams, event by event, until it is their turn to get stuck."""

    def __init__(self, order: StuckStream, over: asyncio.Event) -> None:
        self._order = order
        self._over = over

    async def stream(
        self, request: web.Request, generation: Generation, answer: Answer
    ) -> web.StreamResponse:
        """As the API would, up to the point."""
        response = web.StreamResponse(headers=STREAM_HEADERS)
        if request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        try:
            with generation:
                if not self._order.after_tokens:
                    await self._begin(request, response, answer)
                    await self._stick(request, response, generation, answer)
                await self._outputs(request, response, generation, answer)
        except _CutShortError:
            pass
        except ApiError as error:
            if not response.prepared:
                raise
            await response.write(event(error.body))
        return response

    async def _outputs(
        self, request: web.Request, response: web.StreamResponse, generation: Generation, answer: Answer
    ) -> None:
        sent = 0
        async for output in generation:
            await self._begin(request, response, answer)
            data = answer.text(output.text)
            if output.finish_reason is not None:
                data += answer.ending(output.finish_reason, usage(generation.sequence))
            if data:
                await response.write(data)
            sent += 1
            if sent >= self._order.after_tokens and output.finish_reason is None:
                await self._stick(request, response, generation, answer)

    @staticmethod
    async def _begin(request: web.Request, response: web.StreamResponse, answer: Answer) -> None:
        if not response.prepared:
            await response.prepare(request)
            if opening := answer.opening():
                await response.write(opening)

    async def _stick(
        self, request: web.Request, response: web.StreamResponse, generation: Generation, answer: Answer
    ) -> None:
        if self._over.is_set():
            return
        match self._order.way:
            case "silence":
                await self._over.wait()
                return
            case "drip":
                await _first(self._over, self._order.drip_s)
                return
            case "reset":
                _reset(request)
            case "end":
                await response.write_eof()
            case "abort":
                await response.write(answer.ending("abort", usage(generation.sequence)))
            case "error":
                await response.write(event(failed().body) + DONE)
        raise _CutShortError


async def _first(over: asyncio.Event, within_s: float) -> None:
    """Until it is over, or for so long."""
    await asyncio.wait([waiting := asyncio.ensure_future(over.wait())], timeout=within_s)
    waiting.cancel()


def _reset(request: web.Request) -> None:
    """End the connection with RST, whatever is still to be sent."""
    if request.transport is None:
        return
    connection: socket.socket | None = request.transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
