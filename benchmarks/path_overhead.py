"""What gateway and proxy cost a token event: added latency, and processor time of their processes.

    python -m benchmarks.path_overhead [--rate 19] [--seconds 8]

Ten toy replicas stream 32 tokens, 30 ms apart, stamped when they are sent. The same open-loop load goes straight to a
replica, through the proxy, through the gateway, and through both. Takes 40 s.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from chaos.targets.local.ports import free_port
from chaos.targets.local.processes import command

TOY = Path(__file__).parent.parent / "tests" / "support" / "toy_replica.py"
REPLICAS = 10
TOKENS = 32
GAP_S = 0.03


class Helper:
    """A proxy or gateway under our orders."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, op: str, **fields: Any) -> Any:
        """One order, one answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"id": 1, "op": op, **fields}).encode() + b"\n")
        return json.loads(await self.process.stdout.readline())

    @property
    def processor_s(self) -> float:
        """Processor time that it has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


async def helper(stack: contextlib.AsyncExitStack, name: str) -> Helper:
    """Start one; it ends with its standard input."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command(name), stdin=pipe, stdout=pipe)
    stack.push_async_callback(process.wait)
    stack.callback(process.kill)
    return Helper(process)


async def gateway(stack: contextlib.AsyncExitStack, ports: list[int]) -> tuple[Helper, int]:
    """A gateway in front of these ports; returns it and its own port."""
    front = await helper(stack, "gateway")
    listening = await front.ask("listen")
    rows = [{"name": f"r{port}", "port": port, "ready": True, "probed_s": time.monotonic()} for port in ports]
    await front.ask("endpoints", endpoints=rows)
    return front, int(listening["port"])


async def stream(port: int) -> list[float]:
    """One answer; how long each of its events was under way, in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"stream": True, "max_tokens": TOKENS}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    under_way_s = []
    while not (line := await reader.readline()).startswith(b"data: [DONE]"):
        assert line, "the stream ended early"
        if line.startswith(b"data: {"):
            under_way_s.append(time.monotonic() - json.loads(line[6:])["sent_s"])
    writer.close()
    return under_way_s


async def measure(name: str, port: int, rate_per_s: float, seconds: float, parts: list[Helper]) -> None:
    """Offer the load to one path and print its line."""
    used_s, began_s = [part.processor_s for part in parts], time.monotonic()
    answers = []
    for index in range(round(rate_per_s * seconds)):
        await asyncio.sleep(max(0.0, began_s + index / rate_per_s - time.monotonic()))
        answers.append(asyncio.ensure_future(stream(port)))
    latencies_s = sorted(each for answer in await asyncio.gather(*answers) for each in answer)
    took_s, count = time.monotonic() - began_s, len(latencies_s)
    spent_s = sum(part.processor_s - before for part, before in zip(parts, used_s, strict=True))
    print(
        f"{name:16} {count / took_s:5.0f} events/s   p50 {1e3 * latencies_s[count // 2]:.2f} ms   "
        f"p99 {1e3 * latencies_s[int(count * 0.99)]:.2f} ms   {1e6 * spent_s / count:4.0f} us of processor per event, "
        f"{spent_s / took_s:.1%} of a core",
        flush=True,
    )


async def run(rate_per_s: float, seconds: float) -> None:
    """All four paths, one after another."""
    async with contextlib.AsyncExitStack() as stack:
        ports: list[int] = []
        for _ in range(REPLICAS):
            pair = [free_port(ports), free_port(ports)]
            options = [f"--port={pair[0]}", f"--metrics-port={pair[1]}", f"--gap-s={GAP_S}"]
            toy = await asyncio.create_subprocess_exec(sys.executable, str(TOY), *options)
            stack.push_async_callback(toy.wait)
            stack.callback(toy.kill)
            ports.append(pair[0])
        await asyncio.sleep(1.0)
        proxy = await helper(stack, "proxy")
        routed = [(await proxy.ask("add", route=f"r{port}", upstream_port=port))["port"] for port in ports]
        alone, alone_port = await gateway(stack, ports)
        front, front_port = await gateway(stack, routed)
        await measure("straight", ports[0], rate_per_s, seconds, [])
        await measure("proxy", routed[0], rate_per_s, seconds, [proxy])
        await measure("gateway", alone_port, rate_per_s, seconds, [alone])
        await measure("gateway + proxy", front_port, rate_per_s, seconds, [front, proxy])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=19.0, help="answers per second, of 32 events each")
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    asyncio.run(run(options.rate, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
