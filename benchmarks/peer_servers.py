"""One inference server as a process, and what it does for a client: first token, memory, tokens per second.

What `peer_vllm.py` starts and asks. The client is the same for every server: streamed completions over HTTP.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from chaos.targets.local.ports import free_port

POLL_S = 0.02
PROMPT = "The quick brown fox jumps over the lazy dog. " * 2
MODEL = "tiny"
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Server:
    """How one server is started, where it answers, and how long that may take."""

    name: str
    command: tuple[str, ...]
    """{port} and {metrics_port} are filled in."""
    env: Mapping[str, str]
    start_within_s: float = 600.0


@dataclass(frozen=True)
class Measured:
    """One round of one server."""

    first_token_s: float
    """From the start of the process to the first token of the first request, asked for as soon as it answers."""
    memory_mib: float
    """Of all its processes after the last request; pages that they share count once."""
    tokens_per_s: Mapping[int, float]
    """By the number of clients."""


def reference_server(folder: Path) -> Server:
    """Ours, on the weights that vLLM has."""
    options = ("--port", "{port}", "--metrics-port", "{metrics_port}", "--host", "127.0.0.1")
    command = (sys.executable, "-m", "reference_server", *options)
    env = {"DS_MODEL_PATH": str(folder / "reference-model"), "DS_MODEL_NAME": MODEL}
    return Server("reference server", command, env)


def vllm(folder: Path) -> Server:
    """The peer, as its documentation starts it, in the arithmetic of the other."""
    options = ("--served-model-name", MODEL, "--dtype", "float32", "--max-model-len", "1024")
    where = ("--host", "127.0.0.1", "--port", "{port}")
    command = (str(folder / "venv" / "bin" / "vllm"), "serve", str(folder / "model"), *options, *where)
    env = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return Server("vLLM", command, env)


@contextmanager
def started(server: Server, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port; it and all that it forked have ended afterwards."""
    port = free_port(())
    filled = {"{port}": str(port), "{metrics_port}": str(free_port((port,)))}
    command = [filled.get(part, part) for part in server.command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **server.env}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process, port
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=20)
        for left in alive:
            left.kill()
        process.wait()


def measure(server: Server, clients: tuple[int, ...], tokens: int, log: Path) -> Measured:
    """Start it, ask it, end it; RuntimeError when it does not come up or an answer is not whole."""
    began_s = time.monotonic()
    with started(server, log) as (process, port):
        url = f"http://127.0.0.1:{port}"
        first_token_s = asyncio.run(_first_token(server, process, url, tokens)) - began_s
        rates = {count: asyncio.run(_rate(url, count, tokens)) for count in clients}
        return Measured(first_token_s, _memory_mib(process.pid), rates)


async def _first_token(server: Server, process: subprocess.Popen[bytes], url: str, tokens: int) -> float:
    deadline_s = time.monotonic() + server.start_within_s
    async with aiohttp.ClientSession() as session:
        while True:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{server.name} did not come up; exit code {process.poll()}")
            try:
                return (await _answer(session, url, tokens))[0]
            except (aiohttp.ClientError, RuntimeError):
                await asyncio.sleep(POLL_S)


async def _rate(url: str, clients: int, tokens: int) -> float:
    """Tokens per second of so many clients, each with one request after the other, after one answer to warm up."""
    each = max(2, 8 // clients)

    async def client(session: aiohttp.ClientSession) -> int:
        return sum([(await _answer(session, url, tokens))[1] for _ in range(each)])

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _answer(session, url, tokens)
        began_s = time.monotonic()
        generated = sum(await asyncio.gather(*(client(session) for _ in range(clients))))
        return generated / (time.monotonic() - began_s)


async def _answer(session: aiohttp.ClientSession, url: str, tokens: int) -> tuple[float, int]:
    """When the first token of one streamed answer came, on the monotonic clock, and how many there were."""
    body = {"model": MODEL, "prompt": PROMPT, "max_tokens": tokens, "ignore_eos": True, "stream": True}
    first_s, generated = None, 0
    options = {"stream_options": {"include_usage": True}}
    async with session.post(f"{url}/v1/completions", json={**body, **options}) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}: {await answer.text()}")
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if first_s is None and any(choice["text"] for choice in event["choices"]):
                first_s = time.monotonic()
            generated = (event.get("usage") or {}).get("completion_tokens", generated)
    if first_s is None or generated != tokens:
        raise RuntimeError(f"{url} gave {generated} tokens, not {tokens}")
    return first_s, generated


def _memory_mib(pid: int) -> float:
    leader = psutil.Process(pid)
    family = [leader, *leader.children(recursive=True)]
    return sum(getattr(each.memory_full_info(), "pss", each.memory_info().rss) for each in family) / _MIB
