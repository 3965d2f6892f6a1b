"""What one replica of the demo takes of a processor: per step under its share of the load, and to start.

    python -m benchmarks.replica_step [--seconds 15] [--rounds 3] [--against CHECKOUT]

Starts the replica with the environment of `chaos/experiments/pod-kill-30.yaml`, sends it a tenth of the arrivals,
scrapes and probes it once a second, and reads the processor time of its threads. With `--against`, another checkout
takes turns with this one, and who goes first changes. Prints every round, and medians.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import yaml

from chaos.targets.local.ports import free_port

ROOT = Path(__file__).parent.parent
EXPERIMENT = ROOT / "chaos/experiments/pod-kill-30.yaml"
WARM_UP_S = 3.0
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
"""What Prometheus asks for."""


@dataclass(frozen=True)
class Replica:
    """A running one."""

    process: psutil.Process
    port: int
    metrics_port: int

    def processor_s(self) -> float:
        """Of all its threads, since it began."""
        times = self.process.cpu_times()
        return times.user + times.system

    def steps(self) -> float:
        """As it counts them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("ds_engine_steps_total"))


@dataclass(frozen=True)
class Round:
    """What one start and one stretch of load took."""

    start_wall_s: float
    start_processor_s: float
    steps: int
    step_processor_ms: float
    """Everything that the replica did meanwhile, by its steps: API, scrapes and probes as well."""


@contextmanager
def started(checkout: Path) -> Iterator[Replica]:
    """A ready replica of that checkout."""
    local = yaml.safe_load(EXPERIMENT.read_text())["target"]["local"]
    port = free_port(())
    metrics_port = free_port((port,))
    ports = ("--port", str(port), "--metrics-port", str(metrics_port), "--host", "127.0.0.1")
    process = subprocess.Popen(
        [sys.executable, "-m", "reference_server", "--replica-name", "alone", *ports],
        cwd=checkout,
        env={**os.environ, **local["env"]},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + 60
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"{checkout}: the replica did not become ready; exit code {process.poll()}")
            time.sleep(0.01)
        yield Replica(psutil.Process(process.pid), port, metrics_port)
    finally:
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
    except OSError:
        return False
    return True


async def exchange(port: int, head: str, body: bytes = b"") -> bytes:
    """One request on a connection of its own; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    answer = await reader.read()
    writer.close()
    return answer


async def load(replica: Replica, seconds: float, seed: int) -> None:
    """A replica's share of the demo's arrivals, a scrape and two probes a second; returns after the last answer."""
    spec = yaml.safe_load(EXPERIMENT.read_text())
    rate = spec["load"]["rate"] / spec["target"]["local"]["replicas"]
    began_s = time.monotonic()

    async def watch() -> None:
        while time.monotonic() < began_s + seconds:
            await exchange(
                replica.metrics_port, f"GET /metrics HTTP/1.1\r\nAccept: {ACCEPT}\r\nAccept-Encoding: gzip"
            )
            for path in ("/readyz", "/healthz"):
                await exchange(replica.port, f"GET {path} HTTP/1.1")
            await asyncio.sleep(1)

    async def ask(number: int) -> None:
        content = f"{number:06d} ".ljust(spec["load"]["prompt_tokens"], "x")
        body = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": spec["load"]["output_tokens"],
        }
        head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json"
        answer = await exchange(
            replica.port, head, json.dumps({**body, "ignore_eos": True, "stream": True}).encode()
        )
        if b"[DONE]" not in answer:
            raise SystemExit(f"an answer was not whole: {answer[:300]!r}")

    tasks, at_s, source = [asyncio.create_task(watch())], 0.0, random.Random(seed)
    while (at_s := at_s + source.expovariate(rate)) < seconds:
        await asyncio.sleep(began_s + at_s - time.monotonic())
        tasks.append(asyncio.create_task(ask(len(tasks))))
    await asyncio.gather(*tasks)


def measured(checkout: Path, seconds: float) -> Round:
    """One round of one checkout."""
    began_s = time.monotonic()
    with started(checkout) as replica:
        wall_s, processor_s = time.monotonic() - began_s, replica.processor_s()
        asyncio.run(load(replica, WARM_UP_S, seed=1))
        steps, before_s = replica.steps(), replica.processor_s()
        asyncio.run(load(replica, seconds, seed=7))
        took_s = replica.processor_s() - before_s
        done = int(replica.steps() - steps)
        return Round(round(wall_s, 2), round(processor_s, 2), done, round(1e3 * took_s / done, 2))


def main() -> int:
    """Print each round and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout of this project")
    options = parser.parse_args()
    checkouts = {"this": ROOT} | ({"the other": options.against.absolute()} if options.against else {})
    found: dict[str, list[Round]] = {name: [] for name in checkouts}
    for number in range(options.rounds):
        for name in list(checkouts)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(measured(checkouts[name], options.seconds))
            print(f"{name:10}", asdict(found[name][-1]), flush=True)
    for name, rounds in found.items():
        fields = ("start_wall_s", "start_processor_s", "step_processor_ms")
        medians = {field: statistics.median(getattr(one, field) for one in rounds) for field in fields}
        print(f"{name:10} median", medians)
    return 0


if __name__ == "__main__":
    sys.exit(main())
