"""One request on the API's side: it enters the engine, its outputs come back, and it ends once, whichever way."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from reference_server.api.direct_stream import DirectStream
from reference_server.api.errors import ApiError, queue_full, timed_out
from reference_server.engine import Engine, QueueFullError
from reference_server.instrumentation import RequestEvents
from reference_server.sequence import Output, TokenSequence

_OUTCOMES = {504: "timeout", 429: "rejected"}
"""Rejected are those choices of a request, too, whose like found no more place in the queue."""


class Generation:
    """A request in flight, and an iterator over its outputs.

    A context manager, so that leaving it early drops its work from the engine's next step. Entering raises
    ApiError 429 when the queue is full.
    """

    def __init__(
        self, engine: Engine, sequence: TokenSequence, events: RequestEvents, *, within_s: float
    ) -> None:
        self._engine = engine
        self._within_s = within_s
        self._complete = False
        self._arrivals: asyncio.Queue[Output | ApiError] = asyncio.Queue()
        self._stream: DirectStream | None = None
        self._handed_over = 0
        """Outputs that the engine's thread did not send itself; it alone counts them. Of these, counted by the loop:"""
        self._received = 0
        self._written = 0
        """The last of those before which, and with which, all is written."""
        self._take: Callable[[Output | ApiError], None] = self._arrivals.put_nowait
        self.sequence = sequence
        self.sequence.events, self.sequence.send, self.sequence.receive = events, self._send, self._receive

    def __enter__(self) -> Self:
        try:
            self._engine.submit(self.sequence)
        except QueueFullError:
            self.sequence.events.finished("rejected")
            raise queue_full() from None
        self._timer = asyncio.get_running_loop().call_later(
            self._within_s, self.fail, timed_out(self._within_s)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._stream = None
        if error is not None:
            self._engine.abort(self.sequence)
        self.sequence.events.finished(_outcome(error), prompt_tokens=len(self.sequence.prompt))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Output:
        """The next token's output, to the last; raises what `fail` was given."""
        if self._complete:
            raise StopAsyncIteration
        arrival = await self._arrivals.get()
        if isinstance(arrival, ApiError):
            raise arrival
        self._complete = arrival.finish_reason is not None
        return arrival

    def pass_on(self, stream: DirectStream) -> None:
        """From now on the text of outputs goes to a stream; the iterator has what came before, and the last.

        No task is woken up for it, and soon no thread: that is most of what a token costs here.
        """
        self._stream = stream

    def hand_on(self, take: Callable[[Output | ApiError], None]) -> None:
        """Whatever arrives goes to `take` instead, errors too; said before entering, for one of several choices."""
        self._take = take

    def _send(self, output: Output) -> bool:
        stream, overtakes = self._stream, self._written != self._handed_over
        if stream is None or overtakes or output.finish_reason is not None or not stream.send(output.text):
            self._handed_over += 1
            return False
        return True

    def _receive(self, output: Output) -> None:
        self._received += 1
        if self._stream is None or output.finish_reason is not None or not self._arrivals.empty():
            self._take(output)
        else:
            self._stream.write(output.text)
            self._written = self._received

    def fail(self, error: ApiError) -> None:
        """End it from outside."""
        self._take(error)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, asyncio.CancelledError | ConnectionError):
        return "aborted"
    return _OUTCOMES.get(error.status, "error") if isinstance(error, ApiError) else "error"
