"""Events of a stream that has begun, sent by the thread that has them: the engine's, so that none is woken for a token.

Bytes have one way at a time, and change it twice at most, so that none overtakes another:

1. the loop's transport, from the head on;
2. the connection's socket, from the first event that the loop finds nothing buffered before: written by the loop while
   it still has outputs, and by the engine's thread where it has none (`Generation` counts them);
3. the transport again, for good, once the socket would block, and before the loop ends the answer, whichever way.
"""

import asyncio
import os
import threading
from types import TracebackType
from typing import Self

from aiohttp import web

from reference_server.api.openai_answers import Answer


class DirectStream:
    """One answer's; a context manager, that leaves with nothing on its way but what the transport has."""

    def __init__(self, request: web.Request, response: web.StreamResponse, answer: Answer) -> None:
        self._request = request
        self._response = response
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        """Held by whoever uses what follows."""
        self._descriptor: int | None = None
        """Of the connection while the socket is the way. A copy: the loop may close its own at any time, and the number
        may be another connection's then."""
        self._left = b""
        """What the socket did not take, until the transport has it."""
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_back()

    def write(self, text: str) -> None:
        """On the loop: send the event of a text, the first such one and any that the socket does not take too."""
        if (transport := self._transport()) is None:
            return
        with self._lock:
            if self._descriptor is None and not self._over and not transport.get_write_buffer_size():
                self._descriptor = os.dup(transport.get_extra_info("socket").fileno())
        if not self.send(text):
            self.take_back()
            transport.write(self._event(text))

    def send(self, text: str) -> bool:
        """On any thread: send the event of a text by the socket; False where that is not the way."""
        data = self._event(text)
        with self._lock:
            if self._descriptor is None:
                return False
            try:
                sent = os.write(self._descriptor, data) if data else 0
            except OSError:  # it would block; or the connection is gone, which the transport sees as well
                sent = 0
            if sent < len(data):
                self._left = data[sent:]
                self._close()
                self._loop.call_soon_threadsafe(self.take_back)
            return True

    def take_back(self) -> None:
        """On the loop: what comes now goes through the transport, after what the socket did not take."""
        with self._lock:
            self._close()
            left, self._left = self._left, b""
        if left and (transport := self._transport()) is not None:
            transport.write(left)

    def _close(self) -> None:
        self._over = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _transport(self) -> asyncio.Transport | None:
        transport = self._request.transport
        return None if transport is None or transport.is_closing() else transport

    def _event(self, text: str) -> bytes:
        data = self._answer.text(text)
        return b"%x\r\n%b\r\n" % (len(data), data) if data and self._response.chunked else data
