"""How late the generator itself is and what a request costs it, by request rate, beside a server that costs little.

    python -m benchmarks.generator_lag [RATE[xPROCESSES] ...] [--seconds 20] [--tokens 1] [--gap-ms 0]
                                       [--against CHECKOUT] [--rounds 1] [--json FILE]

Prints dispatch lag (actual minus intended start), hub lag (how late a sleeping greenlet is woken), TTFT as the rows
have it, and the processor time of the load per request, user and system. `--against` measures another checkout in turns
with this one, the only way to compare on a machine with neighbours: how much processor they took stands beside.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from chaos.load.process import Load, LoadConfig
from loadtests.rows import read_rows
from tests.support.plain_server import plain_server

ROOT = Path(__file__).parent.parent
RATES = ("500", "1000", "2000")
SETTLE_S = 0.5
HEADS = (
    *("checkout", "requests/s", "processes", "arrivals", "dropped", "failed", "p50 ms", "p99 ms", "max ms"),
    *("hub p99 ms", "ttft p50 ms", "ttft p99 ms", "user us", "system us", "neighbours' cores"),
)


@dataclass(frozen=True)
class Lag:
    """One load at one rate; times in milliseconds, processor time in microseconds."""

    checkout: str
    rate_per_s: float
    processes: int
    planned: int
    dropped: int
    failed: int
    dispatch_p50_ms: float
    dispatch_p99_ms: float
    dispatch_max_ms: float
    hub_p99_ms: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    user_us: float
    system_us: float
    neighbours_cores: float
    """What everybody but load and server used of the processor meanwhile."""


def used_s(pids: Sequence[int]) -> tuple[float, float]:
    """User and system time of these processes so far."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user for each in times), sum(each.system for each in times)


def busy_s() -> float:
    """Processor time of the whole machine so far."""
    every = psutil.cpu_times()
    return float(every.user + every.nice + every.system + getattr(every, "softirq", 0.0))


def measure(name: str, options: argparse.Namespace, rate_per_s: float, processes: int) -> Lag:
    """One load at one rate, by the code that this process has imported."""
    seconds, milli = float(options.seconds), 1000.0
    with plain_server(options.gap_ms) as (url, server), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = LoadConfig(
            url=url,
            rate_per_s=rate_per_s,
            duration_s=seconds,
            seed=1,
            output_tokens=options.tokens,
            processes=processes,
            max_in_flight=8000,
            plan_path=folder / "plan.jsonl",
            rows_path=folder / "rows.jsonl",
            summary_path=folder / "load.json",
            log_path=folder / "locust.log",
        )
        with Load(config) as load:
            start_s = load.start(within_s=60.0).start_monotonic_s
            time.sleep(max(0.0, start_s + SETTLE_S - time.monotonic()))
            watched = [*load.pids, server]
            began_s, user_s, system_s = time.monotonic(), *used_s(load.pids)
            others_s = busy_s() - sum(used_s(watched))
            time.sleep(max(0.0, start_s + seconds - 0.1 - time.monotonic()))
            lasted_s = time.monotonic() - began_s
            user_s, system_s = (
                now - then for now, then in zip(used_s(load.pids), (user_s, system_s), strict=True)
            )
            others_s = busy_s() - sum(used_s(watched)) - others_s
            summary = load.wait(within_s=seconds + 120.0)
        rows = list(read_rows(config.rows_path))
    lag = summary.lag
    assert lag is not None
    ttft_s = sorted(row.ttft_s for row in rows if row.ttft_s is not None) or [0.0]
    requests = rate_per_s * lasted_s
    return Lag(
        checkout=name,
        rate_per_s=rate_per_s,
        processes=processes,
        planned=summary.planned,
        dropped=summary.dropped or 0,
        failed=sum(not row.ok for row in rows) - (summary.dropped or 0),
        dispatch_p50_ms=milli * (lag.dispatch_p50_s or 0.0),
        dispatch_p99_ms=milli * (lag.dispatch_p99_s or 0.0),
        dispatch_max_ms=milli * (lag.dispatch_max_s or 0.0),
        hub_p99_ms=milli * (lag.hub_p99_s or 0.0),
        ttft_p50_ms=milli * statistics.median(ttft_s),
        ttft_p99_ms=milli * ttft_s[-(-99 * len(ttft_s) // 100) - 1],
        user_us=1e6 * user_s / requests,
        system_us=1e6 * system_s / requests,
        neighbours_cores=others_s / lasted_s,
    )


def elsewhere(checkout: Path | None, words: Sequence[str], case: str) -> Lag:
    """The same measurement in a process that imports the load of that checkout, or of this one."""
    root = (checkout or ROOT).resolve()
    command = [sys.executable, __file__, case, "--as", root.name, *words]
    paths = os.pathsep.join(map(str, (root, ROOT)))  # its own packages first, and our server beside them
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=True
    )
    return Lag(**json.loads(done.stdout))


def line(lag: Lag) -> str:
    """One row of the table."""
    cells = [
        *(lag.checkout, f"{lag.rate_per_s:g}", lag.processes, lag.planned, lag.dropped, lag.failed),
        *(f"{value:.1f}" for value in (lag.dispatch_p50_ms, lag.dispatch_p99_ms, lag.dispatch_max_ms)),
        *(f"{value:.1f}" for value in (lag.hub_p99_ms, lag.ttft_p50_ms, lag.ttft_p99_ms)),
        *(f"{lag.user_us:.0f}", f"{lag.system_us:.0f}", f"{lag.neighbours_cores:.2f}"),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Measure each rate in each checkout, and print one line for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=RATES)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--tokens", type=int, default=1)
    parser.add_argument("--gap-ms", type=float, default=0.0)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--as", dest="name", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.name:  # one measurement, for the process that prints the table
        rate, _, processes = options.cases[0].partition("x")
        print(json.dumps(asdict(measure(options.name, options, float(rate), int(processes or 1)))))
        return
    words = [f"--seconds={options.seconds}", f"--tokens={options.tokens}", f"--gap-ms={options.gap_ms}"]
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    checkouts = [None] if options.against is None else [options.against, None]
    found = []
    for case in options.cases:
        for _ in range(options.rounds):
            for checkout in checkouts:
                found.append(elsewhere(checkout, words, case))
                print(line(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(lag) for lag in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
