"""A TCP connection of one greenlet, on watchers of gevent's loop, and the alarm that ends its patience.

gevent's own sockets would do the same at twice the processor time: they ask the kernel before they wait, put a timer
around each operation, and know nothing of what came until somebody reads. Here what comes is read and stamped in the
callback of the loop that saw it, however much work waits, and one timer per request is enough: it looks for itself how
far its limit has moved when it rings.

Nothing in here leaves a reference cycle once it is closed: the load runs without a garbage collector.
"""

import _socket  # the class below gevent's sockets: without opinions on waiting
import errno
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent

READ_BYTES = 65536
_READABLE, _WRITABLE = 1, 2
_UNDER_WAY = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR}
_CONNECTED = {0, errno.EISCONN}
_LAST_LOOK_S = 0.005


class Alarm:
    """Lets one greenlet at a time sleep until it is woken, or until its limit has come."""

    def __init__(self, remaining_s: Callable[[], float], look_every_s: float) -> None:
        """`remaining_s` says how much patience is left; it is asked again whenever the alarm rings.

        That is after `look_every_s` at the latest: by no more than that may a limit come nearer that nobody told of.
        """
        self._hub = gevent.get_hub()
        self._remaining_s = remaining_s
        self._look_every_s = look_every_s
        self._sleeper: Any = None
        self._over = self._looked = False
        self.look: Callable[[], bool] | None = None
        """Whether something has come that nobody has seen yet: this process may have been standing still."""
        self._timer: Any = None
        self.renew()

    def renew(self) -> None:
        """Ring when what is left now has passed."""
        self._ring_in(self._remaining_s())

    def wait(self) -> None:
        """Sleep until `wake`; whoever waits looks for itself whether it was for its sake.

        Raises:
            TimeoutError: the limit has come.
        """
        if not self._over:
            self._sleeper = gevent.getcurrent()
            try:
                self._hub.switch()
            finally:
                self._sleeper = None
        if self._over:
            raise TimeoutError("no time left")

    def wake(self) -> None:
        """End the sleep, if there is one; only in a callback of the loop."""
        sleeper = self._sleeper
        if sleeper is not None:
            self._sleeper = None
            sleeper.switch()

    def close(self) -> None:
        """Never ring again."""
        self._timer.close()
        self.look = None

    def _ring_in(self, remaining_s: float) -> None:
        if self._timer is not None:
            self._timer.close()
        self._timer = self._hub.loop.timer(max(0.0, min(remaining_s, self._look_every_s)))
        self._timer.start(self._ring)

    def _ring(self) -> None:
        remaining_s = self._remaining_s()
        if remaining_s > 0:
            self._looked = False
            self._ring_in(remaining_s)
        elif not self._looked and self.look is not None and self.look():
            self._looked = True  # once: a stream that never stops for breath has its end too
            self._ring_in(_LAST_LOOK_S)
        else:
            self._over = True
            self.wake()


class Connection:
    """A stream of bytes to one address. `connect` first, `close` last; any failure is an OSError."""

    def __init__(self, alarm: Alarm, family: int, kind: int, protocol: int) -> None:
        self._alarm = alarm
        self._loop = gevent.get_hub().loop
        self._socket = _socket.socket(family, kind, protocol)
        self._socket.settimeout(0)
        self._reader: Any = None
        self._received: deque[tuple[bytes | int, float]] = deque()
        """What came and when, on the monotonic clock; empty bytes are the end, a number is an error."""

    def connect(self, address: Any) -> None:
        """Until the connection stands."""
        code = self._socket.connect_ex(address)
        if code in _UNDER_WAY:  # on one host it stands by now, and asking is cheaper than waiting
            code = self._socket.connect_ex(address)
        while code in _UNDER_WAY:
            self._wait_until_writable()
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code not in _CONNECTED:
            raise OSError(code, os.strerror(code))
        self._reader = self._loop.io(self._socket.fileno(), _READABLE)
        self._reader.start(self._read)
        self._alarm.look = self._look

    def send(self, data: bytes) -> None:
        """All of it."""
        while True:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
            self._wait_until_writable()

    def receive(self) -> tuple[bytes, float]:
        """What came next, and when on the monotonic clock; empty at the end."""
        while not self._received:
            self._alarm.wait()
        data, at_s = self._received.popleft()
        if isinstance(data, int):
            raise OSError(data, os.strerror(data))
        return data, at_s

    def close(self) -> None:
        """At once, whatever is under way."""
        if self._reader is not None:
            self._reader.close()
        self._alarm.look = None
        self._socket.close()

    def _read(self) -> None:
        try:
            data: bytes | int = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            data = error.errno or errno.EIO
        self._received.append((data, time.monotonic()))
        if not data or isinstance(data, int):
            self._reader.stop()
        # Stamped: what to make of it can wait until due arrivals have left.
        self._loop.run_callback(self._alarm.wake)

    def _look(self) -> bool:
        if self._reader.active:
            self._read()
        return bool(self._received)

    def _wait_until_writable(self) -> None:
        writer = self._loop.io(self._socket.fileno(), _WRITABLE)
        writer.start(self._alarm.wake)
        try:
            self._alarm.wait()
        finally:
            writer.close()


class SecuredConnection:
    """TLS over a connection that stands; the same three verbs."""

    def __init__(self, connection: Connection, context: ssl.SSLContext, host: str) -> None:
        self._connection = connection
        self._came, self._leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._leaves, server_hostname=host)
        self._came_s = 0.0

    def shake_hands(self) -> None:
        """Until both sides are sure of each other."""
        self._until_done(self._tls.do_handshake)

    def send(self, data: bytes) -> None:
        """All of it."""
        self._until_done(lambda: self._tls.write(data))

    def receive(self) -> tuple[bytes, float]:
        """As `Connection.receive`; an end without TLS's own farewell is an end, as common servers have it."""
        with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return self._until_done(lambda: self._tls.read(READ_BYTES)), self._came_s
        return b"", self._came_s

    def close(self) -> None:
        """At once, without a farewell: the answer has had its terminal event, or has none."""
        self._connection.close()

    def _until_done(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data, self._came_s = self._connection.receive()
                if data:
                    self._came.write(data)
                else:
                    self._came.write_eof()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if self._leaves.pending:
            self._connection.send(self._leaves.read())
