"""Bytes between two sockets, untouched: each direction apart, with backpressure, half-close and reset.

A connection through the proxy is two `Direction`s. Everything that flows in a direction passes through its
methods `carry`, `finish` and `reset`, where what is in force on its `Way` makes it wait: for connections already open
too.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chaos.targets.local.proxy.ends import End, reset
from chaos.targets.local.proxy.line import Line
from chaos.targets.local.proxy.shaping import Way, Ways
from chaos.targets.local.proxy.silence import set_silent


@dataclass(slots=True)
class Counters:
    """What passed a route since it was added."""

    connections: int = 0
    open: int = 0
    up_bytes: int = 0
    """Toward the replica."""
    down_bytes: int = 0
    """Toward the client."""


class Direction:
    """The way from one socket to the other."""

    def __init__(
        self, source: asyncio.Transport, sink: asyncio.Transport, count: Callable[[int], None], way: Way
    ) -> None:
        self.finished = False
        """Whether the source has sent its end."""
        self.delivered = False
        """Whether the sink has been sent that end, after everything before it."""
        self.back: Direction | None = None
        self._source = source
        self._sink = sink
        self._count = count
        self._way = way
        loop = asyncio.get_running_loop()
        self._line = Line(loop.call_at, loop.time, way)
        self._sink_is_full = False

    def carry(self, data: bytes) -> None:
        """Pass bytes on."""
        self._count(len(data))
        for piece in self._way.pieces(data) if self._way.shapes else (data,):
            self._in_turn(partial(self._write, piece), len(piece))

    def finish(self) -> None:
        """Pass the end of the stream on."""
        self.finished = True
        self._in_turn(self._write_eof)

    def close(self) -> None:
        """Both directions have ended: let the receiving side go once it is drained."""
        self._in_turn(self._sink.close)

    def reset(self) -> None:
        """Break the receiving side off, after what was sent before."""
        self._in_turn(self._reset)

    def forget(self, occurrence: str) -> None:
        """Let everything that waits go on as if this occurrence had never been."""
        self._line.forget(occurrence)
        self._balance()

    def hold(self) -> None:
        """Stop taking bytes from the source: the sink is full."""
        self._sink_is_full = True
        self._balance()

    def release(self) -> None:
        """Take bytes from the source again."""
        self._sink_is_full = False
        self._balance()

    def _in_turn(self, go: Callable[[], None], size: int = 0) -> None:
        if self._line.empty and not self._way.shapes:
            go()
            return
        self._line.add(self._way.waits(size), size, go)
        self._balance()

    def _write(self, data: bytes) -> None:
        if not self._sink.is_closing():
            self._sink.write(data)
        self._balance()

    def _write_eof(self) -> None:
        if self._sink.is_closing():
            return
        try:
            self._sink.write_eof()
        except OSError:  # the sink was reset a moment ago and its transport does not know yet
            self._reset()
            return
        self.delivered = True
        if self.back is not None and self.back.finished:  # nothing is to come from there any more, either
            self._sink.close()

    def _reset(self) -> None:
        self._line.drop()
        if not self._sink.is_closing():
            reset(self._sink)

    def _balance(self) -> None:
        """Read from the source unless the sink, or what waits for its time, is full."""
        if self._source.is_closing():
            return
        if self._sink_is_full or self._line.full:
            self._source.pause_reading()
        else:
            self._source.resume_reading()


class Connection:
    """A client's socket, the replica's socket, and the two directions between them."""

    def __init__(
        self,
        upstream: tuple[str, int],
        counters: Counters,
        ways: Ways,
        on_joined: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.client = End(self._open, self._lost_one)
        self.replica = End(lambda: None, self._lost_one)
        self.directions: tuple[Direction, Direction] | None = None
        """Toward the replica, and toward the client, once there are both."""
        self._upstream = upstream
        self._counters = counters
        self._ways = ways
        self._on_joined = on_joined
        self._on_lost = on_lost
        self._lost = 0
        loop = asyncio.get_running_loop()
        self._opening = Line(loop.call_at, loop.time)
        self._joining: asyncio.Task[None] | None = None
        counters.connections += 1
        counters.open += 1

    def reset(self) -> None:
        """Break both sides off."""
        for end in (self.client, self.replica):
            if end.transport is not None and not end.transport.is_closing():
                reset(end.transport)

    def forget(self, occurrence: str) -> None:
        """Let everything that waits go on as if this occurrence had never been, the opening itself too."""
        self._opening.forget(occurrence)
        for direction in self.directions or ():
            direction.forget(occurrence)

    def obey_cuts(self) -> None:
        """Have each socket hear its side, or nothing from it where that way is cut."""
        for end, way in ((self.client, self._ways.up), (self.replica, self._ways.down)):
            if end.transport is not None and not end.transport.is_closing():
                set_silent(end.transport, silent=way.cut)

    def _open(self) -> None:
        """Opening a connection is a packet there and one back."""
        if not self._ways.up.shapes and not self._ways.down.shapes:
            self._join_soon()
            return
        self.obey_cuts()
        self._opening.add(self._ways.up.waits(0, handshake=True), 0, self._answer)

    def _answer(self) -> None:
        self._opening.add(self._ways.down.waits(0, handshake=True), 0, self._join_soon)

    def _join_soon(self) -> None:
        self._joining = asyncio.ensure_future(self._join())

    async def _join(self) -> None:
        client = self.client.transport
        assert client is not None
        if client.is_closing():  # reset by an order while the connection was being opened
            self._lost_one()
            return
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.replica, *self._upstream)
        except OSError:  # nobody listens there: the client must see a dead address
            self._lost_one()
            reset(client)
            return
        replica = self.replica.transport
        assert replica is not None
        up = Direction(client, replica, self._count_up, self._ways.up)
        down = Direction(replica, client, self._count_down, self._ways.down)
        up.back, down.back = down, up
        self.directions = (up, down)
        self.client.outgoing = self.replica.incoming = up
        self.client.incoming = self.replica.outgoing = down
        self.obey_cuts()
        if client.is_closing():  # reset by an order meanwhile
            reset(replica)
        self._on_joined(self)
        up.release()
        down.release()

    def _count_up(self, size: int) -> None:
        self._counters.up_bytes += size

    def _count_down(self, size: int) -> None:
        self._counters.down_bytes += size

    def _lost_one(self) -> None:
        self._lost += 1
        if self._lost == 2:
            self._counters.open -= 1
            self._on_lost(self)
