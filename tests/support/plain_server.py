"""A streaming completion server that costs next to nothing, so that a benchmark beside it measures the client.

    python -m tests.support.plain_server [--gap-ms 0] [--port 0] [--shared-port]

One thread, one selector, answers made beforehand: as many tokens as the request asks for, at once or `--gap-ms` apart,
each an event and a chunk of its own. Prints its base URL, serves until it is ended. SIGSTOP and SIGCONT are its freeze;
`GET /requests` says how many completions were asked for. Where one core is too little, several of them share a port:
the kernel gives each connection to one of them.
"""

import argparse
import heapq
import json
import re
import selectors
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
_CLOSE, _KEEP = b"Connection: close\r\n\r\n", b"Connection: keep-alive\r\n\r\n"
_MODELS = json.dumps({"object": "list", "data": [{"id": "plain", "object": "model"}]}).encode()
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ASKED = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
_READ_BYTES = 65536


def _chunk(*events: object) -> bytes:
    body = b"".join(
        b"data: " + (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n\n"
        for each in events
    )
    return b"%x\r\n%s\r\n" % (len(body), body)


def _said(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "plain",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


@cache
def token(number: int) -> bytes:
    """One chunk with one word, the role before the first."""
    word = _said({"content": f"w{number} "})
    return _chunk(word) if number else _chunk(_said({"role": "assistant", "content": ""}), word)


@cache
def ending(count: int) -> bytes:
    """finish_reason, usage, the terminal event, and the end of the body."""
    total = {"prompt_tokens": 64, "completion_tokens": count, "total_tokens": 64 + count}
    usage = {**_said({}), "choices": [], "usage": total}
    return _chunk(_said({}, "length"), usage, b"[DONE]") + b"0\r\n\r\n"


@cache
def whole(count: int) -> bytes:
    """Everything after the head of an answer of `count` tokens."""
    return b"".join(map(token, range(count))) + ending(count)


class PlainServer:
    """The server; `serve` never returns."""

    def __init__(self, port: int, gap_s: float, *, shared_port: bool = False) -> None:
        self._gap_s = gap_s
        self._listener = socket.create_server(("127.0.0.1", port), backlog=65535, reuse_port=shared_port)
        self._listener.settimeout(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._unread: dict[socket.socket, bytes] = {}
        self._due: list[tuple[float, int, socket.socket, int, int]] = []
        """(instant, number, connection, next token, tokens): streams whose next token is still to come."""
        self._number = 0
        self.requests = 0

    def serve(self) -> None:
        """Answer whoever comes."""
        while True:
            wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait_s):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type] # sockets alone are registered
            while self._due and self._due[0][0] <= time.monotonic():
                self._go_on()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(0)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._unread[connection] = b""
                self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._end(connection)
            return
        request = self._unread[connection] + data
        head, found, body = request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            self._unread[connection] = request
            return
        self._unread[connection] = b""
        self._answer(connection, head, body)

    def _answer(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        kept_alive = b"close" not in head.lower()
        after_head = _KEEP if kept_alive else _CLOSE
        if head.startswith(b"GET"):
            listed = b"%d" % self.requests if head.startswith(b"GET /requests") else _MODELS
            found = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            self._say(connection, found % len(listed) + after_head + listed)
        else:
            self.requests += 1
            asked = _ASKED.search(body)
            count = int(asked[1]) if asked else 16
            if self._gap_s:
                self._say(connection, _HEAD + after_head)
                self._plan(connection, 0, count)
                return
            self._say(connection, _HEAD + after_head + whole(count))
        if not kept_alive:
            self._end(connection)

    def _plan(self, connection: socket.socket, number: int, count: int, since_s: float | None = None) -> None:
        self._number += 1
        due_s = (time.monotonic() if since_s is None else since_s) + self._gap_s
        heapq.heappush(self._due, (due_s, self._number, connection, number, count))

    def _go_on(self) -> None:
        due_s, _, connection, number, count = heapq.heappop(self._due)
        if connection not in self._unread:  # the client went
            return
        if number == count - 1:
            self._say(connection, token(number) + ending(count))
        elif self._say(connection, token(number)):
            self._plan(connection, number + 1, count, due_s)

    def _say(self, connection: socket.socket, data: bytes) -> bool:
        try:
            connection.sendall(data)
        except OSError:
            self._end(connection)
            return False
        return True

    def _end(self, connection: socket.socket) -> None:
        if self._unread.pop(connection, None) is not None:
            self._selector.unregister(connection)
            connection.close()


@contextmanager
def plain_server(gap_ms: float = 0.0) -> Iterator[tuple[str, int]]:
    """Base URL and process id of a server of its own process."""
    with _started(["--gap-ms", str(gap_ms)]) as (url, pid):
        yield url, pid


@contextmanager
def plain_servers(count: int, gap_ms: float = 0.0) -> Iterator[tuple[str, list[int]]]:
    """One base URL and the process ids of so many servers behind it, each of which has its share of the connections."""
    words = ["--gap-ms", str(gap_ms), "--shared-port"]
    with ExitStack() as started:
        url, first = started.enter_context(_started(words))
        port = url.rpartition(":")[2]
        others = [started.enter_context(_started([*words, "--port", port])) for _ in range(count - 1)]
        yield url, [first, *(pid for _, pid in others)]


@contextmanager
def _started(words: Sequence[str]) -> Iterator[tuple[str, int]]:
    command = [sys.executable, str(Path(__file__)), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), server.pid
        finally:
            server.terminate()


def asked_so_far(url: str) -> int:
    """How many completions a plain server was asked for."""
    with urllib.request.urlopen(f"{url}/requests", timeout=10) as answer:
        return int(answer.read())


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--gap-ms", type=float, default=0.0)
    parser.add_argument("--shared-port", action="store_true", help="other servers may listen on the port too")
    options = parser.parse_args()
    server = PlainServer(options.port, options.gap_ms / 1000, shared_port=options.shared_port)
    print(server.url, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
