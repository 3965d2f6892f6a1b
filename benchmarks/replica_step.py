"""What one replica of the demo takes of a processor: per step under its share of the load, and to start.

    python -m benchmarks.replica_step [--seconds 15] [--rounds 3] [--against CHECKOUT]

Starts the replica with the environment of `chaos/experiments/pod-kill-30.yaml`, sends it a tenth of the arrivals,
scrapes and probes it once a second, and reads the processor time of its threads. With `--against`, another checkout
takes turns with this one, and who goes first changes. Prints every round, and medians.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from benchmarks.replica import ROOT, Replica, replica

EXPERIMENT = ROOT / "chaos/experiments/pod-kill-30.yaml"
DEMO_PER_S = 16.0
"""Fixed, where the demo itself takes a share of what its machine carries: rounds must be comparable."""
WARM_UP_S = 3.0
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
"""What Prometheus asks for."""


@dataclass(frozen=True)
class Round:
    """What one start and one stretch of load took."""

    start_wall_s: float
    start_processor_s: float
    steps: int
    step_processor_ms: float
    """Everything that the replica did meanwhile, by its steps: API, scrapes and probes as well."""


def processor_s(server: Replica) -> float:
    """Of all its threads, since it began."""
    times = server.process.cpu_times()
    return times.user + times.system


def steps_of(server: Replica) -> float:
    """As it counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("ds_engine_steps_total"))


async def exchange(port: int, head: str, body: bytes = b"") -> bytes:
    """One request on a connection of its own; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    answer = await reader.read()
    writer.close()
    return answer


async def load(server: Replica, seconds: float, seed: int) -> None:
    """A replica's share of the demo's arrivals, a scrape and two probes a second; returns after the last answer."""
    spec = yaml.safe_load(EXPERIMENT.read_text())
    rate = DEMO_PER_S / spec["target"]["local"]["replicas"]
    began_s = time.monotonic()

    async def watch() -> None:
        while time.monotonic() < began_s + seconds:
            await exchange(
                server.metrics_port, f"GET /metrics HTTP/1.1\r\nAccept: {ACCEPT}\r\nAccept-Encoding: gzip"
            )
            for path in ("/readyz", "/healthz"):
                await exchange(server.port, f"GET {path} HTTP/1.1")
            await asyncio.sleep(1)

    async def ask(number: int) -> None:
        content = f"{number:06d} ".ljust(spec["load"]["prompt_tokens"], "x")
        body = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": spec["load"]["output_tokens"],
        }
        head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json"
        answer = await exchange(
            server.port, head, json.dumps({**body, "ignore_eos": True, "stream": True}).encode()
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
    environ = yaml.safe_load(EXPERIMENT.read_text())["target"]["local"]["env"]
    began_s = time.monotonic()
    with replica(environ, "--replica-name", "alone", checkout=checkout) as one:
        wall_s, started_s = time.monotonic() - began_s, processor_s(one)
        asyncio.run(load(one, WARM_UP_S, seed=1))
        steps, before_s = steps_of(one), processor_s(one)
        asyncio.run(load(one, seconds, seed=7))
        took_s = processor_s(one) - before_s
        done = int(steps_of(one) - steps)
        return Round(round(wall_s, 2), round(started_s, 2), done, round(1e3 * took_s / done, 2))


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
