"""Latency between peers: a round trip over an open TCP connection, and whatever a sharded server times itself.

Peers and operations are bounded: those beyond the bound are counted together as `other`, so that no label can grow.
"""

import socket
import socketserver
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Self

from prometheus_client import CollectorRegistry

from exporters.polling import Poller
from exporters.registry import counter, histogram
from exporters.series import comm as declared

MAX_PEERS = 64
MAX_OPS = 8
OTHER = "other"
MESSAGE_BYTES = 16
_MAX_CONNECTIONS = 256
_IDLE_S = 60.0


class CommMetrics:
    """`ds_comm_latency_seconds` and its failures; any thread may report. A sharded server mounts this alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """ValueError when the registry already holds these families."""
        self._latency = histogram(declared.COMM_LATENCY, registry)
        self._failures = counter(declared.COMM_FAILURES, registry)
        self._lock = threading.Lock()
        self._known: dict[str, set[str]] = {"op": set(), "peer": set()}

    def observe(self, op: str, scope: str, peer: str, latency_s: float) -> None:
        """One operation took this long.

        Raises:
            ValueError: the scope is neither `intra` nor `inter`.
        """
        self._latency.labels(*self._labels(op, scope, peer)).observe(latency_s)

    def failed(self, op: str, scope: str, peer: str) -> None:
        """One operation had no answer in time; ValueError as above."""
        self._failures.labels(*self._labels(op, scope, peer)).inc()

    def expect(self, op: str, scope: str, peer: str) -> None:
        """Show both series from now on, at zero: a first failure is an increase only from there."""
        labels = self._labels(op, scope, peer)
        self._latency.labels(*labels)
        self._failures.labels(*labels)

    def _labels(self, op: str, scope: str, peer: str) -> tuple[str, str, str]:
        if scope not in declared.SCOPES:
            raise ValueError(f"scope is one of {', '.join(declared.SCOPES)}, not {scope!r}")
        return self._bounded("op", op, MAX_OPS), scope, self._bounded("peer", peer, MAX_PEERS)

    def _bounded(self, label: str, value: str, most: int) -> str:
        with self._lock:
            known = self._known[label]
            if value not in known and len(known) >= most:
                return OTHER
            known.add(value)
            return value


@dataclass(frozen=True, slots=True)
class Peer:
    """Where another responder listens."""

    host: str
    port: int
    called: str = ""
    """Where it has a better name than its address."""

    @property
    def name(self) -> str:
        """The label `peer`."""
        if self.called:
            return self.called
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def peer_of(text: str) -> Peer:
    """`host:port` or `[address]:port` as a peer; ValueError when it is neither."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"expected host:port, got {text!r}")
    return Peer(host, int(port))


def scope_of(peer: Peer) -> str:
    """`intra` when the peer's address is one of this host's own, else `inter`; `inter` when it has no address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(peer.host, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)  # the system binds to addresses of its own only
    except OSError:
        return "inter"
    return "intra"


class Responder:
    """Sends back what it gets, to a bounded number of peers at once."""

    def __init__(self, host: str, port: int) -> None:
        """Listen from now on, port 0 takes a free one; OSError when the address cannot be bound."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = _EchoServer(host, port, family)
        self._thread = threading.Thread(target=self._server.serve_forever, name="responder", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no more; open connections end with their peers or after a minute of silence."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _EchoServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = _MAX_CONNECTIONS
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, family: socket.AddressFamily) -> None:
        self.address_family = family
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__((host, port), _Echo)

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002  the base's signature
        """Refuse a connection beyond the bound."""
        return self._free.acquire(blocking=False)

    def end(self) -> None:
        """A connection ended."""
        self._free.release()


class _Echo(socketserver.BaseRequestHandler):
    server: _EchoServer

    def handle(self) -> None:
        self.request.settimeout(_IDLE_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            while received := self.request.recv(4096):
                self.request.sendall(received)

    def finish(self) -> None:
        self.server.end()


class Pinger:
    """Times a round trip to one peer every `every_s` seconds until stopped; connecting is not part of it."""

    def __init__(self, peer: Peer, metrics: CommMetrics, *, every_s: float, timeout_s: float) -> None:
        self._peer = peer
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._labels = (declared.TCP_RTT, scope_of(peer), peer.name)
        self._connection: socket.socket | None = None
        self._numbers = count(1)
        self._stopped = threading.Event()
        metrics.expect(*self._labels)
        self._poller = Poller(self._ping, period_s=every_s)

    def stop(self) -> None:
        """Ping no more; a trip under way ends by its deadline."""
        self._stopped.set()
        self._poller.stop()

    def close(self) -> None:
        """Ping no more, and leave the peer."""
        self.stop()
        self._poller.close()
        self._disconnect()

    def _ping(self) -> None:
        try:
            connection = self._connection or self._connect()
            message = next(self._numbers).to_bytes(MESSAGE_BYTES, "big")
            started_s = time.monotonic()
            connection.sendall(message)
            _expect(connection, message, deadline_s=started_s + self._timeout_s)
            self._metrics.observe(*self._labels, time.monotonic() - started_s)
        except OSError:
            # An answer that comes late would be taken for the next one's: begin with a new connection.
            self._disconnect()
            self._metrics.failed(*self._labels)
        if self._stopped.is_set():
            self._disconnect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._peer.host, self._peer.port), self._timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _expect(connection: socket.socket, message: bytes, *, deadline_s: float) -> None:
    received = b""
    while len(received) < len(message):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        piece = connection.recv(len(message) - len(received))
        if not piece:
            raise ConnectionResetError("the peer closed the connection")
        received += piece
    if received != message:
        raise ConnectionAbortedError("the peer answered something else")
