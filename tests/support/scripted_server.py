"""A streaming completion server that does exactly what the path tells it, on real sockets.

`/ok/v1/chat/completions` streams; the first segment of the path is the script, and numbers in it are its
parameters: `/ok-6-50` is 6 tokens, 50 ms apart. `/ok` is as many as a request with `ignore_eos` asks for, and 2
otherwise. The silence is the other half: from one instant to another, measured here, nothing is accepted, read or
written on any connection, because the only thread that could do it sleeps.

Also runs alone: `python -m tests.support.scripted_server --port 8000`.
"""

import argparse
import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Self

from tests.support.odd_answers import ANSWERS

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = (
    HEADERS
    + b"Transfer-Encoding: chunked\r\nConnection: close\r\n"  # one answer, and it is gone: whoever pools it must know
    + b"X-Aftershock-Replica: replica-a\r\nX-Aftershock-Attempts: 2\r\n\r\n"
)
UNFRAMED = HEADERS + b"Connection: close\r\n\r\n"
MODELS = json.dumps({"object": "list", "data": [{"id": "tiny", "object": "model"}]}).encode()


def event(**choice: object) -> bytes:
    """One SSE event with one choice."""
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "finish_reason": None} | choice]}).encode() + b"\n\n"
    )


def token(number: int) -> bytes:
    """One event with one word."""
    return event(delta={"content": f"w{number} "})


def ending(count: int, why: str = "length") -> bytes:
    """finish_reason, usage and the terminal event."""
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": count}}
    finish = event(delta={}, finish_reason=why)
    return finish + b"data: " + json.dumps(usage).encode() + b"\n\ndata: [DONE]\n\n"


def framed(body: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(body), body)


ROLE = event(delta={"role": "assistant", "content": ""})


@dataclass
class Connection:
    """One accepted connection, for the scripts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes = b""
    """Of the request."""

    @property
    def tokens(self) -> int:
        """How many tokens an answer has that nobody scripted: what the request insists on, else 2."""
        asked = json.loads(self.body or b"{}")
        return int(asked["max_tokens"]) if asked.get("ignore_eos") else 2

    async def say(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN: linger with a timeout of zero."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def never(self) -> None:
        """Say no more until the client goes."""
        await self.reader.read()


@cache
def _whole_answer(count: int) -> bytes:
    """Made once: after a silence hundreds wait for it, and the time that takes would blur the silence's end."""
    return CHUNKED + framed(ROLE + b"".join(map(token, range(count))) + ending(count)) + b"0\r\n\r\n"


async def _ok(client: Connection, count: int | None = None, gap_ms: int = 0) -> None:
    count = client.tokens if count is None else count
    if gap_ms == 0:
        await client.say(_whole_answer(count))
        return
    await client.say(CHUNKED, framed(ROLE))
    for number in range(count):
        await asyncio.sleep(gap_ms / 1000)
        await client.say(framed(b": heartbeat\n\n" + token(number)))
    await client.say(framed(ending(count)), b"0\r\n\r\n")


_SLOTS: dict[tuple[asyncio.AbstractEventLoop, int], asyncio.Semaphore] = {}


async def _slots(client: Connection, slots: int, count: int, gap_ms: int) -> None:
    """As `ok`, but so many at once: the others wait for their turn."""
    key = (asyncio.get_running_loop(), slots)
    async with _SLOTS.setdefault(key, asyncio.Semaphore(slots)):
        await _ok(client, count, gap_ms)


async def _choosy(client: Connection) -> None:
    """As `ok` for whoever asks for a token or two; others are refused with their own prompt and somebody's key."""
    asked = json.loads(client.body)
    if asked["max_tokens"] < 3:
        await _ok(client)
        return
    words = f"the model `{asked['messages'][0]['content']}` is not served, says sk-1234567"
    body = json.dumps({"error": {"message": words, "code": 404}}).encode()
    await client.say(b"HTTP/1.1 404 Scripted\r\nContent-Length: %d\r\n\r\n" % len(body), body)


_OPEN: dict[asyncio.AbstractEventLoop, int] = {}


async def _full(client: Connection, most: int, count: int, gap_ms: int) -> None:
    """As `ok`, but refuses whoever comes while so many are open, as a server with a full queue does."""
    loop = asyncio.get_running_loop()
    if _OPEN.get(loop, 0) >= most:
        head = b"HTTP/1.1 503 Scripted\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n"
        await client.say(head, b"{}")
        return
    _OPEN[loop] = _OPEN.get(loop, 0) + 1
    try:
        await _ok(client, count, gap_ms)
    finally:
        _OPEN[loop] -= 1


async def _unframed(client: Connection) -> None:
    await client.say(UNFRAMED, ROLE, token(0), ending(1))


async def _status(client: Connection, status: int) -> None:
    body = b'{"error":{"message":"scripted"}}'
    await client.say(b"HTTP/1.1 %d Scripted\r\nContent-Length: %d\r\n\r\n" % (status, len(body)), body)


async def _interim(client: Connection) -> None:
    await client.say(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")
    await asyncio.sleep(0.02)
    await _ok(client)


async def _reset(client: Connection) -> None:
    client.reset()


async def _eof(_client: Connection) -> None:
    return


async def _half_a_head(client: Connection) -> None:
    await client.say(CHUNKED[:20])


async def _silent(client: Connection) -> None:
    await client.never()


async def _heartbeats(client: Connection) -> None:
    await client.say(CHUNKED, framed(ROLE))
    while not client.reader.at_eof():
        await client.say(framed(b": heartbeat\n\n"))
        await asyncio.sleep(0.02)


async def _stall(client: Connection, count: int = 2) -> None:
    await client.say(CHUNKED, *(framed(token(number)) for number in range(count)))
    await client.never()


async def _reset_mid(client: Connection) -> None:
    await client.say(CHUNKED, framed(token(0)))
    await asyncio.sleep(0.05)
    client.reset()


async def _cut(client: Connection) -> None:
    await client.say(CHUNKED, framed(token(0)))


async def _cut_unframed(client: Connection) -> None:
    await client.say(UNFRAMED, token(0))


async def _no_done(client: Connection) -> None:
    finish = event(delta={}, finish_reason="stop")
    await client.say(CHUNKED, framed(token(0) + finish), b"0\r\n\r\n")
    await client.never()  # the end of the body is the end, whether or not the connection stays


async def _no_finish(client: Connection) -> None:
    await client.say(CHUNKED, framed(token(0) + b"data: [DONE]\n\n"), b"0\r\n\r\n")


async def _finish(client: Connection, why: str, count: int = 1) -> None:
    """Ends in order after `count` tokens, with that finish_reason."""
    await client.say(CHUNKED, *(framed(token(number)) for number in range(count)))
    await client.say(framed(ending(count, why)), b"0\r\n\r\n")


async def _no_usage(client: Connection, count: int) -> None:
    finish = event(delta={}, finish_reason="length") + b"data: [DONE]\n\n"
    await client.say(CHUNKED, framed(b"".join(map(token, range(count))) + finish), b"0\r\n\r\n")


async def _head_of(client: Connection, status: int) -> None:
    """Refuses with a body that never comes."""
    await client.say(b"HTTP/1.1 %d Scripted\r\nContent-Length: 40\r\n\r\n" % status)
    await client.never()


async def _garbage(client: Connection) -> None:
    await client.say(CHUNKED, framed(token(0) + b"data: {oops\n\n"))
    await client.never()


async def _not_http(client: Connection) -> None:
    await client.say(b"SSH-2.0-scripted\r\n")


async def _error_event(client: Connection) -> None:
    await client.say(CHUNKED, framed(token(0) + b'data: {"error":{"message":"engine died"}}\n\n'))
    await client.never()


async def _error_first(client: Connection) -> None:
    """An error in a 200, before anything else."""
    await client.say(CHUNKED, framed(b'data: {"error":{"message":"engine died"}}\n\n'), b"0\r\n\r\n")


async def _odd(client: Connection, name: str) -> None:
    """One of `odd_answers`, and an end in order."""
    answer = ANSWERS[name]
    kind = f"Content-Type: {answer.content_type}\r\n" if answer.content_type else ""
    head = f"HTTP/1.1 200 OK\r\n{kind}Content-Length: {len(answer.body)}\r\n\r\n"
    await client.say(f"{head}{answer.body}".encode())


async def _trickle(client: Connection) -> None:
    await _ok(client, count=1000, gap_ms=20)


async def _no_models(client: Connection, status: int) -> None:
    await _status(client, status)


SCRIPTS: dict[str, Callable[..., Awaitable[None]]] = {
    "ok": _ok,
    "unframed": _unframed,
    "status": _status,
    "no_models": _no_models,
    "slots": _slots,
    "choosy": _choosy,
    "full": _full,
    "interim": _interim,
    "reset": _reset,
    "eof": _eof,
    "half_a_head": _half_a_head,
    "silent": _silent,
    "heartbeats": _heartbeats,
    "stall": _stall,
    "reset_mid": _reset_mid,
    "cut": _cut,
    "cut_unframed": _cut_unframed,
    "no_done": _no_done,
    "no_finish": _no_finish,
    "finish": _finish,
    "no_usage": _no_usage,
    "head_of": _head_of,
    "garbage": _garbage,
    "not_http": _not_http,
    "error_event": _error_event,
    "error_first": _error_first,
    "odd": _odd,
    "trickle": _trickle,
}


@dataclass
class ScriptedServer:
    """The server in a thread of its own; `with` starts and ends it."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    only: str | None = None
    """Follows this script, whatever the path says: so several can stand behind one gateway, and one go wrong."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """(path, headers in lower case, body) of everything that was asked, in order."""
    silences: list[tuple[float, float]] = field(default_factory=list)
    """(began, ended) on the monotonic clock."""

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def url(self, script: str = "ok") -> str:
        """The base URL under which everything follows `script`."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/{script}"

    def silence(self, at_s: float, for_s: float) -> None:
        """Freeze at an instant of the monotonic clock, for a time."""
        self._loop.call_soon_threadsafe(self._loop.call_at, at_s, self._freeze, for_s)

    def _freeze(self, for_s: float) -> None:
        began_s = time.monotonic()
        time.sleep(for_s)
        self.silences.append((began_s, time.monotonic()))

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # The longest queue that the kernel grants: a full one drops SYNs, and their retries blur the silence.
        server = await asyncio.start_server(self._answer, "127.0.0.1", self.port, ssl=self.tls, backlog=65535)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        # An accept cut off by the listener's end, or an answer cancelled before its first step, leaves a socket open.
        answer, me = self._answer.__name__, asyncio.current_task()
        while accepts := [task for task in asyncio.all_tasks() - {me} if answer not in str(task.get_coro())]:
            await asyncio.wait(accepts)
        server.close()
        await asyncio.sleep(0)
        answers = asyncio.all_tasks() - {me}
        for task in answers:
            task.cancel()
        await asyncio.gather(*answers, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._follow_script(Connection(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client or the test went away: what the client saw is what the tests look at
        finally:
            writer.close()

    async def _follow_script(self, client: Connection) -> None:
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.rstrip("\r\n").split("\r\n")
        path = request.split()[1]
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await client.reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((path, headers, body))
        client.body = body
        if path.endswith("/v1/models") and not path.startswith("/no_models"):
            await client.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MODELS), MODELS)
            return
        script, *parameters = (self.only or path.split("/")[1]).split("-")
        await SCRIPTS[script](client, *(int(each) if each.isdecimal() else each for each in parameters))


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A scripted streaming server, for trying the load by hand.")
    parser.add_argument("--port", type=int, default=0)
    with ScriptedServer(port=parser.parse_args().port) as server:
        print(server.url(), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
