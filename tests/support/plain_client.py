"""A plain client and a plain server over TCP, and what the one sees of the other: for the tables of network faults.

Sockets and threads of the standard library, no HTTP, nothing of ours in between. The first line that a client sends
says what it wants: exchanges of small packets, a stream of small events as tokens are, or bulk.
"""

import ctypes
import json
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
QUESTION, ANSWER = b"q" * 200, b"a" * 300
STAMP = struct.Struct("d")
EVENT_BYTES = 60
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """How much of each is to be seen."""

    connections: int = 10
    exchanges: int = 20
    """On each connection, one after another."""
    events: int = 400
    """Of one stream."""
    gap_s: float = 0.01
    """Between two of them."""
    bulk_bytes: int = 0
    """0 for none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Median and P99, in milliseconds."""

    opening: tuple[float, float]
    """A new connection and one exchange over it."""
    exchange: tuple[float, float]
    """A question and its answer over an open connection."""
    event: tuple[float, float]
    """How late an event of a stream came."""
    bulk_kb_per_s: float | None


def _serve(sock: socket.socket) -> None:
    with sock, suppress(ConnectionError, TimeoutError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = sock.makefile("rb")
        if not (line := reader.readline()):
            return  # a connection, and nothing over it
        wanted = json.loads(line)
        if wanted["op"] == "exchange":
            while reader.read(len(QUESTION)):
                sock.sendall(ANSWER)
        elif wanted["op"] == "stream":
            due_s = time.monotonic()
            for _ in range(wanted["events"]):
                time.sleep(max(0.0, due_s - time.monotonic()))
                sock.sendall(STAMP.pack(time.monotonic()).ljust(EVENT_BYTES))
                due_s += wanted["gap_s"]
        else:
            sock.sendall(b"b" * wanted["bytes"])


@contextmanager
def server(prepare: Callable[[socket.socket], None] = lambda _: None) -> Iterator[int]:
    """A server on a free port, its accepted sockets prepared as said; the port."""
    listener = socket.create_server((HOST, 0), backlog=256)
    prepare(listener)

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock = listener.accept()[0]
                prepare(sock)
                threading.Thread(target=_serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def _asking(port: int, prepare: Callable[[socket.socket], None], **wanted: Any) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        prepare(sock)
        sock.settimeout(PATIENCE_S)
        sock.connect((HOST, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(json.dumps(wanted).encode() + b"\n")
        yield sock


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("the server has ended")
        data += more
    return data


def see(port: int, work: Work, prepare: Callable[[socket.socket], None] = lambda _: None) -> Seen:
    """What a client sees at a port, its own sockets prepared as said."""

    def exchanges(_: int) -> tuple[float, list[float]]:
        began_s = time.monotonic()
        taken = []
        with _asking(port, prepare, op="exchange") as sock:
            for _ in range(1 + work.exchanges):
                sock.sendall(QUESTION)
                _read(sock, len(ANSWER))
                taken.append(time.monotonic() - began_s)
                began_s = time.monotonic()
        return taken[0], taken[1:]

    with ThreadPoolExecutor(work.connections) as pool:
        each = [pair for _ in range(5) for pair in pool.map(exchanges, range(work.connections))]
    late = []
    with _asking(port, prepare, op="stream", events=work.events, gap_s=work.gap_s) as sock:
        for _ in range(work.events):
            (sent_s,) = STAMP.unpack_from(_read(sock, EVENT_BYTES))
            late.append(time.monotonic() - sent_s)
    rate = None
    if work.bulk_bytes:
        with _asking(port, prepare, op="bulk", bytes=work.bulk_bytes) as sock:
            began_s = time.monotonic()
            _read(sock, work.bulk_bytes)
            rate = work.bulk_bytes / (time.monotonic() - began_s) / 1000
    taken = [one for _, those in each for one in those]
    return Seen(_ms([first for first, _ in each]), _ms(taken), _ms(late), rate)


def _ms(values_s: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values_s)
    return 1000 * statistics.median(ordered), 1000 * ordered[-(-99 * len(ordered) // 100) - 1]


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    )


class LostPackets:
    """Has the kernel lose this share of the packets that arrive at a socket, and TCP do about it what it does.

    A socket filter that draws a number for each packet (`SKF_AD_RANDOM`). What loses packets here is no model: it is
    what the model of the proxy is compared with.
    """

    def __init__(self, share: float) -> None:
        """Prepare the filter: load a random number, keep nothing of the packet where it is small."""
        program = (
            _Instruction(0x20, 0, 0, 0xFFFFF000 + 56),
            _Instruction(0x35, 1, 0, int(share * 0xFFFFFFFF)),
            _Instruction(0x06, 0, 0, 0),
            _Instruction(0x06, 0, 0, 0xFFFFFFFF),
        )
        self._program = (_Instruction * len(program))(*program)

    def __call__(self, sock: socket.socket) -> None:
        """Put it on a socket."""
        address = ctypes.addressof(self._program)
        sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", len(self._program), address))
