"""How fast bytes get through the network in front of a replica, measured from outside, beside the same without it."""

import http.client
import io
import math
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, cast

from chaos.targets.effects import Bucket, Link
from chaos.targets.local.ports import HOST
from chaos.targets.local.round_trips import Doors

_CONNECTIONS = 4
_LONG_ENOUGH_S = 0.4
"""How long a limit should keep what is sent: much longer than what a busy machine adds."""
_MOST_REQUESTS = 1000
_PADDING_BYTES = 4000
"""In the head of a request, of which every server takes eight thousand."""
_REQUEST_BYTES = 150
PATIENCE_S = 8.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """Some requests, one after another over each of a few connections."""

    up_bytes: int
    """Sent to the replica, at least: heads are estimated."""
    down_bytes: int
    """Had from it, at least."""
    took_s: float
    """Infinite where one had no answer."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """The same through the network and straight to the replica, right after another."""

    through: Transfer
    direct: Transfer

    def best(self, other: "Transfers | None") -> "Transfers":
        """The faster of two on either way: what a busy machine adds once, it need not add twice."""
        if other is None:
            return self
        return Transfers(
            min(self.through, other.through, key=lambda each: each.took_s),
            min(self.direct, other.direct, key=lambda each: each.took_s),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be asked of a replica."""

    requests: int
    padding_bytes: int
    """In the head of each."""


def buckets(link: Link) -> tuple[Bucket | None, Bucket | None]:
    """What limits the rate toward the replica, and from it."""
    up, down = link.to_replica, link.from_replica
    return (up.bucket if up is not None else None), (down.bucket if down is not None else None)


def kept_s(link: Link, transfer: Transfer) -> float:
    """How long the limits of a link keep a transfer at least."""
    sides = zip(buckets(link), (transfer.up_bytes, transfer.down_bytes), strict=True)
    return max((_kept_s(bucket, size) for bucket, size in sides if bucket is not None), default=0.0)


def order_for(link: Link, one: Transfer) -> Order:
    """As many requests as the limits of a link keep for long enough to be seen, but never very many.

    Args:
        link: with a limit.
        one: what a single request came to.
    """
    up, down = buckets(link)
    padding = _PADDING_BYTES if up is not None else 0
    needed = []
    for bucket, size in ((up, one.up_bytes + padding), (down, one.down_bytes)):
        if bucket is not None and bucket.rate_bytes_per_s and size:
            needed.append((bucket.burst_bytes + _LONG_ENOUGH_S * bucket.rate_bytes_per_s) / size)
    return Order(min(_MOST_REQUESTS, math.ceil(min(needed, default=1.0))), padding)


def transfer(doors: Doors, order: Order, patience_s: float = PATIENCE_S) -> Transfers:
    """Do what is ordered, through the network and straight."""
    return Transfers(
        *(_transfer(port, doors.path, order, patience_s) for port in (doors.through, doors.direct))
    )


def _kept_s(bucket: Bucket, size: int) -> float:
    return (
        max(0.0, size - bucket.burst_bytes) / bucket.rate_bytes_per_s if bucket.rate_bytes_per_s else math.inf
    )


def _transfer(port: int, path: str, order: Order, patience_s: float) -> Transfer:
    connections = min(_CONNECTIONS, order.requests)
    shares = [order.requests // connections + (n < order.requests % connections) for n in range(connections)]
    began_s = time.monotonic()
    with ThreadPoolExecutor(connections, thread_name_prefix="transfer") as pool:
        parts = [
            pool.submit(_ask, port, path, share, order.padding_bytes, began_s + patience_s)
            for share in shares
        ]
        down = [part.result() for part in parts]
    took_s = time.monotonic() - began_s
    up_bytes = order.requests * (_REQUEST_BYTES + order.padding_bytes)
    return Transfer(up_bytes, sum(each or 0 for each in down), math.inf if None in down else took_s)


def _ask(port: int, path: str, requests: int, padding_bytes: int, until_s: float) -> int | None:
    """Bytes of all answers; None where one did not come in time.

    All are asked at once and answered in order: so each costs a replica little but its bytes.
    """
    padding = f"X-Padding: {'x' * padding_bytes}\r\n" if padding_bytes else ""
    had = 0
    try:
        with socket.create_connection((HOST, port), max(0.001, until_s - time.monotonic())) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{padding}\r\n".encode() * requests)
            reader = _OneAfterAnother(socket.SocketIO(sock, "r"))
            for _ in range(requests):
                sock.settimeout(max(0.001, until_s - time.monotonic()))
                answer = http.client.HTTPResponse(cast("socket.socket", reader))
                answer.begin()
                had += len(answer.read()) + len(str(answer.headers))
    except (OSError, http.client.HTTPException):
        return None
    return had


class _OneAfterAnother(io.BufferedReader):
    """What answers are read from: stays open when one of them has been read to its end."""

    def makefile(self, _mode: str) -> Self:
        """What `http.client` asks a socket for."""
        return self

    def close(self) -> None:
        """Not yet: another answer follows; it goes with its socket."""
