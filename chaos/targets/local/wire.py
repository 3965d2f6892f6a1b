"""JSON lines between the processes of a local cluster: requests with an id are answered, the rest is told.

A request is `{"id": 1, "op": "undo", ...}`, its answer `{"id": 1, ...}` or `{"id": 1, "error": "why"}`. The
end of a process's standard input is its order to end: it comes even when the other side was killed.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any, Self, cast

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]

_LONGEST_LINE_BYTES = 16 * 1024 * 1024


class Channel:
    """One end of the line: reads one pipe, writes another, never waits for a reader that does not read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, incoming: IO[bytes], outgoing: IO[bytes]) -> Self:
        """A channel over two pipes, which it makes non-blocking and closes with itself."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), incoming)
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, outgoing)
        return cls(reader, writer)

    @classmethod
    async def of_stdio(cls) -> Self:
        """The channel to whoever started this process."""
        return await cls.over(sys.stdin.buffer, sys.stdout.buffer)

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue one message; one to a reader that is gone is dropped."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Message | None:
        """The next message; None when the other side is gone."""
        line = await self._reader.readline()
        return cast("Message", json.loads(line)) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Send what is queued, then the end of the line."""
        self._writer.close()


async def answer(channel: Channel, handlers: Mapping[str, Handler]) -> None:
    """Serve requests one by one until the other side is gone; a handler's exception becomes the answer."""
    while (message := await channel.receive()) is not None:
        try:
            reply = await handlers[message["op"]](message)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        if "id" in message:
            channel.send({"id": message["id"], **reply})


class Caller:
    """The asking side: matches answers to requests."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._failure: Exception | None = None

    def tell(self, op: str, **fields: Any) -> None:
        """Send something that wants no answer."""
        self._channel.send({"op": op, **fields})

    async def ask(self, op: str, **fields: Any) -> Message:
        """Send a request and wait for its answer.

        Raises:
            RuntimeError: it was answered with an error.
            Exception: whatever `fail` was given, now or earlier.
        """
        if self._failure is not None:
            raise self._failure
        number = next(self._ids)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._channel.send({"id": number, "op": op, **fields})
            reply = await future
        finally:
            del self._waiting[number]
        if "error" in reply:
            raise RuntimeError(f"{op}: {reply['error']}")
        return reply

    async def listen(self) -> None:
        """Deliver answers until the other side is gone; whoever still waits then waits for `fail`."""
        while (message := await self._channel.receive()) is not None:
            if (future := self._waiting.get(message["id"])) and not future.done():
                future.set_result(message)

    def fail(self, error: Exception) -> None:
        """No answer will come any more: raise this wherever one is awaited."""
        self._failure = error
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
