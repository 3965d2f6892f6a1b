"""What one replica of the demo takes of a processor under its share of the load: per token, request and step, by part.

    python -m benchmarks.replica_step [--seconds 15] [--rounds 3] [--against CHECKOUT] [--json FILE]

Starts the replica with the environment of `chaos/experiments/pod-kill-30.yaml`, sends it a tenth of the arrivals,
scrapes it once a second, probes it as often as the local target does, and reads the processor time of its threads.
With `--against`, a replica of another checkout has the same load at the same time, so that whatever else the machine
does hits both alike; who starts first changes. Prints every round, and a table of medians.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from benchmarks.replica import ROOT, Replica, replica
from chaos.targets.local.spec import LIVENESS, READINESS

EXPERIMENT = ROOT / "chaos/experiments/pod-kill-30.yaml"
DEMO_PER_S = 16.0
"""Fixed, where the demo itself takes a share of what its machine carries: rounds must be comparable."""
WARM_UP_S = 3.0
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
"""What Prometheus asks for."""
Reading = tuple[dict[str, int], tuple[float, float, float]]
"""What a replica counts, and its processor time."""
COUNTED = {
    "steps": "ds_engine_steps_total",
    "tokens": 'ds_tokens_total{direction="generation"',
    "requests": "ds_requests_total",
}


@dataclass(frozen=True)
class Round:
    """What one start and one stretch of load took, in processor time but for the first; ratios in milliseconds."""

    start_wall_s: float
    start_processor_s: float
    steps: int
    tokens: int
    requests: int
    step_ms: float
    """Everything that the replica did meanwhile, by its steps: API, scrapes and probes as well."""
    request_ms: float
    token_ms: float
    """Likewise by the tokens of its answers; of that:"""
    token_engine_ms: float
    token_api_ms: float
    """The event loop: requests, streams, probes."""
    token_rest_ms: float
    """Scrapes and pollers."""


def processor_s(server: Replica) -> tuple[float, float, float]:
    """Of all its threads since it began, those that ended too; of the engine's, the busiest; and of the API's."""
    times = server.process.cpu_times()
    threads = {one.id: one.user_time + one.system_time for one in server.process.threads()}
    api_s = threads.pop(server.process.pid)
    return times.user + times.system, max(threads.values()), api_s


def counts_of(server: Replica) -> dict[str, int]:
    """As it counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=5) as answer:
        samples = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines()]
    return {
        name: int(sum(float(value) for series, value in samples if series.startswith(start)))
        for name, start in COUNTED.items()
    }


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
    """A replica's share of the demo's arrivals, scrapes and probes; returns after the last answer."""
    spec = yaml.safe_load(EXPERIMENT.read_text())
    rate = DEMO_PER_S / spec["target"]["local"]["replicas"]
    began_s = time.monotonic()

    async def repeat(port: int, head: str, period_s: float) -> None:
        while time.monotonic() < began_s + seconds:
            await exchange(port, head)
            await asyncio.sleep(period_s)

    scrape = f"GET /metrics HTTP/1.1\r\nAccept: {ACCEPT}\r\nAccept-Encoding: gzip"
    watching = [repeat(server.metrics_port, scrape, 1.0)]
    watching += [
        repeat(server.port, f"GET {one.path} HTTP/1.1", one.period_s) for one in (READINESS, LIVENESS)
    ]

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

    tasks, at_s, source = [asyncio.create_task(each) for each in watching], 0.0, random.Random(seed)
    while (at_s := at_s + source.expovariate(rate)) < seconds:
        await asyncio.sleep(began_s + at_s - time.monotonic())
        tasks.append(asyncio.create_task(ask(len(tasks))))
    await asyncio.gather(*tasks)


async def load_all(servers: Iterable[Replica], seconds: float, seed: int) -> None:
    """The same load for each at the same time."""
    await asyncio.gather(*(load(server, seconds, seed) for server in servers))


def measured(checkouts: Mapping[str, Path], seconds: float) -> dict[str, Round]:
    """One round of these checkouts, started one after another and loaded at once."""
    environ = yaml.safe_load(EXPERIMENT.read_text())["target"]["local"]["env"]
    servers, started = {}, {}
    with ExitStack() as running:
        for name, checkout in checkouts.items():
            began_s = time.monotonic()
            one = running.enter_context(replica(environ, "--replica-name", "alone", checkout=checkout))
            servers[name] = one
            started[name] = time.monotonic() - began_s, processor_s(one)[0]
        asyncio.run(load_all(servers.values(), WARM_UP_S, seed=1))
        before = {name: (counts_of(one), processor_s(one)) for name, one in servers.items()}
        asyncio.run(load_all(servers.values(), seconds, seed=7))
        after = {name: (counts_of(one), processor_s(one)) for name, one in servers.items()}
    return {name: _round(started[name], before[name], after[name]) for name in checkouts}


def _round(started: tuple[float, float], before: Reading, after: Reading) -> Round:
    done = {name: after[0][name] - count for name, count in before[0].items()}
    all_ms, engine_ms, api_ms = (1e3 * (now - then) for now, then in zip(after[1], before[1], strict=True))
    steps, tokens, requests = (done[name] for name in COUNTED)
    return Round(
        start_wall_s=round(started[0], 2),
        start_processor_s=round(started[1], 2),
        **done,
        step_ms=round(all_ms / steps, 2),
        request_ms=round(all_ms / requests, 1),
        token_ms=round(all_ms / tokens, 2),
        token_engine_ms=round(engine_ms / tokens, 2),
        token_api_ms=round(api_ms / tokens, 2),
        token_rest_ms=round((all_ms - engine_ms - api_ms) / tokens, 2),
    )


def main() -> int:
    """Print each round and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout of this project")
    parser.add_argument("--json", type=Path, help="where every round is written")
    options = parser.parse_args()
    checkouts = {"this": ROOT} | ({"other": options.against.absolute()} if options.against else {})
    found: dict[str, list[Round]] = {name: [] for name in checkouts}
    for number in range(options.rounds):
        order = list(checkouts)[:: 1 if number % 2 == 0 else -1]
        for name, one in measured({name: checkouts[name] for name in order}, options.seconds).items():
            found[name].append(one)
            print(f"{name:6}", asdict(one), flush=True)
    rounds = {name: [asdict(each) for each in rounds] for name, rounds in found.items()}
    print(f"{'median':20}" + "".join(f"{name:>9}" for name in rounds))
    for field in Round.__dataclass_fields__:
        medians = (statistics.median(each[field] for each in of_one) for of_one in rounds.values())
        print(f"{field:20}" + "".join(f"{median:9g}" for median in medians))
    if options.json is not None:
        options.json.write_text(json.dumps(rounds, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
