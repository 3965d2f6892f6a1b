"""What the HTTP side takes from the engine: tokens per second of N streams through the API, and without it.

    python -m benchmarks.api_cost [--model 8b] [--streams 128] [--tokens 512] [--prompt 64] [--json FILE]

Through the API: N streaming requests at once, read by four client processes that count events; the rate is of the
time in which all of them were being answered. Without it: `python -m benchmarks.decode_speed` at the same batch, over
the same mean context, on the same machine (needs a GPU; elsewhere only the first is printed).
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.replica import replica

CLIENTS = 4


async def stream(url: str, body: bytes, counts: list[tuple[float, int]]) -> None:
    """One request; each read adds (monotonic seconds, events in it)."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, limit=1 << 20)
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    tail = b""
    while b"data: [DONE]" not in tail:
        block = await reader.read(1 << 16)
        if not block:
            raise SystemExit("the server closed a stream before its end")
        counts.append((time.monotonic(), block.count(b"data: {")))
        tail = tail[-16:] + block
    writer.close()


async def client(url: str, streams: int, prompt: int, tokens: int) -> list[list[tuple[float, int]]]:
    """Every stream's reads."""
    found: list[list[tuple[float, int]]] = [[] for _ in range(streams)]
    bodies = [
        json.dumps(
            {
                "prompt": f"{number:03d}".ljust(prompt, "x"),
                "max_tokens": tokens,
                "temperature": 0,
                "ignore_eos": True,
                "stream": True,
            }
        ).encode()
        for number in range(streams)
    ]
    await asyncio.gather(*(stream(url, *pair) for pair in zip(bodies, found, strict=True)))
    return found


def through_the_api(url: str, options: argparse.Namespace, tokens: int) -> dict[str, float]:
    """Tokens per second while all streams are answered."""
    each = options.streams // CLIENTS
    command = [sys.executable, "-m", "benchmarks.api_cost", "--client", url, "--streams", str(each)]
    command += ["--prompt", str(options.prompt), "--tokens", str(tokens)]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(CLIENTS)]
    reads = [one for process in clients for one in json.loads(process.communicate(timeout=300)[0])]
    begin_s, end_s = max(one[0][0] for one in reads), min(one[-1][0] for one in reads)
    inside = sum(count for one in reads for at_s, count in one if begin_s < at_s <= end_s)
    return {"tokens_per_s": inside / (end_s - begin_s), "seconds": end_s - begin_s, "streams": len(reads)}


def without_the_api(options: argparse.Namespace) -> float | None:
    """Tokens per second of the engine's own bench; None where it cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.decode_speed", "--shapes", options.model]
        command += ["--batches", str(options.streams), "--types", "bf16", "--out", folder]
        command += ["--context", str(options.prompt + options.tokens // 2)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        sys.stderr.write(done.stderr[-2000:])
        found = re.findall(
            r'"tokens_per_s": ([0-9.]+)', "".join(p.read_text() for p in Path(folder).glob("*.json"))
        )
    return float(found[0]) if done.returncode == 0 and found else None


def main() -> int:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--streams", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        reads = asyncio.run(client(options.client, options.streams, options.prompt, options.tokens))
        print(json.dumps(reads))
        return 0
    more = ["--max-running", str(options.streams), "--step-tokens", "8192"]
    with replica({"DS_MODEL_NAME": options.model}, *more) as server:
        through_the_api(server.url, options, 64)
        rounds = [through_the_api(server.url, options, options.tokens) for _ in range(options.rounds)]
    for each in rounds:
        print(
            f"through the API: {each['tokens_per_s']:10,.0f} tokens/s over {each['seconds']:.2f} s",
            flush=True,
        )
    rates = sorted(each["tokens_per_s"] for each in rounds)
    alone = without_the_api(options)
    if alone is not None:
        print(
            f"engine alone:    {alone:10,.0f} tokens/s; through the API {rates[len(rates) // 2] / alone:.1%}"
        )
    if options.json:
        options.json.write_text(
            json.dumps({"through_api": rounds, "alone": alone, "model": options.model}) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
