"""How late the generator itself is, by request rate, against a scripted server in a process of its own.

    python -m benchmarks.generator_lag [RATE...]

Prints dispatch lag (actual minus intended start) and hub lag (how late a sleeping greenlet is woken), 20 s per rate.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from chaos.load.process import Load, LoadConfig, LoadSummary

DURATION_S = 20.0
RATES_PER_S = (20.0, 200.0, 1000.0)


def measure(rate_per_s: float, url: str, folder: Path) -> LoadSummary:
    """One load at one rate."""
    config = LoadConfig(
        url=url,
        rate_per_s=rate_per_s,
        duration_s=DURATION_S,
        seed=1,
        max_in_flight=4000,
        plan_path=folder / "plan.jsonl",
        rows_path=folder / "rows.jsonl",
        summary_path=folder / "load.json",
        log_path=folder / "locust.log",
    )
    with Load(config) as load:
        load.start()
        return load.wait(within_s=DURATION_S + 60.0)


def main() -> None:
    """Measure each rate and print one line for it."""
    rates_per_s = [float(rate) for rate in sys.argv[1:]] or RATES_PER_S
    print("| requests/s | arrivals | dropped | dispatch p50 ms | p99 ms | max ms | hub p99 ms |")
    print("|---|---|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.scripted_server"], stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for rate_per_s in rates_per_s:
            summary = measure(rate_per_s, url, Path(folder))
            lag = summary.lag
            assert lag is not None
            values_s = (lag.dispatch_p50_s, lag.dispatch_p99_s, lag.dispatch_max_s, lag.hub_p99_s)
            cells = [f"{rate_per_s:g}", summary.planned, summary.dropped]
            milliseconds = [f"{1000 * (value_s or 0.0):.1f}" for value_s in values_s]
            print("| " + " | ".join(map(str, [*cells, *milliseconds])) + " |", flush=True)
        server.terminate()


if __name__ == "__main__":
    main()
