"""One streaming request, every instant of its life stamped, and exactly one outcome at its end.

Written on gevent sockets and geventhttpclient's response parser (llhttp in C), because each layer above
them hides what matters here: Locust's `iter_lines` reads blocks of 1,024 bytes and so sees a token only
when many have come, clients retry silently, and none says when it connected or whether a reset came before
or after the headers.

**One connection per request**, on purpose. A pooled keep-alive socket stays pinned to the replica it first
met, so a balancer in front cannot move the load; and a pool meets a dead replica as a stale socket, which
it replaces with a silent retry. A connection costs about 0.1 ms on loopback, and `connected_s` says what it
cost elsewhere.

Nothing is ever retried and no redirect is followed.
"""

import errno
import ipaddress
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
from gevent import socket as resolving
from gevent import ssl

from loadtests.answer import Answer
from loadtests.completions import PATH, prompt_in
from loadtests.connection import Alarm, Connection, SecuredConnection
from loadtests.endpoint import Endpoint
from loadtests.exchange import Exchange, RequestFailedError
from loadtests.refusals import shown
from loadtests.response import HTTPParseError, Response
from loadtests.rows import CENSORED, CLIENT_DROPPED, OK, Row
from loadtests.spec import Timeouts

_OWN_LIMITS = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
"""This machine out of descriptors, ports or memory: not to be read as the server's failure."""


class StreamingClient:
    """Sends requests to one endpoint; any number of greenlets may share it."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts, start_s: float) -> None:
        """`start_s` is the instant of the host's monotonic clock at which the run clock reads 0."""
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._start_s = start_s
        self._tls = ssl.create_default_context() if endpoint.scheme == "https" else None
        headers = {
            "Host": endpoint.authority,
            "User-Agent": "aftershock",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # a compressor would hold tokens back
            "Connection": "close",
            "Content-Type": "application/json",
            **endpoint.authorization,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._literal = _literal_address(endpoint)
        self._head = f"POST {endpoint.prefix}{PATH} HTTP/1.1\r\n{lines}"

    def request(
        self,
        index: int,
        intended_s: float,
        body: bytes,
        asked_tokens: int | None = None,
        keep: Callable[[str], str] | None = None,
    ) -> Row:
        """Send one request now and follow it to its end, in a greenlet of its own.

        Every error is an outcome. A kill is one too, `censored`, and ends here: the caller's greenlet goes on.
        With `asked_tokens` an answer of fewer is `short`. `keep` makes what the row keeps of a complete answer.
        """
        exchange = Exchange(index, intended_s, self._now_s(), asked_tokens)
        exchange.answer = Answer(keeps_text=keep is not None)
        try:
            self._perform(exchange, body)
            outcome, message = exchange.verdict()
        except RequestFailedError as failure:
            outcome, message = failure.outcome, str(failure)
        except gevent.GreenletExit:
            outcome, message = (CENSORED, None) if exchange.ended_s is None else exchange.verdict()
        except Exception as error:  # a mistake of ours must neither be the server's nor end the schedule
            outcome, message = CLIENT_DROPPED, f"in the client: {error!r}"
        if exchange.ended_s is None:
            exchange.ended_s = self._now_s()
        key = self._endpoint.api_key
        said = exchange.answer.text
        kept = keep("".join(said)) if keep is not None and said is not None and outcome == OK else None
        return exchange.row(outcome, None if message is None else shown(message, key, prompt_in(body)), kept)

    def _now_s(self) -> float:
        return time.monotonic() - self._start_s

    def _remaining_s(self, exchange: Exchange) -> float:
        return exchange.next_limit(self._timeouts)[0] - self._now_s()

    def _perform(self, exchange: Exchange, body: bytes) -> None:
        # The first token brings the limit nearer, to the stall's: none is nearer to any instant than that.
        alarm = Alarm(partial(self._remaining_s, exchange), self._timeouts.stall_s)
        try:
            connection = self._connect(exchange, alarm)
            try:
                exchange.connected_s = self._now_s()
                head = f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
                self._send(exchange, connection, head + body)
                exchange.sent_s = self._now_s()
                self._receive(exchange, connection, alarm)
            finally:
                connection.close()
        finally:
            alarm.close()

    def _connect(self, exchange: Exchange, alarm: Alarm) -> Connection | SecuredConnection:
        """A connection, TLS included, to the first address of the host that takes one."""
        failure = RequestFailedError("dns", "the name has no address")
        for family, kind, protocol, _, address in self._addresses(exchange):
            try:
                connection = Connection(alarm, family, kind, protocol)
            except OSError as own:
                raise _unconnected(own) from None
            try:
                connection.connect(address)
                return self._secured(connection)
            except OSError as refusal:
                connection.close()
                failure = _unconnected(refusal)
            except gevent.GreenletExit:
                connection.close()
                raise
        try:
            raise failure
        finally:
            del failure  # an error that a frame of its own traceback holds is a cycle

    def _addresses(self, exchange: Exchange) -> list[Any]:
        """Resolved for every request, because pods move; an IP address needs no resolver."""
        if self._literal is not None:
            return self._literal
        try:
            with gevent.Timeout(max(0.0, self._remaining_s(exchange)), TimeoutError("no address in time")):
                host, port = self._endpoint.host, self._endpoint.port
                return list(resolving.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            traceback.clear_frames(error.__traceback__)  # gevent's own hold the error, and that is a cycle
            raise RequestFailedError("dns", str(error)) from None

    def _secured(self, connection: Connection) -> Connection | SecuredConnection:
        if self._tls is None:
            return connection
        secured = SecuredConnection(connection, self._tls, self._endpoint.host)
        secured.shake_hands()
        return secured

    def _send(self, exchange: Exchange, connection: Connection | SecuredConnection, data: bytes) -> None:
        try:
            connection.send(data)
        except OSError as error:
            raise self._failed(exchange, error) from None

    def _receive(self, exchange: Exchange, connection: Connection | SecuredConnection, alarm: Alarm) -> None:
        response = Response()
        while exchange.ended_s is None:
            try:
                data, at_s = connection.receive()
            except OSError as error:
                raise self._failed(exchange, error) from None
            self._take(exchange, response, data, at_s - self._start_s)
        if not response.message_complete:
            alarm.renew()
            _await_end(connection.receive, response)
        if exchange.status != 200:
            exchange.refusal = response.take_body()

    def _take(self, exchange: Exchange, response: Response, data: bytes, now_s: float) -> None:
        """Note what came; the exchange has ended when it was the terminal event, or the head of a refusal."""
        if not data:
            raise exchange.closed()
        try:
            response.feed(data)
        except HTTPParseError as error:
            raise RequestFailedError("bad_event", f"not HTTP: {error}") from None
        if not response.has_headers:
            return
        if exchange.headers_s is None:
            exchange.take_headers(response, now_s)
        if exchange.status != 200:
            exchange.ended_s = now_s  # refused: that its body may come late, or never, changes nothing
            return
        if exchange.take_body(response.take_body(), now_s):
            return
        if response.message_complete:
            raise exchange.closed()

    def _failed(self, exchange: Exchange, error: OSError) -> RequestFailedError:
        """The failure that an error of the connection means now."""
        if isinstance(error, TimeoutError) and error.errno is None:  # the alarm's, not the kernel's
            limit_s, outcome = exchange.next_limit(self._timeouts)
            return RequestFailedError(outcome, f"nothing until {limit_s:.3f} s on the run clock")
        return exchange.broken(error)


def _literal_address(endpoint: Endpoint) -> list[Any] | None:
    """What the resolver would say of a host that is an IP address; gevent would ask it in a thread each time."""
    try:
        version = ipaddress.ip_address(endpoint.host).version
    except ValueError:
        return None
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return [(family, socket.SOCK_STREAM, 0, "", (endpoint.host, endpoint.port))]


def _await_end(receive: Callable[[], tuple[bytes, float]], response: Response) -> None:
    """Read to the end of the response, for a moment: going earlier would look like an abort to a gateway."""
    with suppress(OSError, HTTPParseError):
        while not response.message_complete and (data := receive()[0]):
            response.feed(data)


def _unconnected(error: OSError) -> RequestFailedError:
    """Unreachable networks and failed TLS handshakes count as refused: nobody took the connection."""
    if error.errno in _OWN_LIMITS:
        outcome = CLIENT_DROPPED
    elif isinstance(error, TimeoutError):
        outcome = "connect_timeout"
    else:
        outcome = "reset_before_headers" if isinstance(error, ConnectionResetError) else "connect_refused"
    return RequestFailedError(outcome, str(error))
