"""The two sockets of a connection through the proxy: what each reads goes to whatever stands on its way out."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

_LINGER_ZERO = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport) -> None:
    """Close at once with RST, dropping what is queued: the peer must not take this for a clean end."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    cast("asyncio.WriteTransport", transport).abort()


class Outgoing(Protocol):
    """What an end hands its bytes to: a `Direction`, or what reads the HTTP in front of one."""

    finished: bool

    @property
    def delivered(self) -> bool:
        """Whether the other side has been sent the end."""

    def carry(self, data: bytes) -> None:
        """Take bytes."""

    def finish(self) -> None:
        """Take the end of the stream."""

    def close(self) -> None:
        """Both directions have ended."""

    def reset(self) -> None:
        """The source was broken off."""

    def hold(self) -> None:
        """The sink is full."""

    def release(self) -> None:
        """The sink is not full any more."""


class End(asyncio.Protocol):
    """One socket of a connection: hands what it reads to its outgoing direction."""

    def __init__(self, on_made: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.outgoing: Outgoing | None = None
        self.incoming: Outgoing | None = None
        self._on_made = on_made
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hold the bytes back until the other end exists."""
        self.transport = cast("asyncio.Transport", transport)
        # Not at once: before Python 3.11.4 a transport starts to read after this call, paused or not.
        asyncio.get_running_loop().call_soon(self._hold_back)
        self._on_made()

    def _hold_back(self) -> None:
        if self.outgoing is None and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Carry it over."""
        assert self.outgoing is not None
        self.outgoing.carry(data)

    def eof_received(self) -> bool:
        """Carry the half-close over; this side may be written to until that direction has ended too."""
        assert self.outgoing is not None
        assert self.incoming is not None
        self.outgoing.finish()
        return not self.incoming.delivered

    def pause_writing(self) -> None:
        """This side is full: stop reading the other."""
        assert self.incoming is not None
        self.incoming.hold()

    def resume_writing(self) -> None:
        """This side drained: read the other again."""
        assert self.incoming is not None
        self.incoming.release()

    def connection_lost(self, error: Exception | None) -> None:
        """Carry over how it ended: an error, or a loss before both sides had finished, is a reset."""
        if self.outgoing is not None and self.incoming is not None:
            if error is None and self.outgoing.finished and self.incoming.finished:
                self.outgoing.close()
            else:
                self.outgoing.reset()
        self._on_lost()
