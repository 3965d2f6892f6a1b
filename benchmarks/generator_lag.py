"""How late the generator itself is and what a request costs it, by request rate, beside a server that costs little.

    python -m benchmarks.generator_lag [RATE[xPROCESSES] ...] [--seconds 20] [--tokens 1] [--gap-ms 0] [--servers N]
                                       [--against CHECKOUT] [--rounds 1] [--json FILE]

RATE is that of all processes together: `2000x2` are two that send 1,000 requests/s each. Prints dispatch lag (actual
minus intended start) of all requests and of those of each process, hub lag (how late a sleeping greenlet is woken),
TTFT as the rows have it, and the processor time of the load per request, user and system. There are as many servers
as processes of the load, all on one port; how much of a core the busiest one used stands beside. `--against` measures
another checkout in turns with this one, the only way to compare on a machine with neighbours: how much processor they
took stands beside.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

from chaos.errors import InconclusiveError
from chaos.load.process import Load, LoadConfig
from loadtests.rows import Row, read_rows
from tests.support.plain_server import plain_servers

ROOT = Path(__file__).parent.parent
RATES = ("500", "1000", "2000")
SETTLE_S = 0.5
HEADS = (
    *("checkout", "requests/s", "processes", "arrivals", "dropped", "failed", "p50 ms", "p99 ms", "max ms"),
    *("p99 of each", "max of each", "hub p99 ms", "ttft p50 ms", "ttft p99 ms", "user us", "system us"),
    *("busiest server's cores", "neighbours' cores"),
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
    process_p99_ms: tuple[float, ...]
    """Of the dispatches of each process."""
    process_max_ms: tuple[float, ...]
    hub_p99_ms: float
    """Of the process that is worst."""
    ttft_p50_ms: float
    ttft_p99_ms: float
    user_us: float
    system_us: float
    server_cores: float
    """Of the busiest server: at 1 it is what limits."""
    neighbours_cores: float
    """What everybody but load and servers used of the processor meanwhile."""


def used_s(pids: Sequence[int]) -> tuple[float, float]:
    """User and system time of these processes so far."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user for each in times), sum(each.system for each in times)


def busy_s() -> float:
    """Processor time of the whole machine so far."""
    every = psutil.cpu_times()
    return float(every.user + every.nice + every.system + getattr(every, "softirq", 0.0))


@dataclass(frozen=True, slots=True)
class Used:
    """Processor seconds of load, servers and neighbours up to an instant."""

    at_s: float
    user_s: float
    system_s: float
    servers_s: tuple[float, ...]
    others_s: float

    @classmethod
    def now(cls, load: Sequence[int], servers: Sequence[int]) -> Self:
        """By the kernel's counters."""
        user_s, system_s = used_s(load)
        each_s = tuple(sum(used_s([pid])) for pid in servers)
        return cls(time.monotonic(), user_s, system_s, each_s, busy_s() - user_s - system_s - sum(each_s))


def measure(name: str, options: argparse.Namespace, rate_per_s: float, processes: int) -> Lag:
    """One load at one rate, by the code that this process has imported."""
    servers = options.servers or processes
    with (
        plain_servers(servers, options.gap_ms) as (url, server_pids),
        tempfile.TemporaryDirectory() as temporary,
    ):
        config = _config(Path(temporary), url, options, rate_per_s, processes)
        with Load(config) as load:
            start_s = load.start(within_s=60.0).start_monotonic_s
            _sleep_until(start_s + SETTLE_S)
            before = Used.now(load.pids, server_pids)
            _sleep_until(start_s + config.duration_s - 0.1)
            load.poll()  # says so if it ended before its plan
            after = Used.now(load.pids, server_pids)
            summary = load.wait(within_s=config.duration_s + 120.0)
            slices = [load.plan.slice(number, processes) for number in range(processes)]
        rows = {row.index: row for row in read_rows(config.rows_path)}
    lags_ms = [_lags_ms(rows[each.index] for each in own) for own in slices]
    every_ms = sorted(lag_ms for own in lags_ms for lag_ms in own)
    ttft_ms = sorted(1e3 * row.ttft_s for row in rows.values() if row.ttft_s is not None) or [0.0]
    lasted_s = after.at_s - before.at_s
    requests = rate_per_s * lasted_s
    spent_s = [now - then for now, then in zip(after.servers_s, before.servers_s, strict=True)]
    return Lag(
        checkout=name,
        rate_per_s=rate_per_s,
        processes=processes,
        planned=summary.planned,
        dropped=summary.dropped or 0,
        failed=sum(not row.ok for row in rows.values()) - (summary.dropped or 0),
        dispatch_p50_ms=_quantile(every_ms, 50),
        dispatch_p99_ms=_quantile(every_ms, 99),
        dispatch_max_ms=every_ms[-1],
        process_p99_ms=tuple(_quantile(own, 99) for own in lags_ms),
        process_max_ms=tuple(own[-1] for own in lags_ms),
        hub_p99_ms=1e3 * ((summary.lag.hub_p99_s if summary.lag else None) or 0.0),
        ttft_p50_ms=_quantile(ttft_ms, 50),
        ttft_p99_ms=_quantile(ttft_ms, 99),
        user_us=1e6 * (after.user_s - before.user_s) / requests,
        system_us=1e6 * (after.system_s - before.system_s) / requests,
        server_cores=max(spent_s) / lasted_s,
        neighbours_cores=(after.others_s - before.others_s) / lasted_s,
    )


def _config(
    folder: Path, url: str, options: argparse.Namespace, rate_per_s: float, processes: int
) -> LoadConfig:
    return LoadConfig(
        url=url,
        rate_per_s=rate_per_s,
        duration_s=options.seconds,
        seed=1,
        output_tokens=options.tokens,
        processes=processes,
        max_in_flight=8000,
        plan_path=folder / "plan.jsonl",
        rows_path=folder / "rows.jsonl",
        summary_path=folder / "load.json",
        log_path=folder / "locust.log",
    )


def _sleep_until(monotonic_s: float) -> None:
    time.sleep(max(0.0, monotonic_s - time.monotonic()))


def _lags_ms(rows: Iterable[Row]) -> list[float]:
    return sorted(1e3 * row.lag_s for row in rows if row.lag_s is not None) or [0.0]


def _quantile(ascending: Sequence[float], percent: int) -> float:
    """By rank, nothing interpolated."""
    return ascending[-(-percent * len(ascending) // 100) - 1]


def elsewhere(checkout: Path | None, words: Sequence[str], case: str) -> Lag:
    """The same measurement in a process that imports the load of that checkout, or of this one."""
    root = (checkout or ROOT).resolve()
    command = [sys.executable, __file__, case, "--as", root.name, *words]
    paths = os.pathsep.join(map(str, (root, ROOT)))  # its own packages first, and our server beside them
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return Lag(**json.loads(done.stdout))


def line(lag: Lag) -> str:
    """One row of the table."""
    cells = [
        *(lag.checkout, f"{lag.rate_per_s:g}", lag.processes, lag.planned, lag.dropped, lag.failed),
        *(f"{value:.1f}" for value in (lag.dispatch_p50_ms, lag.dispatch_p99_ms, lag.dispatch_max_ms)),
        *(" / ".join(f"{value:.1f}" for value in each) for each in (lag.process_p99_ms, lag.process_max_ms)),
        *(f"{value:.1f}" for value in (lag.hub_p99_ms, lag.ttft_p50_ms, lag.ttft_p99_ms)),
        *(f"{lag.user_us:.0f}", f"{lag.system_us:.0f}"),
        *(f"{value:.2f}" for value in (lag.server_cores, lag.neighbours_cores)),
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
    parser.add_argument(
        "--servers", type=int, default=0, help="as many as processes of the load, if not given"
    )
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--as", dest="name", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.name:  # one measurement, for the process that prints the table
        rate, _, processes = options.cases[0].partition("x")
        try:
            print(json.dumps(asdict(measure(options.name, options, float(rate), int(processes or 1)))))
        except InconclusiveError as error:
            sys.exit(f"{options.cases[0]}: {error}\n{error.hint}")
        return
    words = [f"--seconds={options.seconds}", f"--tokens={options.tokens}", f"--gap-ms={options.gap_ms}"]
    words.append(f"--servers={options.servers}")
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
