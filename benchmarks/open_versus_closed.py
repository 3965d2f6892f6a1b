"""The same server, the same 200 requests/s, the same silence of 3 s, seen by a closed and by an open loop.

    python -m benchmarks.open_versus_closed

Prints the table of docs/open-loop.md. Takes 45 s.
"""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.load.process import Load, LoadConfig
from loadtests.rows import Row, read_rows
from tests.support.scripted_server import ScriptedServer

RATE_PER_S = 200.0
USERS = 20
DURATION_S = 20.0
SILENCE_AT_S = 8.0
SILENCE_S = 3.0
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


def closed_loop(folder: Path) -> list[Row]:
    """Twenty Locust users, ten requests a second each."""
    rows = folder / "closed.jsonl"
    with ScriptedServer() as server:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust", "--locustfile", Path(__file__).with_name("closed_loop.py")),
                *("--headless", "--only-summary", "--host", server.url(), "--users", str(USERS)),
                *("--spawn-rate", str(USERS), "--run-time", f"{DURATION_S:g}s", "--rows", rows),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not server.requests and child.poll() is None:
            time.sleep(0.01)
        server.silence(time.monotonic() + SILENCE_AT_S, SILENCE_S)
        child.wait()
    return list(read_rows(rows))


def open_loop(folder: Path) -> list[Row]:
    """A Poisson plan at the same rate."""
    config = LoadConfig(
        url="",
        rate_per_s=RATE_PER_S,
        duration_s=DURATION_S,
        seed=1,
        max_in_flight=2000,
        plan_path=folder / "plan.jsonl",
        rows_path=folder / "open.jsonl",
        summary_path=folder / "load.json",
        log_path=folder / "locust.log",
    )
    with ScriptedServer() as server, Load(config.but(url=server.url())) as load:
        server.silence(load.start().start_monotonic_s + SILENCE_AT_S, SILENCE_S)
        load.wait(within_s=DURATION_S + 40.0)
    return list(read_rows(config.rows_path))


def line(name: str, rows: Sequence[Row]) -> str:
    """One row of the table: requests, those above 100 ms, and error-aware percentiles by rank ceil(q * n)."""
    latencies_s = sorted(math.inf if row.e2e_s is None else row.e2e_s for row in rows)
    slow = sum(latency_s > 0.1 for latency_s in latencies_s)
    quantiles = [latencies_s[math.ceil(percent * len(rows) / 100) - 1] for percent in PERCENTILES]
    cells = [
        f"{name:<6}",
        f"{len(rows):>8}",
        f"{slow:>12}",
        *(f"{1000 * value:>9.0f}" for value in quantiles),
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run both, print both."""
    heads = [
        f"{'loop':<6}",
        "requests",
        "above 100 ms",
        "p50 ms".rjust(9),
        "p90 ms".rjust(9),
        "p99 ms".rjust(9),
    ]
    print("| " + " | ".join([*heads, "p99.9 ms".rjust(9), "max ms".rjust(9)]) + " |")
    print("|" + "---|" * 8)
    with tempfile.TemporaryDirectory() as folder:
        print(line("closed", closed_loop(Path(folder))), flush=True)
        print(line("open", open_loop(Path(folder))))


if __name__ == "__main__":
    main()
