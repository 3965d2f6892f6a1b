"""What the idle proxy costs: time added to a request, and bytes per second, beside the barest relay that there is.

    python -m benchmarks.proxy_cost [--rounds 15] [--requests 300] [--megabytes 256] [--out FILE]

One echo server; the same small exchanges and the same bulk go straight to it, through a relay of a few lines (two
threads a connection that copy from socket to socket), and through the proxy, in turn, round after round, each of the
three a process of its own. A relay's rate is also told per second of its own processor time, which a busy neighbour
does not lower. Takes half a minute.
"""

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import psutil

from chaos.targets.local.processes import command

HOST = "127.0.0.1"
QUESTION, ANSWER = b"q" * 200, b"a" * 500
CHUNK = 1 << 16
PATHS = ("straight", "bare relay", "proxy")


def echo(listener: socket.socket) -> None:
    """A question gets an answer of fixed size; a first byte `!` announces bulk, which is read to its end."""

    def serve(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(CHUNK):
            if data[:1] == b"!":
                while sock.recv(1 << 20):
                    pass
                sock.sendall(b"x")
                break
            sock.sendall(ANSWER)
        sock.close()

    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def bare_relay(listener: socket.socket, port: int) -> None:
    """The barest relay: two threads a connection."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    while True:
        client = listener.accept()[0]
        server = socket.create_connection((HOST, port))
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pair in ((client, server), (server, client)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


def start(stack: ExitStack, run: Callable[..., None], *arguments: Any) -> tuple[int, int]:
    """A process that serves on a port; the port, and its pid."""
    listener = stack.enter_context(socket.create_server((HOST, 0), backlog=64))
    process = multiprocessing.get_context("fork").Process(
        target=run, args=(listener, *arguments), daemon=True
    )
    process.start()
    stack.callback(process.join)
    stack.callback(process.kill)
    assert process.pid is not None
    return listener.getsockname()[1], process.pid


def start_proxy(stack: ExitStack, upstream: int) -> tuple[int, int]:
    """The proxy with one route; the route's port, and the proxy's pid."""
    pipe = subprocess.PIPE
    process = stack.enter_context(subprocess.Popen(command("proxy"), stdin=pipe, stdout=pipe))
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)
    process.stdin.write(
        json.dumps({"id": 1, "op": "add", "route": "r", "upstream_port": upstream}).encode() + b"\n"
    )
    process.stdin.flush()
    return cast("int", json.loads(process.stdout.readline())["port"]), process.pid


def exchanges_us(port: int, count: int) -> list[float]:
    """Microseconds of each of so many exchanges over one open connection."""
    taken = []
    with socket.create_connection((HOST, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began_s, left = time.perf_counter(), len(ANSWER)
            sock.sendall(QUESTION)
            while left:
                left -= len(sock.recv(left))
            taken.append(1e6 * (time.perf_counter() - began_s))
    return taken


def bulk(port: int, megabytes: int, pid: int | None) -> tuple[float, float | None]:
    """Megabytes per second through a port, and per second of the processor time of what is behind it."""
    block = os.urandom(1 << 20)
    used = psutil.Process(pid).cpu_times if pid is not None else None
    before = used() if used else None
    began_s = time.perf_counter()
    with socket.create_connection((HOST, port)) as sock:
        sock.sendall(b"!" + block[1:])
        for _ in range(megabytes - 1):
            sock.sendall(block)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b"x"
    wall_s = time.perf_counter() - began_s
    if used is None or before is None:
        return megabytes * 1.048576 / wall_s, None
    after = used()
    spent_s = after.user + after.system - before.user - before.system
    return megabytes * 1.048576 / wall_s, megabytes * 1.048576 / spent_s


def measure(rounds: int, requests: int, megabytes: int) -> dict[str, Any]:
    """All rounds of all three paths."""
    result: dict[str, Any] = {path: {"median_us": [], "mb_per_s": [], "mb_per_core_s": []} for path in PATHS}
    with ExitStack() as stack:
        server, _ = start(stack, echo)
        relay = start(stack, bare_relay, server)
        ends = {"straight": (server, None), "bare relay": relay, "proxy": start_proxy(stack, server)}
        for port, _ in ends.values():
            exchanges_us(port, requests)  # warm
        for _ in range(rounds):
            for path, (port, pid) in ends.items():
                result[path]["median_us"].append(statistics.median(exchanges_us(port, requests)))
                rate, per_core = bulk(port, megabytes, pid)
                result[path]["mb_per_s"].append(rate)
                result[path]["mb_per_core_s"].append(per_core)
    return result


def main() -> int:
    """Measure, print a line per path, and write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=300, help="exchanges of each path in a round")
    parser.add_argument("--megabytes", type=int, default=256, help="of bulk on each path in a round")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure(options.rounds, options.requests, options.megabytes)
    straight = result["straight"]["median_us"]
    for path in PATHS:
        row = result[path]
        added = [us - base for us, base in zip(row["median_us"], straight, strict=True)]
        row["added_us"] = statistics.median(added)
        per_core = [each for each in row["mb_per_core_s"] if each is not None]
        core = f"{statistics.median(per_core):5.0f} MB per second of its processor" if per_core else ""
        print(
            f"{path:11} an exchange {statistics.median(row['median_us']):5.0f} us, {row['added_us']:+5.0f} us   "
            f"bulk {statistics.median(row['mb_per_s']):5.0f} MB/s   {core}"
        )
    if options.out is not None:
        options.out.write_text(json.dumps({**vars(options), "out": None, "paths": result}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
