"""A replica in miniature for fast tests: a real HTTP server that streams completions and does as it is told.

`python toy_replica.py --port P --metrics-port M` serves /healthz, /readyz, /v1/models, completions and chat (streaming
or not) and, on the metrics port, /metrics. `POST /toy {"ready": false, "healthy": false, "hang_health": true, "exit":
3, "gap_s": 0.1, ...}` changes its behaviour. Standard library only: it starts in a few hundredths of a
second.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"


@dataclass
class Behaviour:
    name: str
    ready: bool = True
    healthy: bool = True
    hang_health: bool = False
    gap_s: float = 0.0
    status: int = 200
    """Of every completion."""
    silent: bool = False
    """Sends the head of a streaming answer and never a token."""
    drop_next: bool = False
    """Breaks the connection of the next completion off, and of no other."""
    exit: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)


class Toy:
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request_line, *header_lines = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in header_lines)}
                method, path, _ = request_line.split()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._answer(method, path, body, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match method, path.split("?", maxsplit=1)[0]:
            case "GET", "/readyz":
                _send(writer, 200 if self.behaviour.ready else 503, {})
            case "GET", "/healthz":
                if self.behaviour.hang_health:
                    await asyncio.Event().wait()
                _send(writer, 200 if self.behaviour.healthy else 500, {})
            case "POST", "/toy":
                for key, value in json.loads(body).items():
                    setattr(self.behaviour, key, value)
                if self.behaviour.exit is not None:
                    os._exit(self.behaviour.exit)
                _send(writer, 200, {"pid": os.getpid(), "environment": dict(os.environ)})
            case "GET", "/metrics":
                lines = [
                    f'toy_requests_total{{outcome="{k}"}} {v}\n' for k, v in self.behaviour.outcomes.items()
                ]
                _send(writer, 200, "".join(lines))
            case "GET", "/v1/models":
                _send(writer, 200, {"object": "list", "data": [{"id": "toy", "object": "model"}]})
            case "POST", "/v1/completions" | "/v1/chat/completions":
                await self._complete(json.loads(body), reader, writer)
            case _:
                _send(writer, 404, {"path": path, "method": method, "bytes": len(body)})

    async def _complete(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.behaviour.outcomes["accepted"] += 1
        if self.behaviour.drop_next:
            self.behaviour.drop_next = False
            raise ConnectionResetError
        if self.behaviour.status != 200:
            self.behaviour.outcomes["error"] += 1
            _send(writer, self.behaviour.status, {"error": {"message": "as told"}})
            return
        tokens = int(request.get("max_tokens", 4))
        if not request.get("stream"):
            await asyncio.sleep(tokens * self.behaviour.gap_s)
            _send(writer, 200, {"choices": [{"text": "x" * tokens}], "replica": self.behaviour.name})
        else:
            await self._stream(tokens, reader, writer)
        self.behaviour.outcomes["ok"] += 1

    async def _stream(self, tokens: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        left = asyncio.ensure_future(reader.read(1))
        try:
            for index in range(tokens):
                pause_s = 1e6 if self.behaviour.silent else self.behaviour.gap_s
                done, _ = await asyncio.wait([left], timeout=pause_s)
                if done:
                    self.behaviour.outcomes["client_left"] += 1
                    raise ConnectionResetError
                choice = {"index": 0, "text": f"t{index} "}
                if index == tokens - 1:
                    choice["finish_reason"] = "length"
                _chunk(writer, {"choices": [choice], "sent_s": time.monotonic()})
                await writer.drain()
        finally:
            left.cancel()
            await asyncio.wait([left])
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def _chunk(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _send(writer: asyncio.StreamWriter, status: int, answer: dict[str, Any] | str) -> None:
    body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    kind = "text/plain; version=0.0.4" if isinstance(answer, str) else JSON
    writer.write(
        f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, required=True)
    parser.add_argument("--name", default="toy")
    parser.add_argument("--gap-s", type=float, default=0.0)
    parser.add_argument("--unready", action="store_true")
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--fork", action="store_true", help="have a worker process, as engines do")
    parser.add_argument("--exit", type=int, help="end at once with this code")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    toy = Toy(Behaviour(options.name, ready=not options.unready, gap_s=options.gap_s))
    main = await asyncio.start_server(toy.serve, "127.0.0.1", options.port)
    await asyncio.start_server(toy.serve, "127.0.0.1", options.metrics_port)
    await main.serve_forever()


def main() -> None:
    options = parse()
    if options.exit is not None:
        sys.exit(options.exit)
    if options.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.fork and os.fork() == 0:
        time.sleep(600)
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
